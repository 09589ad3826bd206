// The real clock, for programs. Thread-safe.
#pragma once

#include "base/time.h"

namespace poundlock::telemetry {

class SystemClock final : public Clock {
 public:
  TimePoint now() const override;
  TimePoint steady() const override;
  void sleep(Millis duration) override;
};

}  // namespace poundlock::telemetry
