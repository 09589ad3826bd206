// pgbench's script files as traffic: SQL commands that end with a semicolon, \set NAME random(LOW, HIGH) or
// a number, and :NAME in the commands. Source: PostgreSQL's documentation of pgbench, "Custom Scripts".
// Other meta commands and expressions are refused by name: traffic that is not what was asked for would
// measure something else. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/jitter.h"
#include "ports/traffic.h"

namespace poundlock::engine {

inline constexpr int kTrafficStatementsMax = 100;
inline constexpr int kTrafficSamples = 64;  // rows of random values for each statement

// `scale` is :scale. Errors (kUser "traffic.script") with their place in `file`.
Result<std::vector<ports::TrafficStatement>> parse_traffic(std::string_view text, const std::string& file,
                                                           std::int64_t scale, Jitter& random);

}  // namespace poundlock::engine
