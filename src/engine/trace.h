// What one statement does to a database, seen from inside and beside it: the locks that it takes, what it
// rewrites, scans and builds, how long it takes, what it writes. On a shadow only: it asks the server at
// debug1 and reads the catalog around each statement.
//
// Locks come from pg_locks by oid (a relation that the statement drops has no name any more, so names are
// read before it), rewrites from relfilenodes, scans from pg_stat_xact_user_tables, the rest from the
// server's own debug messages. A statement that refuses a transaction (SQLSTATE 25001) is run alone and
// watched from a second session. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ports/database.h"
#include "ports/lock_sampler.h"

namespace poundlock::engine {

struct TracedLock {
  std::string relation;  // quoted and qualified
  std::string mode;      // the strongest on it, as in pg_locks: "AccessExclusiveLock"
  char kind = 'r';       // relkind
  std::string table;     // of an index; else ""
  bool taken = true;     // false: an earlier statement of the same transaction took it
  bool operator==(const TracedLock&) const = default;
};

// Names are quoted and qualified. What the statement itself makes is left out: nobody waits for it.
struct Trace {
  std::string sql;
  double seconds = 0;                     // by the clock given, which counts milliseconds
  std::vector<TracedLock> locks;          // strongest first
  std::vector<std::string> rewrites;      // tables whose file is a new one (TRUNCATE too)
  std::vector<std::string> scans;         // tables that were read from end to end
  std::vector<std::string> index_builds;  // indexes that were made or made anew
  std::vector<std::string> notes;         // the server's words: "verifying table \"orders\""
  // Tables of which it has updated or deleted many rows, and half of all or more: whoever writes one of these
  // waits until the transaction ends.
  std::vector<std::string> row_locks;
  std::uint64_t affected = 0;   // rows, by the command tag
  std::int64_t wal_bytes = 0;   // of the whole server meanwhile
  std::int64_t disk_bytes = 0;  // by how much the database grew, before anything is given back
  bool standalone = false;      // it refused a transaction
  std::optional<Error> error;
};

// PostgreSQL's lock modes by their number, 0 for what is none: 8 is AccessExclusiveLock.
int lock_strength(std::string_view mode);
const TracedLock* strongest(const Trace& trace);  // null: no table of anybody's was locked

class Tracer {
 public:
  // `sampler` may be null: the locks of standalone statements are then unknown. All outlive the tracer.
  static Result<Tracer> open(ports::Database& database, Clock& clock, ports::LockSampler* sampler);

  ports::Session& session() { return *session_; }

  // In the transaction that is open. A statement that fails is no Error: it is told in the trace, and the
  // transaction is to be rolled back by the caller.
  Result<Trace> in_transaction(const std::string& sql);
  // By itself: in a transaction of its own where the server lets it, which is committed.
  Result<Trace> alone(const std::string& sql);

 private:
  struct Relation {
    std::string name;
    std::string schema;
    char kind = 'r';
    std::uint32_t file = 0;
    std::uint32_t table = 0;  // of an index
    std::uint32_t toast = 0;
    double rows = -1;  // the planner's; -1: unknown
  };
  struct Snapshot {
    std::map<std::uint32_t, Relation> relations;
    ports::RelationLocks locks;
    std::map<std::uint32_t, std::int64_t> scans;
    std::map<std::uint32_t, std::int64_t> written;  // rows updated or deleted by this transaction
    std::string lsn;
    std::int64_t disk = 0;
  };

  Tracer(ports::Database& database, Clock& clock, ports::LockSampler* sampler)
      : database_(&database), clock_(&clock), sampler_(sampler) {}
  Result<Snapshot> look(bool committed);
  Result<Trace> standalone(const std::string& sql);
  Status tell(Trace& trace, const Snapshot& before, const Snapshot& after, const ports::RelationLocks& locks);

  ports::Database* database_;
  Clock* clock_;
  ports::LockSampler* sampler_;
  std::unique_ptr<ports::Session> session_;
};

}  // namespace poundlock::engine
