#include "rollout/statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "rollout/random_for_test.h"

namespace poundlock::rollout {
namespace {

// 1 % of 1,000 requests a second, looked at each minute for an hour.
struct Hour {
  int failed = 0;
  int passed = 0;
};
Hour hours(double rate, double limit, int runs, std::uint64_t seed) {
  TestRandom random(seed);
  Hour out;
  for (int run = 0; run < runs; ++run) {
    double s = 0;
    double n = 0;
    for (int minute = 0; minute < 60; ++minute) {
      s += static_cast<double>(random.binomial(600, rate));
      n += 600;
      const Against verdict = rate_against(s, n, limit, kErrorBudget);
      if (verdict == Against::kUndecided) continue;
      (verdict == Against::kAbove ? out.failed : out.passed) += 1;
      break;
    }
  }
  return out;
}

TEST(RateAgainst, NeverFailsAHealthyRateHoweverOftenItLooks) {
  EXPECT_EQ(hours(0.0003, 0.001, 1000, 1).failed, 0);
  EXPECT_EQ(hours(0.0008, 0.001, 300, 2).failed, 0);
}

TEST(RateAgainst, FailsABadRateWithinTheHour) {
  const Hour bad = hours(0.005, 0.001, 300, 3);
  EXPECT_EQ(bad.failed, 300);
  EXPECT_EQ(bad.passed, 0);
}

TEST(RateAgainst, StaysUndecidedOnFewSamplesAndOnNonsense) {
  EXPECT_EQ(rate_against(1, 10, 0.001, kErrorBudget), Against::kUndecided);
  EXPECT_EQ(rate_against(0, 0, 0.001, kErrorBudget), Against::kUndecided);
  EXPECT_EQ(rate_against(5, 5, 0, kErrorBudget), Against::kUndecided);
}

TEST(RateAgainst, CatchesATotalFailureWithinAHandfulOfTrials) {
  double n = 1;
  while (rate_against(n, n, 0.001, kErrorBudget) != Against::kAbove) ++n;
  EXPECT_LE(n, 4);
}

TEST(WilsonUpper, AgreesWithPublishedSampleSizes) {
  EXPECT_LT(wilson_upper(0, 3842), 0.001);
  EXPECT_GT(wilson_upper(0, 3830), 0.001);
  EXPECT_DOUBLE_EQ(wilson_upper(0, 0), 1);
  EXPECT_NEAR(wilson_upper(10, 100), 0.1744, 1e-3);
}

TEST(BlockVariance, IsOneForIndependentTrialsAndLargeForBursts) {
  TestRandom random(4);
  std::vector<BlockCount> calm;
  for (int i = 0; i < 120; ++i) calm.push_back({random.binomial(1000, 0.01), 1000});
  EXPECT_LT(block_variance(calm), 1.5);
  std::vector<BlockCount> bursts(calm.size(), BlockCount{0, 1000});
  for (std::size_t i = 0; i < bursts.size(); i += 30) bursts[i].events = 300;
  EXPECT_GT(block_variance(bursts), 100);
  EXPECT_DOUBLE_EQ(block_variance(std::vector<BlockCount>(7, BlockCount{9, 10})), 1);
}

TEST(BlockVariance, KeepsOneBurstFromFailingAHealthyRate) {
  // 40 errors of 20,000, all in one second: 0.2 %, twice the limit, and yet a single event.
  std::vector<BlockCount> blocks(60, BlockCount{0, 333});
  blocks[17].events = 40;
  const double v = block_variance(blocks);
  EXPECT_EQ(rate_against(120, 20'000, 0.001, kErrorBudget), Against::kAbove);
  EXPECT_EQ(rate_against(120 / v, 20'000 / v, 0.001, kErrorBudget), Against::kUndecided);
}

TEST(QuantileRanks, HaveAnUpperOneFrom688On) {
  EXPECT_FALSE(quantile_ranks(687, 0.99));
  const auto ranks = quantile_ranks(688, 0.99);
  ASSERT_TRUE(ranks);
  EXPECT_EQ(ranks->upper, 688U);
  EXPECT_LT(ranks->lower, 682U);
  EXPECT_FALSE(quantile_ranks(0, 0.5));
}

// One side's p99 against the other's, at 2,000 samples a look, 20 looks.
int exceedance_failures(double slower, int runs, std::uint64_t seed) {
  TestRandom random(seed);
  int failed = 0;
  for (int run = 0; run < runs; ++run) {
    std::vector<double> control;
    for (int i = 0; i < 5000; ++i) control.push_back(random.lognormal(3000, 1));
    std::sort(control.begin(), control.end());
    const double limit = 1.15 * control[quantile_ranks(control.size(), 0.99)->upper - 1];
    double s = 0;
    double n = 0;
    for (int look = 0; look < 20; ++look) {
      for (int i = 0; i < 1000; ++i, ++n) s += random.lognormal(3000 * slower, 1) > limit ? 1 : 0;
      if (rate_against(s, n, 0.01, kErrorBudget) != Against::kAbove) continue;
      ++failed;
      break;
    }
  }
  return failed;
}

TEST(Exceedance, NeverFailsAnUnchangedHeavyTail) {
  EXPECT_EQ(exceedance_failures(1.0, 40, 5), 0);
}

TEST(Exceedance, FailsATailThatIsTwiceAsLong) {
  EXPECT_EQ(exceedance_failures(2.0, 20, 6), 20);
}

TEST(IncreasePValue, ComparesRatesOfDifferentExposures) {
  EXPECT_DOUBLE_EQ(increase_p_value(0, 10, 0, 10), 1);
  EXPECT_NEAR(increase_p_value(1, 10, 0, 10), 0.5, 1e-9);
  EXPECT_NEAR(increase_p_value(10, 60, 0, 60), std::pow(0.5, 10), 1e-9);
  EXPECT_GT(increase_p_value(12, 60, 10, 60), 0.1);
  EXPECT_LT(increase_p_value(200'000, 60, 100'000, 60), 1e-9);
  EXPECT_GT(increase_p_value(100'000, 60, 100'000, 60), 0.4);
}

}  // namespace
}  // namespace poundlock::rollout
