// ports::Session on libpq: extended protocol with bound values, pipeline mode, notices, cancel.
// One thread at a time, apart from cancel(). Errors carry the SQLSTATE and the disposition that
// ports/database.h states; an error inside a transaction leaves it open and failed: run ROLLBACK.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ports/database.h"

namespace poundlock::postgres {

// libpq's keywords (host, port, dbname, user, password, ...) with their values.
using Keywords = std::vector<std::pair<std::string, std::string>>;

// Opens a session within connect_timeout (5 s unless the keywords say otherwise). kReconnect with code
// "pg.connect" when the server cannot be reached or turns us away; the message never holds the password.
Result<std::unique_ptr<ports::Session>> open_session(const Keywords& keywords);

}  // namespace poundlock::postgres
