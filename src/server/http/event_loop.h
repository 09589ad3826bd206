// One thread that runs callbacks and timers: the server's connections and streams live on it.
#pragma once

#include <functional>
#include <memory>

#include "base/time.h"

namespace poundlock::server {

class EventLoop {
 public:
  EventLoop();   // starts no thread yet
  ~EventLoop();  // stops
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void start();  // starts the thread; once
  // Ends the thread after the callback that runs now; what is still queued never runs. Not from the
  // loop's own thread. Afterwards the loop stays stopped.
  void stop();

  // Any thread. The callback runs on the loop's thread, in the order of the calls.
  void post(std::function<void()> callback);
  // Any thread. Runs every `period` (at least 1 ms) until the loop stops or the handle is destroyed;
  // after the handle is destroyed on the loop's thread, or the loop is stopped, it runs no more.
  using Timer = std::shared_ptr<void>;
  Timer every(Millis period, std::function<void()> callback);
  bool on_thread() const;

  struct Native;  // the Asio context; only http/ looks inside
  Native& native() { return *native_; }

 private:
  std::unique_ptr<Native> native_;
};

}  // namespace poundlock::server
