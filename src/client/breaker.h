// A circuit breaker for the new side of one path: closed (all tries go through), open (none do), probing
// (one at a time). It only ever sends reads back to legacy. Time is passed in, so that tests need none of
// their own. Not thread-safe: its owner locks.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "poundlock/outcome.h"
#include "poundlock/router.h"

namespace poundlock::client {

class Breaker {
 public:
  using Time = std::chrono::steady_clock::time_point;
  enum class Answer { kGo, kProbe, kStay };

  explicit Breaker(const BreakerOptions& options);

  // kProbe obliges the caller to record() the try with probe = true.
  Answer ask(Time now);
  void record(const Failure* failure, bool probe, Time now);  // nullptr: it succeeded

  // The flags have changed since: it begins anew, and trips again within a few tries if it must.
  void reset();

  bool open() const { return open_; }
  std::uint64_t trips() const { return trips_; }
  const std::string& cause() const {
    return cause_;
  }  // of the last trip: "timeout", "deadlock", "error burst"

 private:
  void trip(const char* cause, Time now);
  void close();

  BreakerOptions options_;
  bool open_ = false;
  bool probing_ = false;
  int probes_passed_ = 0;
  int timeouts_in_row_ = 0;
  std::uint64_t failed_ = 0;  // the last `window` tries, the newest in bit 0
  std::uint64_t deadlocked_ = 0;
  int tries_ = 0;  // how many of those bits count
  std::chrono::milliseconds wait_;
  Time retry_at_{};
  std::uint64_t trips_ = 0;
  std::string cause_;
};

}  // namespace poundlock::client
