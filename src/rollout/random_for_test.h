// A small random source for tests: the same seed gives the same numbers on every machine.
#pragma once

#include <cmath>
#include <cstdint>

namespace poundlock::rollout {

class TestRandom {
 public:
  explicit TestRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {  // SplitMix64
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  double uniform() { return (static_cast<double>(next() >> 11) + 0.5) / 9007199254740992.0; }
  double normal() {
    return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * 3.14159265358979323846 * uniform());
  }
  double lognormal(double median, double sigma) { return median * std::exp(sigma * normal()); }
  // Events among n trials of rate p; by gaps, so that rare events cost little.
  std::uint64_t binomial(std::uint64_t n, double p) {
    std::uint64_t events = 0;
    double at = 0;
    for (;;) {
      at += std::floor(std::log(uniform()) / std::log1p(-p)) + 1;
      if (at > static_cast<double>(n)) return events;
      ++events;
    }
  }

 private:
  std::uint64_t state_;
};

}  // namespace poundlock::rollout
