// What happened in a simulated run, line by line, in simulated time. Two runs of one seed give the same
// bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"

namespace poundlock::sim {

class Trace {
 public:
  // `at`: steady time of the simulated world.
  void add(TimePoint at, const std::string& line);
  std::vector<std::string> tail(std::size_t lines) const;
  const std::vector<std::string>& lines() const { return lines_; }
  std::uint64_t hash() const { return hash_; }  // FNV-1a over every line, those beyond the bound included

 private:
  std::vector<std::string> lines_;  // the first half of the bound and the newest
  std::uint64_t hash_ = 14695981039346656037ULL;
};

}  // namespace poundlock::sim
