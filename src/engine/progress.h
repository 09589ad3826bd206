// What a running step tells while it works. Plain values; the callback runs on the step's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace poundlock::engine {

struct Progress {
  std::string step;
  std::string activity;  // "backfill", "verify", "waiting for a lock"
  std::uint64_t rows_done = 0;
  std::uint64_t rows_total = 0;  // an estimate; 0: unknown
  double rows_per_second = 0;
  std::string throttle;  // why it holds; empty: it works
};
using ProgressCallback = std::function<void(const Progress&)>;

}  // namespace poundlock::engine
