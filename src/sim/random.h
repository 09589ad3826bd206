// Numbers that look random and follow from a seed alone: SplitMix64. One thread.
#pragma once

#include <cstdint>

namespace poundlock::sim {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // 0 .. n-1; n > 0
  int below(int n) { return static_cast<int>(next() % static_cast<std::uint64_t>(n)); }
  int between(int from, int to) { return from + below(to - from + 1); }
  // True once in `n` times; never for 0.
  bool one_in(int n) { return n > 0 && below(n) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace poundlock::sim
