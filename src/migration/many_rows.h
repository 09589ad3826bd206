// Which statements may write very many rows: in one transaction these stay locked until its end. Pure;
// thread-safe.
#pragma once

#include <string>

#include "migration/names.h"
#include "schema/sql.h"

namespace poundlock::migration {

// Why UPDATE, DELETE, INSERT or MERGE may write very many rows; "" where it does not, or is none of these.
// Rows of a table that is known to be small, or that the script makes, are few.
std::string many_rows(const schema::Statement& statement, const Names& names);
// What to know of one that may, but need not: it finds its rows by an index of which each value may have
// many.
std::string maybe_many_rows(const schema::Statement& statement, const Names& names);

}  // namespace poundlock::migration
