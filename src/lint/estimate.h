// How long a statement holds its lock while it works through a table, from the table's size. An estimate for
// people: the rates are those of a small cloud server with the table on its disk, and not of this machine.
// Pure; thread-safe.
#pragma once

#include <optional>
#include <string>

#include "lint/context.h"

namespace poundlock::lint {

// Bytes of the table a second, one process. Measured on PostgreSQL 15 with rows of 100 bytes that were in no
// cache but the system's: 700 MB/s scanned, 190 MB/s rewritten, 40 MB/s of an index built. A third of that is
// what a server under load on network storage keeps.
inline constexpr double kScanBytesPerSecond = 230e6;
inline constexpr double kRewriteBytesPerSecond = 60e6;
inline constexpr double kIndexRowsPerSecond = 400e3;

struct Estimate {
  double seconds = 0;
  std::string basis;  // the work, the size, the rate, the lock; says that it is an estimate
};

// nullopt: no catalog, a table that it does not hold or that has no size yet, or work that does not grow with
// the table. Changes of type that keep the rows, and NOT NULL over a validated CHECK, are such work.
std::optional<Estimate> estimate(const Context& context);

}  // namespace poundlock::lint
