// Watches from a second session which locks a session holds or asks for: a statement that no transaction
// may hold (CREATE INDEX CONCURRENTLY) has given its locks back before anybody could look.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "base/result.h"
#include "ports/database.h"

namespace poundlock::ports {

// Relation's oid in the session's database, and the mode as in pg_locks: {16412, "ShareLock"}.
using RelationLocks = std::set<std::pair<std::uint32_t, std::string>>;

// One watch at a time; start and stop from one thread.
class LockSampler {
 public:
  virtual ~LockSampler() = default;
  // Returns once the first sample was taken. A lock that is held for less than the interval (2 ms) may be
  // missed.
  virtual Status start(Database& database, int backend_pid) = 0;
  virtual Result<RelationLocks> stop() = 0;
};

}  // namespace poundlock::ports
