// Runs shadow reads off the caller's path: one thread, started at the first one, a bounded queue, and a
// limit on how long a read may wait and take. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "client/recorder.h"
#include "poundlock/router.h"

namespace poundlock::client {

class ShadowWorker {
 public:
  static constexpr std::size_t kQueueMax = 256;

  ShadowWorker(Recorder& recorder, std::chrono::milliseconds limit) : recorder_(recorder), limit_(limit) {}
  ~ShadowWorker();  // drops what waits; waits for the read that runs

  // A full queue counts the read as skipped: comparing must never slow the application down.
  void post(std::string flag, std::string path, ShadowTask task);

 private:
  struct Job {
    std::string flag;
    std::string path;
    ShadowTask task;
    Attempt::Clock::time_point deadline;
  };
  void run();

  Recorder& recorder_;
  const std::chrono::milliseconds limit_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace poundlock::client
