// Proof that a rollout that was taken back left nothing in the target database.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "change/operation.h"
#include "ports/database.h"

namespace poundlock::engine {

// What of the rollout is still there, in plain words; empty: nothing. Looks at the steps' own probes, at
// the new columns, at functions, triggers and sequences marked as the rollout's, at invalid indexes on its
// tables, and at its checkpoints. The ledger's rows stay: they are history.
Result<std::vector<std::string>> leftovers(ports::Session& session, std::string_view rollout,
                                           const std::vector<change::Step>& steps,
                                           const std::vector<change::ColumnRef>& fresh);

}  // namespace poundlock::engine
