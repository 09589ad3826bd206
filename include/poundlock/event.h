// What a client tells about itself (OpenFeature specification, section 5).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "poundlock/export.h"

namespace poundlock {

enum class EventType {
  kReady,                 // evaluations answer from a snapshot; again after kStale
  kConfigurationChanged,  // another snapshot, or another override file, is in use
  kStale,                 // the server has been silent for longer than silence_max
  kError,                 // a snapshot was refused; or the server cannot be reached, once for each outage
};
POUNDLOCK_API const char* to_string(EventType type) noexcept;  // "PROVIDER_READY", ...

struct Event {
  EventType type = EventType::kReady;
  std::vector<std::string> flags_changed;  // kConfigurationChanged: keys, sorted
  std::string message;                     // kStale, kError: in plain words
};

namespace client {
class EventQueue;
}  // namespace client

// Ends when it is dropped: keep it as long as the handler shall be called. May outlive its client. Used by
// one thread at a time.
class Subscription {
 public:
  POUNDLOCK_API Subscription() noexcept;  // of nothing
  POUNDLOCK_API Subscription(Subscription&& other) noexcept;
  POUNDLOCK_API Subscription& operator=(Subscription&& other) noexcept;
  POUNDLOCK_API ~Subscription();  // unsubscribe()

  // False where there is no thread or no room for the handler (at most 1,000 of a client).
  POUNDLOCK_API bool active() const noexcept;
  // Afterwards the handler is not called again. Waits for a call that runs, at most 5 seconds, and not at
  // all from within the handler itself.
  POUNDLOCK_API void unsubscribe() noexcept;

 private:
  friend class Client;
  std::weak_ptr<client::EventQueue> queue_;
  std::uint64_t id_ = 0;
};

}  // namespace poundlock
