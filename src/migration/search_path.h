// Files for tools whose sessions find names by a search_path that nobody here knows: what the plan writes
// itself (probes, batches, undo) has to find them as the author's statements do. Pure; thread-safe.
#pragma once

#include "migration/sql_plan.h"

namespace poundlock::migration {

// As SqlPlanOptions::search_path: names without a schema are where the session finds them.
inline constexpr const char* kBySession = "poundlock:search_path";

// Puts what finds them there in the place of that schema, in everything that is written of the plan.
void leave_to_session(SqlPlan& plan);

}  // namespace poundlock::migration
