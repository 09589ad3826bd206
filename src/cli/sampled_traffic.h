// What an application does, from the statistics of a database that it uses, to be played on a shadow.
#pragma once

#include <string>
#include <vector>

#include "engine/checks.h"
#include "ports/traffic.h"

namespace poundlock::cli {

struct SampledTraffic {
  std::vector<ports::TrafficStatement> statements;
  std::vector<std::string> left_out;  // what cannot be played on the shadow, and why
};

// The 20 statements that ran most often in the database at `url`, by its pg_stat_statements, with parameters
// from the shadow's own rows. kUser "traffic.statements" where that has no such statistics.
Result<SampledTraffic> sampled_traffic(const std::string& url, ports::Database& shadow,
                                       const rollout::Plan& plan);

}  // namespace poundlock::cli
