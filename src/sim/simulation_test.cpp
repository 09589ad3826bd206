#include "sim/simulation.h"

#include <gmock/gmock.h>

#include <cstdlib>

namespace poundlock::sim {
namespace {

std::string story(const SimulationResult& result) {
  std::string out = "seed " + std::to_string(result.seed) + " ended " + result.ended + "\n";
  const std::size_t from = result.trace.size() > 50 ? result.trace.size() - 50 : 0;
  for (std::size_t i = from; i < result.trace.size(); ++i) out += result.trace[i] + "\n";
  return out;
}

TEST(Simulation, WithoutFaultsTheRolloutIsDone) {
  const auto result = simulate({.seed = 1});
  ASSERT_FALSE(result.violation) << story(result);
  EXPECT_EQ(result.ended, "done") << story(result);
  EXPECT_EQ(result.processes, 1);
  EXPECT_EQ(result.rollbacks, 0);
}

}  // namespace
}  // namespace poundlock::sim
