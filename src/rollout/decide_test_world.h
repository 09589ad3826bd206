// The world around decide() in its tests: it publishes what is commanded and carries steps out at once.
#pragma once

#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rollout/decide_test_plan.h"

namespace poundlock::rollout::testing {

// Plays controller and a perfect world: publishes what is commanded, carries steps out at once, and
// lets time go by a second a tick.
class World {
 public:
  explicit World(Plan plan) : plan_(std::move(plan)), state_(begin(plan_, now_)) {}

  const Decision& tick(std::vector<Request> requests = {}) {
    Observations seen;
    seen.requests = std::move(requests);
    for (const auto& approval : willing_)
      if (at() == "contract.approve_" + approval)
        seen.requests.push_back({RequestKind::kApprove, "alice", "test", approval});
    seen.outcomes = std::exchange(outcomes_, {});
    seen.published = published_;
    if (!no_app_) seen.app = app_;
    for (const auto& [name, value] : values_) seen.values[name] = {value, now_ + Millis{1000}, "primary", ""};
    if (!app_.instances.empty())
      app_.instances[0].applied = hold_ack_ ? app_.instances[0].applied : revision_;
    now_ = now_ + Millis{1000} + std::exchange(clock_jump_, Millis{0});
    decision_ = decide(state_, plan_, seen, now_, steady_ ? std::optional(Millis{1000}) : std::nullopt);
    // The store keeps nothing that JSON does not keep.
    auto again = state_from_json(boost::json::parse(boost::json::serialize(to_json(decision_.state))));
    EXPECT_TRUE(again.has_value()) << again.error().to_string();
    EXPECT_EQ(to_json(*again), to_json(decision_.state));
    state_ = *again;
    for (const Command& command : decision_.commands) carry_out(command);
    return decision_;
  }

  void carry_out(const Command& command) {
    if (command.kind == CommandKind::kPublish) {
      revision_.number += 1;
      published_ = Published{command.flags, revision_};
      flags_.push_back(command.flags);
      return;
    }
    StepOutcome outcome{command.step->id, command.generation, OutcomeKind::kDone, {}, {}, {}};
    if (command.kind == CommandKind::kUndoStep) outcome.kind = OutcomeKind::kUndone;
    if (command.kind == CommandKind::kProbeStep)
      outcome.kind = drop_committed_ ? OutcomeKind::kDone : OutcomeKind::kUndone;
    if (command.kind == CommandKind::kRunStep && fail_.contains(command.step->id)) {
      outcome.kind = OutcomeKind::kFailed;
      outcome.error = fail_.at(command.step->id);
    }
    if (stall_ == command.step->id && command.kind == CommandKind::kRunStep) return;
    trace_.push_back((command.kind == CommandKind::kUndoStep ? "undo " : "") + command.step->id);
    outcomes_.push_back(outcome);
  }

  bool run_until(const std::function<bool()>& done, int ticks = 500) {
    for (int i = 0; i < ticks && !done(); ++i) tick();
    return done();
  }
  bool reach_drop() {
    if (!reach("contract.approve_release")) return false;
    tick({{RequestKind::kApprove, "alice", "test", "release"}});
    if (!reach("contract.approve_drop")) return false;
    tick({{RequestKind::kApprove, "alice", "test", "drop"}});
    return run_until([&] {
      return at() == "contract.drop" &&
             std::any_of(decision_.commands.begin(), decision_.commands.end(),
                         [](const Command& one) { return one.kind == CommandKind::kRunStep; });
    });
  }
  bool reach(const std::string& item) {
    return run_until([&] { return state_.position == plan_.index_of(item); });
  }
  std::string at() const {
    return state_.position < plan_.items.size() ? plan_.items[state_.position].id : "end";
  }

  Plan plan_;
  TimePoint now_{1'000'000'000};
  RolloutState state_;
  Decision decision_;
  std::vector<StepOutcome> outcomes_;
  std::vector<std::string> trace_;
  std::vector<std::string> flags_;
  flag::Revision revision_{1, 0};
  std::optional<Published> published_;
  AppWindow app_;
  std::map<std::string, double> values_;
  std::map<std::string, Error> fail_;
  std::string stall_;
  std::set<std::string> willing_;  // approvals that are given as soon as they are asked for
  bool hold_ack_ = false;
  bool no_app_ = false;   // the source of figures does not answer
  bool steady_ = false;   // ticks say how much time has passed
  Millis clock_jump_{0};  // of wall time, at the next tick
  bool drop_committed_ = false;
};

inline Request ask(RequestKind kind, std::string subject = "") {
  return {kind, "alice", "test", std::move(subject)};
}

}  // namespace poundlock::rollout::testing
