// The tables of the SQLite store, and the checks that a file is ours, whole and not too new.
#pragma once

#include <string>

#include "base/result.h"
#include "store/sqlite.h"

namespace poundlock::store {

// Whether the file is new and empty (true) or holds a whole store of a format that we know (false).
// Changes nothing: a file of another program or of a newer server stays as it is.
Result<bool> inspect_schema(Sqlite& database, const std::string& path);
Status create_schema(Sqlite& database);  // in one transaction

}  // namespace poundlock::store
