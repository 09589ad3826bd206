// pgbench's expressions: what \set computes. Integers and doubles with + - * / %, parentheses, :NAME and the
// functions of numbers. Source: PostgreSQL's documentation of pgbench, "Meta Commands" and "Built-In
// Functions". Conditions, NULL, CASE, hash functions and permute() are refused by name. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/jitter.h"

namespace poundlock::engine {

struct TrafficNumber {
  bool real = false;
  std::int64_t integer = 0;
  double number = 0;
  double value() const { return real ? number : static_cast<double>(integer); }
  std::string text() const;
};
using TrafficVariables = std::map<std::string, TrafficNumber>;

// Computes `text`. Errors (kUser "traffic.script") have `where`, moved to the column of what is wrong.
Result<TrafficNumber> traffic_value(std::string_view text, const SourcePosition& where,
                                    const TrafficVariables& variables, Jitter& random);

}  // namespace poundlock::engine
