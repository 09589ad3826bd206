// Does anything still refer to one side of the change? Asked before the legacy side is dropped, and before
// the new side is dropped again by a rollback: one implementation with the side as parameter.
// Evidence: the catalog (views, rules, policies, generated columns, constraints and indexes that also hold
// other columns, SQL function bodies, publications), function sources by word, statements since the mark
// (statements.h), present sessions, and what applications report. Pure functions, thread-safe.
#pragma once

#include <vector>

#include "rollout/gate.h"

namespace poundlock::rollout {

enum class ReferenceSide { kLegacy, kFresh };

std::vector<Question> reference_questions(const Plan& plan, ReferenceSide side);
GateReading judge_references(const GateInput& in, ReferenceSide side);

}  // namespace poundlock::rollout
