// Random-looking waits from a given seed, so that the simulator repeats them: SplitMix64. One thread.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace poundlock::engine {

class Jitter {
 public:
  explicit Jitter(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // From half of it to the whole: several executors do not fall into step.
  Millis around(Millis wait) {
    const std::int64_t half = wait.count() / 2;
    return Millis{half + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(half + 1))};
  }

 private:
  std::uint64_t state_;
};

}  // namespace poundlock::engine
