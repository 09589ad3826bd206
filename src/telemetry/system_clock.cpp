#include "telemetry/system_clock.h"

#include <chrono>
#include <thread>

namespace poundlock::telemetry {
namespace {

template <typename Source>
TimePoint read() {
  return TimePoint{std::chrono::duration_cast<Millis>(Source::now().time_since_epoch()).count()};
}

}  // namespace

TimePoint SystemClock::now() const {
  return read<std::chrono::system_clock>();
}
TimePoint SystemClock::steady() const {
  return read<std::chrono::steady_clock>();
}
void SystemClock::sleep(Millis duration) {
  std::this_thread::sleep_for(duration);
}

}  // namespace poundlock::telemetry
