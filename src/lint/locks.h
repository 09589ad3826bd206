// The strongest table lock that a statement takes, and the work that it does under it. Source: PostgreSQL
// 15's documentation of explicit locking and ALTER TABLE; each form was tried on servers of 15 and 18.
// Pure functions; thread-safe.
#pragma once

#include <string>

#include "schema/identifier.h"
#include "schema/sql.h"

struct PgQuery__AlterTableCmd;

namespace poundlock::lint {

// PostgreSQL's table locks by their number: a greater one conflicts with more.
enum class LockMode {
  kNone = 0,
  kAccessShare = 1,
  kRowShare = 2,
  kRowExclusive = 3,
  kShareUpdateExclusive = 4,
  kShare = 5,
  kShareRowExclusive = 6,
  kExclusive = 7,
  kAccessExclusive = 8,
};
const char* to_string(LockMode mode);      // "ACCESS EXCLUSIVE", as LOCK TABLE spells it
const char* pg_locks_name(LockMode mode);  // "AccessExclusiveLock", as pg_locks.mode spells it

// What happens while the lock is held; greater takes longer.
enum class Work { kCatalogOnly = 0, kScan = 1, kIndexBuild = 2, kRewrite = 3 };
const char* to_string(Work work);  // "catalog only", "scan", "index build", "rewrite"

struct LockInfo {
  LockMode mode = LockMode::kNone;
  Work work = Work::kCatalogOnly;
  schema::QualifiedName relation;  // the one that is locked so; an index for DROP INDEX; may be empty
  bool blocks_writes() const { return mode >= LockMode::kShare; }
  bool blocks_reads() const { return mode == LockMode::kAccessExclusive; }
  bool operator==(const LockInfo&) const = default;
};

// On a server of that version; where it is not known, the oldest that the entries are checked against.
inline constexpr int kOldestServer = 150'000;
LockInfo strongest_lock(const schema::Statement& statement, int server_version_num = kOldestServer);
LockInfo action_lock(const PgQuery__AlterTableCmd& command);  // relation left empty

}  // namespace poundlock::lint
