// The statements that PostgreSQL runs only outside a transaction block. Source: the callers of
// PreventInTransactionBlock in PostgreSQL 15; each was tried on a server. Pure; thread-safe.
#pragma once

#include <string>

#include "schema/sql.h"

namespace poundlock::lint {

struct NoTransaction {
  std::string what;           // "VACUUM"; "" when a transaction may hold the statement
  bool concurrently = false;  // because of CONCURRENTLY
  schema::ByteRange range;    // the words that make it so
};
NoTransaction needs_no_transaction(const schema::Statement& statement);

}  // namespace poundlock::lint
