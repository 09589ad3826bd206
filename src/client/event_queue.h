// Carries a client's events to the application's handlers: one thread, started at the first subscription, a
// bounded queue, and no lock held while a handler runs. Thread-safe. Held by shared_ptr: a handler that
// hangs keeps its queue alive after the client has gone.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "poundlock/event.h"

namespace poundlock::client {

class EventQueue : public std::enable_shared_from_this<EventQueue> {
 public:
  static constexpr std::size_t kWaitingMax = 64;
  static constexpr std::size_t kHandlersMax = 1'000;
  static constexpr std::chrono::seconds kCallWaitMax{5};  // for a handler that still runs
  using Handler = std::function<void(const Event&)>;

  // 0: too many, closed, or no thread to be had. `first` is told to this handler alone. Of what was true
  // at `since` already it is told nothing else.
  std::uint64_t subscribe(std::shared_ptr<const Handler> handler, std::optional<Event> first = {},
                          std::uint64_t since = 0) noexcept;
  // See Subscription::unsubscribe().
  void unsubscribe(std::uint64_t id) noexcept;
  bool subscribed(std::uint64_t id) const noexcept;

  bool wanted() const { return wanted_.load(std::memory_order_relaxed); }  // has anybody subscribed?
  // `at`: since when it is true, as counted by the caller.
  void post(Event event, std::uint64_t at = UINT64_MAX) noexcept;
  // Drops what waits and ends the thread; waits for a handler that runs, as unsubscribe() does.
  void close() noexcept;

 private:
  struct Waiting {
    Event event;
    std::uint64_t only = 0;  // this handler; 0: all
    std::uint64_t at = UINT64_MAX;
  };
  struct Subscriber {
    std::shared_ptr<const Handler> handler;
    std::uint64_t since = 0;
  };
  // mutex_ held, like the next two.
  bool merge_into_waiting(const Event& change, std::uint64_t at);
  void make_room();
  bool in_own_thread() const { return thread_id_ == std::this_thread::get_id(); }
  void run();
  void deliver(std::unique_lock<std::mutex>& lock, const Waiting& waiting);

  mutable std::mutex mutex_;
  std::condition_variable wake_;  // something waits, or closing
  std::condition_variable idle_;  // a handler has returned, or the thread has ended
  std::deque<Waiting> queue_;
  std::map<std::uint64_t, Subscriber> handlers_;
  std::uint64_t last_id_ = 0;
  std::uint64_t running_ = 0;  // the handler that is being called
  bool closing_ = false;
  bool ended_ = false;
  std::atomic<bool> wanted_{false};
  std::thread thread_;
  std::thread::id thread_id_;  // stays when the thread has been left to itself
};

}  // namespace poundlock::client
