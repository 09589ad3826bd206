// One rollout under control: observe, decide, commit, publish. It owns the rollout's state in the store
// and gives out the commands whose effects may now happen. No threads and no clock of its own: whoever
// drives it (server, simulator) passes time and observations in.
//
// Invariants:
//  1. State is committed before any of its effects: tick() returns commands only after their state is
//     durable.
//  2. Publishing a flag touches the store only, never a target database: a kill works without one.
//  3. Taking over (load) raises the generation first, so that an older executor's next transaction
//     raises in its fence.
// Not thread-safe; the server calls it under one mutex.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ports/flag_publisher.h"
#include "ports/state_store.h"
#include "rollout/decide.h"

namespace poundlock::engine {

struct TickInput {
  std::map<std::string, rollout::Observation> values;
  std::optional<rollout::AppWindow> app;
  std::vector<rollout::StepOutcome> outcomes;
  std::vector<rollout::Request> requests;
  // By a clock that never jumps; windows and dwell grow by its differences. Without it by wall time.
  std::optional<TimePoint> steady;
};

struct TickOutput {
  std::vector<rollout::Command> commands;     // kRunStep, kUndoStep, kProbeStep
  std::vector<std::optional<Error>> answers;  // to the requests, in their order
};

class Controller {
 public:
  // Creates the rollout in the store; kConflict "rollout.exists" when an unfinished one has this name.
  static Result<Controller> start(ports::StateStore& store, ports::FlagPublisher& publisher,
                                  rollout::Plan plan, std::string_view source, std::string_view who,
                                  TimePoint now);
  // Takes over an existing one: reads it and raises its generation.
  static Result<Controller> load(ports::StateStore& store, ports::FlagPublisher& publisher,
                                 std::string_view name, TimePoint now);
  // Names of all rollouts in the store, finished ones included.
  static Result<std::vector<std::string>> names(ports::StateStore& store);

  // kConflict "store.conflict" when somebody else has written this rollout: stop driving it.
  Result<TickOutput> tick(const TickInput& input, TimePoint now);

  const rollout::RolloutState& state() const { return state_; }
  const rollout::Plan& plan() const { return plan_; }
  const rollout::Report& report() const { return report_; }
  // Which gates are judged now; nullopt where none is. Their questions are worth asking.
  std::optional<rollout::Moment> moment() const { return rollout::moment_of(state_, plan_); }

 private:
  Controller(ports::StateStore& store, ports::FlagPublisher& publisher)
      : store_(&store), publisher_(&publisher) {}
  Status commit(const rollout::RolloutState& next, const std::vector<rollout::Event>& events, TimePoint now);
  Status publish(const rollout::Command& command);
  bool settled(TimePoint at);

  ports::StateStore* store_;
  ports::FlagPublisher* publisher_;
  rollout::Plan plan_;
  rollout::RolloutState state_;
  rollout::Report report_;
  std::int64_t version_ = 0;  // of the state in the store
  TimePoint committed_at_;
  std::optional<TimePoint> steady_;      // of the last tick
  std::optional<TimePoint> taken_over_;  // until the instances have had time to report
  std::string committed_core_;           // what was committed, without the fields that every tick changes
  std::optional<rollout::Published> published_;
};

// The stored state without what changes at every tick; equal cores need no commit at once.
std::string core_of(const rollout::RolloutState& state);

}  // namespace poundlock::engine
