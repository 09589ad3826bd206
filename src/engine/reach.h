// How far a statement reaches: a shadow may lie in the cluster of production, which shares databases, roles,
// tablespaces, settings and files with it. Dropping the shadow takes none of that back.
// Pure; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "change/step.h"
#include "engine/dry_run.h"
#include "schema/sql.h"

namespace poundlock::engine {

struct Reach {
  std::string beyond;  // what it touches outside its database: "CREATE ROLE"; "" when nothing
  std::string unseen;  // what it calls, of which the text does not tell what it does: "a DO block"; ""
};
Reach reach_of(const schema::Statement& statement);

// kUser with the place of the first statement that reaches beyond the database, or that cannot be read. Else
// one note for each statement of which that cannot be seen.
Result<std::vector<std::string>> within_database(const std::vector<Script>& scripts);
Result<std::vector<std::string>> within_database(const std::vector<const change::Step*>& steps);

}  // namespace poundlock::engine
