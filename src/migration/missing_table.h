// A statement for a table that is nowhere.
#pragma once

#include <optional>

#include "migration/names.h"
#include "migration/sql_plan.h"
#include "schema/sql.h"

namespace poundlock::migration {

// The table that a statement changes, where the catalog has none of that name and the script makes none: the
// steps would be those of another database.
// Without file and line. One script, one thread.
std::optional<Decision> missing_table(const schema::Statement& statement, const Names& names);

}  // namespace poundlock::migration
