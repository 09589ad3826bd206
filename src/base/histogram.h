// Latencies in log-linear buckets: 64 to an octave, so that a bucket is at most 1.6 % wide and a count
// above a threshold is exact to that width (interpolated Prometheus buckets are far too coarse for a
// 15 % gate; shared reasoning in docs/adr). Values are microseconds. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>

namespace poundlock {

class Histogram {
 public:
  void add(std::uint64_t microseconds, std::uint64_t count = 1);
  void merge(const Histogram& other);
  std::uint64_t count() const { return count_; }
  // Samples in buckets that lie wholly above the bucket which holds `microseconds`.
  std::uint64_t above(double microseconds) const;
  // The upper edge of the bucket that holds the sample of this rank (1 is the smallest); 0 when empty.
  double at_rank(std::uint64_t rank) const;
  double quantile(double q) const;  // 0 <= q <= 1; 0 when empty

  // Wire form: bucket index -> count.
  const std::map<std::uint16_t, std::uint64_t>& buckets() const { return buckets_; }
  void add_bucket(std::uint16_t index, std::uint64_t count);

  static std::uint16_t index_of(std::uint64_t microseconds);
  static double upper_edge(std::uint16_t index);  // microseconds

 private:
  std::map<std::uint16_t, std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
};

}  // namespace poundlock
