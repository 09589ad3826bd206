// Columns that people's own triggers write at every UPDATE, as updated_at and version do. What brings a new
// column to its value, and takes it back, changes them, as any UPDATE of the application would: they tell
// nothing about the change. Used by rehearsal.cpp only.
#pragma once

#include <string>
#include <vector>

#include "ports/database.h"
#include "rollout/plan.h"
#include "schema/identifier.h"

namespace poundlock::engine {

struct TouchedColumns {
  schema::QualifiedName table;
  std::vector<std::string> columns;   // none of the change's own
  std::vector<std::string> triggers;  // of the table, those that an UPDATE fires; quoted
  std::string to_string() const;      // for people
};

// Tried on a shadow, before the change: rows get another row's value and their own one again, and what then
// is not as it was has been written by a trigger; all is rolled back. A column that a trigger makes of others
// comes back with them and is not among these. Tables without any are left out; one on which it could not be
// tried is told in `notes`. Errors are those of a session that is gone. One thread.
Result<std::vector<TouchedColumns>> touched_columns(const rollout::Plan& plan,
                                                    const std::vector<schema::QualifiedName>& tables,
                                                    ports::Session& session, std::vector<std::string>& notes);

}  // namespace poundlock::engine
