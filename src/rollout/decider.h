// The working state of one decide() call. Internal to decide; split over decide.cpp (what happened),
// requests.cpp (what operators want), forward.cpp, rollback.cpp and report.cpp. It lives on the stack of
// one call and is never shared.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rollout/decide.h"

namespace poundlock::rollout {

// A tick that comes later than this counts only this much towards windows: while nobody watched the
// gates no window runs, and a clock that jumps forward opens nothing early.
constexpr Millis kTickGapMax{60'000};
constexpr std::uint32_t kAttemptsMax = 40;  // of one step, before a person is asked
constexpr Millis kBackoffMax{30'000};
constexpr Millis kBaselineMin{5'000};
constexpr Millis kAckWaitMax{30'000};  // the rollback limit of the design: later, go on and say so

class Decider {
 public:
  Decider(const RolloutState& state, const Plan& plan, const Observations& seen, TimePoint now);
  Decision run();
  std::optional<Moment> moment() const;

 private:
  // decide.cpp
  void tick_windows();
  void absorb_published();
  void absorb_outcomes();
  void absorb_failure(const StepOutcome& outcome, StepRecord& record);
  void merge_figures();
  void take_marks();
  void judge();
  void react_to_gates();
  // requests.cpp
  void absorb_requests();
  std::optional<Error> answer(const Request& request);
  std::optional<Error> resume(const Request& request);
  std::optional<Error> promote(const Request& request);
  std::optional<Error> approve(const Request& request);
  // forward.cpp
  void forward();
  bool item_finished(const Item& item);  // may add commands
  bool step_finished(const Item& item);
  bool baseline_finished(const Item& item);
  bool flag_finished(const Item& item);
  bool exposure_finished(const Item& item);
  bool window_finished(const Item& item);
  void advance();
  void enter(std::size_t position);
  // rollback.cpp
  std::optional<Error> begin_rollback(const Request& request, const std::string& cause);
  void back();
  bool undo_one();
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
  bool destroyed() const;  // the legacy side is gone
  bool in_sync_installed() const;
  bool verified() const;
  bool gates_pass() const;
  bool gates_fail() const;
  bool readers_applied() const;
  double exposure() const;
  void begin_mark();
  void set_flag(const FlagSetting& flag);
  void say(const std::string& who, const std::string& what, const std::string& why);
  void pause(const std::string& reason, bool by_gate);
  void command(CommandKind kind, const change::Step& step);

  RolloutState s_;
  const Plan& plan_;
  Observations seen_;  // our copy, with the figures of finished steps merged in
  TimePoint now_;
  Millis elapsed_{0};  // since the last tick, bounded
  std::vector<Command> commands_;
  std::vector<Event> events_;
  std::vector<std::optional<Error>> answers_;
  Report report_;
};

}  // namespace poundlock::rollout
