#include "client/event_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace poundlock::client {

namespace {

std::vector<std::string> both(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<std::string> keys;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(keys));
  return keys;
}

bool is_change(const Event& event) {
  return event.type == EventType::kConfigurationChanged;
}

}  // namespace

std::uint64_t EventQueue::subscribe(std::shared_ptr<const Handler> handler, std::optional<Event> first,
                                    std::uint64_t since) noexcept {
  try {
    std::lock_guard lock(mutex_);
    if (closing_ || !handler || !*handler || handlers_.size() >= kHandlersMax) return 0;
    if (!thread_.joinable()) thread_ = std::thread([self = shared_from_this()] { self->run(); });
    const std::uint64_t id = ++last_id_;
    handlers_.emplace(id, Subscriber{std::move(handler), since});
    wanted_.store(true);
    if (first) {
      make_room();
      queue_.push_back({std::move(*first), id});
      wake_.notify_all();
    }
    return id;
  } catch (...) {  // no thread: the application runs on without events
    return 0;
  }
}

bool EventQueue::subscribed(std::uint64_t id) const noexcept {
  std::lock_guard lock(mutex_);
  return !closing_ && handlers_.count(id) != 0;
}

void EventQueue::unsubscribe(std::uint64_t id) noexcept {
  Subscriber gone;  // what it captured is destroyed outside the lock
  std::unique_lock lock(mutex_);
  const auto found = handlers_.find(id);
  if (found != handlers_.end()) {
    gone = std::move(found->second);
    handlers_.erase(found);
  }
  if (in_own_thread()) return;
  idle_.wait_for(lock, kCallWaitMax, [&] { return running_ != id; });
  lock.unlock();
}

// Changes that nobody has heard of yet are one change: the newest that waits takes it. Past other events only
// where room is short.
bool EventQueue::merge_into_waiting(const Event& change, std::uint64_t at) {
  for (auto one = queue_.rbegin(); one != queue_.rend(); ++one) {
    if (is_change(one->event)) {
      one->event.flags_changed = both(one->event.flags_changed, change.flags_changed);
      one->at = std::max(one->at, at);
      return true;
    }
    if (queue_.size() < kWaitingMax) return false;
  }
  return false;
}

void EventQueue::make_room() {
  if (queue_.size() < kWaitingMax) return;
  auto gone =
      std::find_if(queue_.begin(), queue_.end(), [](const Waiting& one) { return !is_change(one.event); });
  if (gone == queue_.end()) {  // nothing but changes: the two oldest become one
    gone = queue_.begin();
    Waiting& next = *std::next(gone);
    next.event.flags_changed = both(gone->event.flags_changed, next.event.flags_changed);
  }
  queue_.erase(gone);
}

void EventQueue::post(Event event, std::uint64_t at) noexcept {
  try {
    std::lock_guard lock(mutex_);
    if (closing_ || handlers_.empty()) return;
    if (is_change(event) && merge_into_waiting(event, at)) return;
    make_room();
    queue_.push_back({std::move(event), 0, at});
    wake_.notify_all();
  } catch (...) {  // no memory for an event: evaluations matter more
  }
}

void EventQueue::deliver(std::unique_lock<std::mutex>& lock, const Waiting& waiting) {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, subscriber] : handlers_) {
    const bool meant = waiting.only == 0 ? waiting.at > subscriber.since : waiting.only == id;
    if (meant) ids.push_back(id);
  }
  for (const std::uint64_t id : ids) {
    const auto found = handlers_.find(id);
    if (found == handlers_.end() || closing_) continue;
    std::shared_ptr<const Handler> handler = found->second.handler;
    running_ = id;
    lock.unlock();
    try {
      (*handler)(waiting.event);
    } catch (...) {  // the application's code; nothing of ours lets that through
    }
    handler.reset();
    lock.lock();
    running_ = 0;
    idle_.notify_all();
  }
}

void EventQueue::run() {
  std::unique_lock lock(mutex_);
  thread_id_ = std::this_thread::get_id();
  while (true) {
    wake_.wait(lock, [&] { return closing_ || !queue_.empty(); });
    if (closing_) break;
    const Waiting waiting = std::move(queue_.front());
    queue_.pop_front();
    deliver(lock, waiting);
  }
  ended_ = true;
  idle_.notify_all();
}

void EventQueue::close() noexcept {
  std::map<std::uint64_t, Subscriber> gone;  // destroyed outside the lock
  std::thread thread;
  bool over = false;
  {
    std::unique_lock lock(mutex_);
    closing_ = true;
    queue_.clear();
    gone.swap(handlers_);
    wake_.notify_all();
    if (!thread_.joinable()) return;
    over = !in_own_thread() && idle_.wait_for(lock, kCallWaitMax, [this] { return ended_; });
    thread = std::move(thread_);  // of two that close at once, one gets it
  }
  if (!thread.joinable()) return;
  if (over) return thread.join();
  thread.detach();
}

}  // namespace poundlock::client
