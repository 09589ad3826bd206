// Time as the whole product sees it: milliseconds, passed in. Only the programs own a real clock, so
// that the same code runs under a fake one (simulator, tests).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace poundlock {

using Millis = std::chrono::milliseconds;

// Milliseconds since the Unix epoch, as the injected clock tells it.
struct TimePoint {
  std::int64_t ms = 0;
  auto operator<=>(const TimePoint&) const = default;
};
inline Millis operator-(TimePoint later, TimePoint earlier) {
  return Millis{later.ms - earlier.ms};
}
inline TimePoint operator+(TimePoint at, Millis by) {
  return TimePoint{at.ms + by.count()};
}

// Implementations are thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;  // wall time, for people and records; may jump
  // Never goes back; unrelated to wall time. For durations.
  virtual TimePoint steady() const = 0;
  virtual void sleep(Millis duration) = 0;  // a fake clock advances itself instead
};

// "90s", "15m", "72h", "14d", "250ms", and sums of them such as "1h30m". At most 3650 days.
Result<Millis> parse_duration(std::string_view text);
std::string format_duration(Millis duration);  // "14d", "1h30m", "850ms": what parse_duration reads
std::string format_timestamp(TimePoint at);    // RFC 3339 in UTC with milliseconds

}  // namespace poundlock
