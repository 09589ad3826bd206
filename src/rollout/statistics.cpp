#include "rollout/statistics.h"

#include <algorithm>
#include <cmath>

namespace poundlock::rollout {
namespace {

constexpr std::size_t kBlocksMin = 8;
constexpr std::uint64_t kTermsMax = 100'000;

double ln_choose(double n, double k) {
  return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1);
}

}  // namespace

Against rate_against(double s, double n, double p0, double e) {
  if (n <= 0 || p0 <= 0 || p0 >= 1) return Against::kUndecided;
  s = std::clamp(s, 0.0, n);
  const double evidence = ln_choose(n, s) + s * std::log(p0) + (n - s) * std::log1p(-p0) + std::log(n + 1);
  if (evidence >= std::log(e)) return Against::kUndecided;
  return s / n > p0 ? Against::kAbove : Against::kBelow;
}

double wilson_upper(double s, double n, double z) {
  if (n <= 0) return 1;
  const double p = std::clamp(s / n, 0.0, 1.0);
  const double z2 = z * z;
  const double centre = p + z2 / (2 * n);
  const double spread = z * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  return std::min(1.0, (centre + spread) / (1 + z2 / n));
}

double block_variance(std::span<const BlockCount> blocks) {
  double events = 0;
  double trials = 0;
  std::size_t used = 0;
  for (const BlockCount& block : blocks) {
    if (block.trials == 0) continue;
    events += static_cast<double>(block.events);
    trials += static_cast<double>(block.trials);
    ++used;
  }
  if (used < kBlocksMin || events == 0) return 1;
  const double rate = events / trials;
  double chi = 0;
  for (const BlockCount& block : blocks) {
    if (block.trials == 0) continue;
    const double expected = rate * static_cast<double>(block.trials);
    const double off = static_cast<double>(block.events) - expected;
    chi += off * off / expected;
  }
  return std::max(1.0, chi / static_cast<double>(used - 1));
}

std::optional<Ranks> quantile_ranks(std::uint64_t n, double q) {
  const double count = static_cast<double>(n);
  const double spread = kQuantileZ * std::sqrt(count * q * (1 - q));
  const double upper = std::ceil(count * q + spread);
  if (n == 0 || upper > count) return std::nullopt;
  const double lower = std::max(1.0, std::floor(count * q - spread));
  return Ranks{static_cast<std::uint64_t>(lower), static_cast<std::uint64_t>(upper)};
}

double increase_p_value(std::uint64_t x, double t1, std::uint64_t y, double t0) {
  if (x == 0 || t1 <= 0 || t0 <= 0) return 1;
  const double share = t1 / (t0 + t1);
  const std::uint64_t total = x + y;
  const double n = static_cast<double>(total);
  if (total > kTermsMax) {  // the normal approximation is exact enough there
    const double mean = n * share;
    return 0.5 * std::erfc((static_cast<double>(x) - 0.5 - mean) / std::sqrt(2 * mean * (1 - share)));
  }
  double sum = 0;
  for (std::uint64_t k = x; k <= total; ++k) {
    const double kd = static_cast<double>(k);
    sum += std::exp(ln_choose(n, kd) + kd * std::log(share) + (n - kd) * std::log1p(-share));
  }
  return std::min(1.0, sum);
}

}  // namespace poundlock::rollout
