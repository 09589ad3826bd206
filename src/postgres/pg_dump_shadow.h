// A shadow made by pg_dump: the whole schema and a sample of the rows of the tables concerned, in a
// database beside the source, or in a given one that is empty. A given database that already holds tables
// (a clone, a promoted replica) is used as it is.
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

struct ShadowOptions {
  std::uint64_t rows_max = 20'000;              // sampled from each table
  std::unique_ptr<PgDatabase> given;            // null: <database>_poundlock_shadow[_2 ...] beside it
  std::vector<const PgDatabase*> environments;  // borrowed; beside the source, which is always among them
  Millis program_limit{5 * 60 * 1000};          // of pg_dump | psql
  std::function<bool()> stopped;                // polled meanwhile: true ends them; may be empty
};

// `source` and `clock` outlive it. Statistics of the catalog cannot be written by an ordinary owner, so the
// sample is analysed and `scale` tells by how much the real tables are larger.
std::unique_ptr<ports::Shadow> make_pg_dump_shadow(const PgDatabase& source, Clock& clock,
                                                   ShadowOptions options);

// Whether the database bears `ALTER DATABASE ... SET poundlock.shadow = on`, or, since only a superuser may
// set that, the same words as its comment: COMMENT ON DATABASE ... IS 'poundlock.shadow = on'.
Result<bool> bears_shadow_mark(ports::Session& session);

}  // namespace poundlock::postgres
