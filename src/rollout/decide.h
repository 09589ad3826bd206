// decide: every rule about phases, windows, gates, exposure and rollback, as one pure function.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rollout/observation.h"
#include "rollout/plan.h"
#include "rollout/state.h"

namespace poundlock::rollout {

enum class CommandKind {
  kRunStep,    // carry out `step`
  kUndoStep,   // take it back
  kProbeStep,  // stop it where it is under way, and find out whether it is done
  kPublish,    // publish `flags` (durable, then delivered)
};

struct Command {
  CommandKind kind = CommandKind::kRunStep;
  std::optional<change::Step> step;
  std::string flags;  // kPublish: flag_document()
  std::uint64_t generation = 0;
};

// What a person is told: the same text in command line, API and dashboard.
struct Report {
  std::string headline;              // "expose: 25 % of everybody reads the new side"
  std::string next;                  // what happens next, and when
  std::vector<std::string> waiting;  // what is being waited for
  double progress = 0;               // share of the plan's items behind us, 0..1
};

struct Event {  // for the audit trail
  std::string who;
  std::string what;
  std::string why;
};

struct Decision {
  RolloutState state;
  std::vector<Command> commands;
  Report report;
  std::vector<Event> events;
  // Requests that were refused, in the order in which they came (nullopt: accepted).
  std::vector<std::optional<Error>> answers;
};

// Pure: the same arguments give the same decision. Commands repeat until their outcome is observed;
// carrying one out twice is harmless because every step is idempotent and ends by probe.
// `passed`: since the last tick by a clock that never jumps. Without it wall time is believed, and a clock
// that is set forward opens a window by up to kTickGapMax early.
Decision decide(const RolloutState& state, const Plan& plan, const Observations& seen, TimePoint now,
                std::optional<Millis> passed = std::nullopt);

// Which gates are judged in this state; nullopt: none.
std::optional<Moment> moment_of(const RolloutState& state, const Plan& plan);

RolloutState begin(const Plan& plan, TimePoint now);

}  // namespace poundlock::rollout
