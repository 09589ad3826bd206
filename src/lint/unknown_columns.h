// Columns and constraints that a statement names and the database's table does not have. Part of the rule
// unknown_name: silent wherever the name may be something else. Pure; thread-safe.
#pragma once

#include <vector>

#include "lint/rule.h"

namespace poundlock::lint {

// Needs options.relations and options.catalog, and that all tables of the statement are known.
void unknown_columns(const Context& context, std::vector<Match>& out);

}  // namespace poundlock::lint
