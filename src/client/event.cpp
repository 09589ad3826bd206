#include "poundlock/event.h"

#include <utility>

#include "client/event_queue.h"

namespace poundlock {

const char* to_string(EventType type) noexcept {
  switch (type) {
    case EventType::kReady: return "PROVIDER_READY";
    case EventType::kConfigurationChanged: return "PROVIDER_CONFIGURATION_CHANGED";
    case EventType::kStale: return "PROVIDER_STALE";
    case EventType::kError: return "PROVIDER_ERROR";
  }
  return "";
}

Subscription::Subscription() noexcept = default;
Subscription::Subscription(Subscription&& other) noexcept
    : queue_(std::move(other.queue_)), id_(std::exchange(other.id_, 0)) {}
Subscription& Subscription::operator=(Subscription&& other) noexcept {
  if (this == &other) return *this;
  unsubscribe();
  queue_ = std::move(other.queue_);
  id_ = std::exchange(other.id_, 0);
  return *this;
}
Subscription::~Subscription() {
  unsubscribe();
}

bool Subscription::active() const noexcept {
  const auto queue = queue_.lock();
  return queue != nullptr && queue->subscribed(id_);
}

void Subscription::unsubscribe() noexcept {
  const std::uint64_t id = std::exchange(id_, 0);
  const auto queue = queue_.lock();
  if (queue != nullptr && id != 0) queue->unsubscribe(id);
}

}  // namespace poundlock
