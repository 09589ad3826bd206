#include "base/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace poundlock {
namespace {
constexpr int kSubBits = 6;  // 64 buckets to an octave
constexpr std::uint64_t kSub = 1U << kSubBits;
constexpr std::uint64_t kLargest = std::uint64_t{1} << 36;  // 19 hours: whatever is longer counts there
}  // namespace

std::uint16_t Histogram::index_of(std::uint64_t us) {
  us = std::min(us, kLargest);
  if (us < kSub) return static_cast<std::uint16_t>(us);  // exact below 64 us
  const int exponent = static_cast<int>(std::bit_width(us)) - 1 - kSubBits;
  const std::uint64_t mantissa = us >> exponent;  // kSub <= mantissa < 2 * kSub
  return static_cast<std::uint16_t>((static_cast<std::uint64_t>(exponent) << kSubBits) + mantissa);
}

double Histogram::upper_edge(std::uint16_t index) {
  if (index < kSub) return index;
  const int exponent = static_cast<int>(index >> kSubBits) - 1;
  const std::uint64_t mantissa = (index & (kSub - 1)) | kSub;
  return std::ldexp(static_cast<double>(mantissa + 1), exponent) - 1;
}

void Histogram::add(std::uint64_t us, std::uint64_t count) {
  add_bucket(index_of(us), count);
}

void Histogram::add_bucket(std::uint16_t index, std::uint64_t count) {
  if (count == 0) return;
  buckets_[index] += count;
  count_ += count;
}

void Histogram::merge(const Histogram& other) {
  for (const auto& [index, count] : other.buckets_) add_bucket(index, count);
}

std::uint64_t Histogram::above(double us) const {
  if (us < 0) return count_;
  const auto limit = us >= static_cast<double>(kLargest) ? kLargest : static_cast<std::uint64_t>(us);
  std::uint64_t sum = 0;
  for (auto it = buckets_.upper_bound(index_of(limit)); it != buckets_.end(); ++it) sum += it->second;
  return sum;
}

double Histogram::at_rank(std::uint64_t rank) const {
  std::uint64_t seen = 0;
  for (const auto& [index, count] : buckets_) {
    seen += count;
    if (seen >= rank) return upper_edge(index);
  }
  return buckets_.empty() ? 0 : upper_edge(buckets_.rbegin()->first);
}

double Histogram::quantile(double q) const {
  if (count_ == 0) return 0;
  const double rank = std::ceil(q * static_cast<double>(count_));
  return at_rank(std::max<std::uint64_t>(1, static_cast<std::uint64_t>(rank)));
}

}  // namespace poundlock
