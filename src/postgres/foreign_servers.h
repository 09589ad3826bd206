// A copy of a database has its foreign servers too, with the passwords of their user mappings: what a dry run
// writes into a foreign table there, or a trigger does, would reach the real server behind it.
#pragma once

#include <string>
#include <vector>

#include "ports/database.h"

namespace poundlock::postgres {

// In the copy that `session` is in: takes every user mapping away, and the handler of each wrapper that does
// without one. A statement on a foreign table fails there from then on; its definition can be changed as
// before. Answers what is gone, in plain words. kRefused "shadow.leads_out" where the role may not do it.
Result<std::vector<std::string>> cut_off_foreign_servers(ports::Session& session);

// The servers that the database would reach as it is: "a, b"; "" for none.
Result<std::string> reached_foreign_servers(ports::Session& session);

}  // namespace poundlock::postgres
