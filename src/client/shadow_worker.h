// Runs shadow reads off the caller's path: one thread, started at the first one, a bounded queue, and a
// limit on how long a read may wait and take. Thread-safe, and may be destroyed from a read of its own: a
// read that captured its router may be the last to hold it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "client/recorder.h"
#include "poundlock/router.h"

namespace poundlock::client {

class ShadowWorker {
 public:
  static constexpr std::size_t kQueueMax = 256;
  // Starts a thread, or throws where the system has none to give.
  using Starter = std::function<std::thread(std::function<void()>)>;

  ShadowWorker(std::shared_ptr<Recorder> recorder, std::chrono::milliseconds limit, Starter start = {});
  // Drops what waits. Waits for the read that runs, at most `limit`: one that hangs goes on by itself.
  ~ShadowWorker();
  ShadowWorker(const ShadowWorker&) = delete;

  // A full queue, or no thread, counts the read as skipped: comparing must never slow the application
  // down, and never end it.
  void post(std::string flag, std::string path, ShadowTask task) noexcept;

 private:
  struct Shared;  // outlives the worker while a read of it hangs
  static void run(Shared& shared);

  const std::shared_ptr<Shared> shared_;
  const Starter start_;
  std::thread thread_;  // under the mutex of shared_
};

}  // namespace poundlock::client
