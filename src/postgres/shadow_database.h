// Databases that serve as shadows, as a whole: their mark, how they are copied, and how they go.
// One session is used by one thread at a time.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "ports/database.h"
#include "postgres/database.h"

namespace poundlock::postgres {

// FROM and WHERE of the tables, views and foreign tables that are nobody's extension.
extern const std::string_view kUserTables;

Result<bool> is_marked(ports::Session& session, const std::string& database);
Status set_mark(ports::Session& session, const std::string& database);

// With all sessions in it. Nothing to do where it is not there.
Status drop_database(ports::Session& admin, const std::string& name);

// The same, tried again for a few seconds: it takes a checkpoint, which fails as long as any page of the
// server has no room on a full disk. kRetry "shadow.stays" then, with what stays and how it goes.
Status drop_shadow(ports::Session& admin, const std::string& name, Clock& clock);
Error stays(const std::string& database, const Error& why);  // kRetry "shadow.stays"

// A database's oid, "" where there is none of this name: another one of the same name has another oid.
Result<std::string> oid_of(ports::Session& session, const std::string& database);

// Drops what a killed run left under this name. `intent`, where it bears the mark, says that the name is
// ours; may be null. kRefused "shadow.unmarked" where it is somebody else's.
Status remove_left(ports::Session& admin, const PgDatabase& left, const PgDatabase* intent);

// CREATE DATABASE ... TEMPLATE `name`, with its settings and rights and with the mark; answers which of these
// could not be copied. `session` is the only one in that database, or in
// another one of its server. A copy takes as long as its bytes: `stopped`, which may be empty, ends it with
// kRetry "check.stopped". Killed at any instant, it leaves what the next run with the same `beside` takes
// away.
Result<std::vector<std::string>> copy_database(ports::Session& session, const std::string& name,
                                               const PgDatabase& beside, Clock& clock,
                                               const std::function<bool()>& stopped);

// Everything of this role in the schema public, and not the schema, which may be somebody else's.
Status empty_public(ports::Session& session);

}  // namespace poundlock::postgres
