// The longest time that a statement of the application waited behind one of Poundlock's sessions, sampled
// every 10 ms from pg_locks.waitstart and pg_blocking_pids on a session and a thread of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "base/time.h"
#include "ports/database.h"

namespace poundlock::cli {

class StallWatch {
 public:
  StallWatch(std::unique_ptr<ports::Session> session, Clock& clock, std::string application);
  ~StallWatch();
  double longest_ms() const { return static_cast<double>(longest_us_.load()) / 1000.0; }
  std::uint64_t samples() const { return samples_.load(); }
  bool failed() const { return failed_.load(); }  // it could not look any more: longest_ms() proves nothing

 private:
  void watch();
  std::unique_ptr<ports::Session> session_;
  Clock& clock_;
  const std::string application_;
  std::atomic<std::int64_t> longest_us_{0};
  std::atomic<std::uint64_t> samples_{0};
  std::atomic<bool> failed_{false};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace poundlock::cli
