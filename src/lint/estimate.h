// How long a statement holds its lock while it works through a table, from the table's size. An estimate for
// people: the rates are fixed and not this machine's, and the order of magnitude is what counts.
// Pure; thread-safe.
#pragma once

#include <optional>
#include <string>

#include "lint/context.h"

namespace poundlock::lint {

// Bytes or rows of the table a second, one process. Chosen below what PostgreSQL 15 did on two busy cores
// with 3 million rows in 328 MB: a scan 320 MB/s, an index over an integer 475 thousand rows a second and
// over 64 characters 75 thousand; ALTER TYPE with both indexes took 42 s, where these rates say 35 s.
inline constexpr double kScanBytesPerSecond = 230e6;
inline constexpr double kRewriteBytesPerSecond = 60e6;
inline constexpr double kIndexRowsPerSecond = 200e3;

struct Estimate {
  double seconds = 0;
  std::string basis;  // the work, the size, the rate, the lock; says that it is an estimate
};

// nullopt: no catalog, a table that it does not hold or that has no size yet, or work that does not grow with
// the table. Changes of type that keep the rows, and NOT NULL over a validated CHECK, are such work.
std::optional<Estimate> estimate(const Context& context);

}  // namespace poundlock::lint
