// pgbench's script files as traffic: SQL commands that end with a semicolon, \set NAME EXPRESSION, and :NAME
// in the commands. Source: PostgreSQL's documentation of pgbench, "Custom Scripts". What changes the way
// through a script (\gset, \if, \shell, pipelines) is refused by name and place: traffic that is not what was
// asked for would measure something else. Pure; thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/jitter.h"
#include "ports/traffic.h"

namespace poundlock::engine {

inline constexpr int kTrafficStatementsMax = 200;
inline constexpr int kTrafficWeightMax = 1'000;

struct TrafficScript {
  std::string text;
  std::string file;  // for errors
  int weight = 1;    // how often it is played beside the others; 0: never
};

// "FILE@WEIGHT" as pgbench's --file takes it. kUser "traffic.weight".
Result<TrafficScript> parse_traffic_name(const std::string& name);

// All scripts as one sequence, each as often as its weight says. The values of one run of a script belong
// together: :aid is the same in all its statements. `scale` is :scale. Errors (kUser "traffic.script") with
// their place.
Result<std::vector<ports::TrafficStatement>> parse_traffic(std::span<const TrafficScript> scripts,
                                                           std::int64_t scale, Jitter& random);

}  // namespace poundlock::engine
