// The statistics behind the gates: small tests that may be looked at after every batch without raising
// their false-alarm rate. Pure and thread-safe; no allocation.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace poundlock::rollout {

enum class Against { kBelow, kUndecided, kAbove };

// The whole error budget of one decision; gates that are judged together split it (Bonferroni).
inline constexpr double kErrorBudget = 0.001;
// A window of 72 h has 2,160 stretches of two minutes, and a look each second sees them shifted: the budget
// of what is asked of the newest ones alone is split by this.
inline constexpr double kRecentLooks = 10'000;
inline constexpr double kWilsonZ = 1.96;  // 95 %, two-sided
inline constexpr double kQuantileZ =
    2.635;  // 99.2 %: an upper order statistic exists from n = 688 on for p99
inline constexpr std::uint64_t kControlSamplesMin = 688;
// Of all attempts: what carries less may stay unjudged, or one rare path would hold for ever.
inline constexpr double kShareThatMatters = 0.05;

// Is the rate behind s events in n trials above or below p0? Robbins' confidence sequence (Robbins 1970,
// "Statistical methods related to the law of the iterated logarithm"; Ding, Gandy, Hahn, arXiv 1611.01675):
//   ln C(n,s) + s ln p0 + (n-s) ln(1-p0) + ln(n+1) < ln e
// It holds at all n at once, so that peeking is free. s and n need not be whole: see block_variance.
Against rate_against(double s, double n, double p0, double e);

// Upper end of the Wilson score interval of s in n (Wilson 1927). 1 where n is 0.
double wilson_upper(double s, double n, double z = kWilsonZ);

// Variance-to-mean ratio of event counts a block, at least 1: by so much fewer independent trials there
// are than the counts pretend, because failures come in bursts. 1 with fewer than 8 blocks that saw
// trials. Blocks of unequal size are compared with their own expectation (Pearson's chi-square over its
// degrees of freedom).
struct BlockCount {
  std::uint64_t events = 0;
  std::uint64_t trials = 0;
};
double block_variance(std::span<const BlockCount> blocks);

// Ranks (from 1) of the order statistics that enclose the q-quantile of n samples with kQuantileZ:
// n q -+ z sqrt(n q (1-q)). nullopt where the upper one does not exist yet.
struct Ranks {
  std::uint64_t lower = 0;
  std::uint64_t upper = 0;
};
std::optional<Ranks> quantile_ranks(std::uint64_t n, double q);

// How likely x or more events are in exposure t1, when y were seen in t0 and the rate did not change
// (conditional binomial test; Przyborowski and Wilenski 1940). t in any one unit; 1 where x is 0.
double increase_p_value(std::uint64_t x, double t1, std::uint64_t y, double t0);

}  // namespace poundlock::rollout
