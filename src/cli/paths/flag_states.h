// The states of its flag that a rollout passes through, each as a test suite can be run in: what a server
// serves, and what a local override file says. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "rollout/plan.h"
#include "rollout/spec.h"

namespace poundlock::cli {

struct FlagState {
  std::string name;   // off, dualwrite, shadow, live.internal, live.all, live.released, rampdown, complete
  std::string says;   // in plain words
  std::string flags;  // flagd's JSON, for a server
  // {"flags": {"KEY": "on", "KEY.stage": "live"}}; without any flag where the context decides, since an
  // override holds for everybody.
  std::string overrides;
};

// In the order of the rollout, every share at 100 %. `only`: these alone, and "shadow", which no rollout
// publishes by itself, where it is named. kUser "paths.no_flag", "paths.state".
Result<std::vector<FlagState>> flag_states(rollout::RolloutSpec spec, const std::vector<std::string>& only);

}  // namespace poundlock::cli
