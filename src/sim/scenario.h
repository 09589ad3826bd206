// The rollout that is simulated: one column changed with everything that such a change can have (default,
// NOT NULL, index, exclusion, internal traffic, approvals), with short windows.
#pragma once

#include "base/result.h"
#include "rollout/plan.h"

namespace poundlock::sim {

Result<rollout::Plan> scenario_plan();

}  // namespace poundlock::sim
