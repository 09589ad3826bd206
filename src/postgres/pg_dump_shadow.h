// A shadow made by pg_dump: the whole schema and a sample of the rows of the tables concerned, in a
// database beside the source, or in a given one that is empty. A given database that already holds tables
// (a clone, a promoted replica) is used as it is, or copied beside itself first, so that nothing of a dry run
// stays in it.
//
// Invariants: (1) nothing runs on a database without the mark, and the mark is looked for at every
// connect(); (2) never on a database that is one of `environments`; (3) drop() takes away exactly what
// create() made; (4) between these two it is nobody else's. Needs CREATEDB, or a given database that the
// role owns.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "ports/shadow.h"
#include "postgres/database.h"

namespace poundlock::postgres {

// Small enough that nobody minds: a copy takes its size in disk, and in WAL from PostgreSQL 15 on.
inline constexpr std::int64_t kCopyBytesMax = 4LL << 30;

struct ShadowOptions {
  std::uint64_t rows_max = 20'000;              // sampled from each table
  std::unique_ptr<PgDatabase> given;            // null: <database>_poundlock_shadow[_2 ...] beside it
  std::vector<const PgDatabase*> environments;  // borrowed; beside the source, which is always among them
  // A given database with tables of at most so many bytes is copied by CREATE DATABASE ... TEMPLATE, and the
  // copy is worked on. 0: never. Where the role may not, or somebody is in it, it is used as it is.
  std::int64_t copy_bytes_max = 0;
  // Instead of pg_dump and a sample, all of the source by CREATE DATABASE ... TEMPLATE. kRefused
  // "shadow.not_idle" where anybody is in it: nobody's session is ended for it. Who connects meanwhile waits.
  bool whole = false;
  std::int64_t whole_bytes_max = kCopyBytesMax;  // above, kRefused "shadow.too_large"
  // Somebody ends it after use (a hook): whatever is done to it, nothing has to be taken back.
  bool disposable = false;
  Millis program_limit{5 * 60 * 1000};  // of pg_dump | psql
  std::function<bool()> stopped;        // polled meanwhile: true ends them, and a copy too; may be empty
};

// `source` and `clock` outlive it. The sample is analysed; then the planner's statistics of the real columns
// take the place of the sample's, as far as the role may write them. `scale` tells how much larger the real
// tables are.
std::unique_ptr<ports::Shadow> make_pg_dump_shadow(const PgDatabase& source, Clock& clock,
                                                   ShadowOptions options);

// The same without a source: the given database, which must not be empty, is all there is.
std::unique_ptr<ports::Shadow> make_given_shadow(Clock& clock, ShadowOptions options);

// Whether the database bears `ALTER DATABASE ... SET poundlock.shadow = on`, or, since only a superuser may
// set that, the same words as its comment: COMMENT ON DATABASE ... IS 'poundlock.shadow = on'.
Result<bool> bears_shadow_mark(ports::Session& session);
Error unmarked_shadow(const std::string& database);  // kRefused "shadow.unmarked"

}  // namespace poundlock::postgres
