// The working state of one decide() call. Internal to decide; split over decide.cpp (what happened),
// requests.cpp (what operators want), forward.cpp, rollback.cpp and report.cpp. It lives on the stack of
// one call and is never shared.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rollout/decide.h"

namespace poundlock::rollout {

// A tick that comes later than this counts only this much towards windows: while nobody watched the
// gates no window runs, and a clock that jumps forward opens nothing early.
constexpr Millis kTickGapMax{60'000};
// Wall time that differs by more than this from the time that has passed was set, not slewed.
constexpr Millis kClockJumpMin{1'000};
constexpr std::uint32_t kAttemptsMax = 40;  // of one step, before a person is asked
constexpr Millis kBackoffMax{30'000};
constexpr Millis kBaselineMin{5'000};
// A reference that was seen is counted for ever in the mark in which it was seen: after this long the count
// begins anew, and with it the time for which there must be none.
constexpr Millis kCountAnew{5'000};
constexpr Millis kAckWaitMax{30'000};  // the rollback limit of the design: later, go on and say so
// Share of users in the context "internal" where the application's figures do not tell: a company's own
// staff and tests are rarely more. Too high a guess asks for more proof, never for less.
constexpr double kInternalShareGuess = 0.1;
constexpr double kAttemptsToTrust = 1'000;  // from this many on, the figures tell

class Decider {
 public:
  Decider(const RolloutState& state, const Plan& plan, const Observations& seen, TimePoint now,
          std::optional<Millis> passed = std::nullopt);
  Decision run();
  std::optional<Moment> moment() const;

 private:
  // decide.cpp
  void tick_windows();
  void move_anchors(Millis jump);
  void absorb_published();
  void absorb_outcomes();
  void absorb_failure(const StepOutcome& outcome, StepRecord& record);
  void forget_drop(const std::string& step);
  void settle_pending_rollback(const StepOutcome& outcome);
  void merge_figures();
  void take_marks();
  void begin_anew_after_reset();
  const Observation* since_mark(std::string_view name) const;  // null: not seen since then
  void judge();
  bool stop_out_of_step();
  void react_to_gates();
  // requests.cpp
  void absorb_requests();
  std::optional<Error> answer(const Request& request);
  std::optional<Error> resume(const Request& request);
  std::optional<Error> promote(const Request& request);
  std::optional<Error> approve(const Request& request);
  // forward.cpp
  void forward();
  bool may_expose(const Item& item, bool moved);
  bool item_finished(const Item& item);  // may add commands
  bool step_finished(const Item& item);
  bool may_drop(const Item& item);
  const Item* unverified() const;
  void forget_final_verify();
  bool baseline_finished(const Item& item);
  bool baseline_needs_application() const;
  bool had_application() const;  // one has reported before anything changed
  std::string thin_paths() const;
  bool flag_finished(const Item& item);
  bool exposure_finished(const Item& item);
  bool window_finished(const Item& item);
  void advance();
  void enter(std::size_t position);
  // rollback.cpp
  std::optional<Error> begin_rollback(const Request& request, const std::string& cause);
  std::optional<Error> roll_back(const Request& request, const std::string& cause);
  bool drop_under_way() const;
  void begin_restore(const Request& request);
  void back();
  bool undo_one();
  bool unread();
  Millis unread_for() const;
  void finish_rollback();
  bool restore_one();
  void note_everybody_back();
  // report.cpp
  void report();
  std::string headline() const;
  std::string next() const;
  void waiting_for(std::vector<std::string>& out) const;

  // shared helpers
  const Item* present() const;
  bool done(const Item& item) const;
  bool destroyed() const;   // a drop has committed: legacy data is gone, and no rollback brings it back
  bool contracted() const;  // every drop has: nothing is left to be judged
  bool in_sync_installed() const;
  bool verified() const;
  bool gates_pass() const;
  bool gates_fail() const;
  bool readers_applied() const;
  double exposure() const;
  void begin_mark();
  void count_from_now();
  bool count_lost() const;
  bool count_anew();   // true where a failing or lost count was begun anew
  bool quiet() const;  // nothing has referred to the legacy side for as long as the plan asks for
  void set_flag(const FlagSetting& flag);
  void say(const std::string& who, const std::string& what, const std::string& why);
  void pause(const std::string& reason, bool by_gate);
  void command(CommandKind kind, const change::Step& step);

  RolloutState s_;
  const Plan& plan_;
  Observations seen_;  // our copy, with the figures of finished steps merged in
  TimePoint now_;
  std::optional<Millis> passed_;
  Millis elapsed_{0};  // since the last tick, bounded
  std::vector<Command> commands_;
  std::vector<Event> events_;
  std::vector<std::optional<Error>> answers_;
  Report report_;
};

}  // namespace poundlock::rollout
