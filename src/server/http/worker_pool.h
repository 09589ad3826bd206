// A few threads for handlers that wait for a disk or a database, behind a bounded queue.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace poundlock::server {

// Thread-safe. Jobs do not throw.
class WorkerPool {
 public:
  WorkerPool(std::size_t threads, std::size_t queue_max);
  ~WorkerPool();                           // stop()
  bool submit(std::function<void()> job);  // false: the queue is full, or stopped
  void stop();  // lets running jobs end, drops the queued ones; once, from outside the pool

 private:
  void work();
  const std::size_t queue_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace poundlock::server
