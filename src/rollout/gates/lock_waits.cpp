#include <fmt/format.h>

#include <string>

#include "rollout/gate.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  // Of the last minute, so that a pause ends when the cause is gone; the maximum since the mark is told.
  const auto recent = in.value("lock_waits.recent_ms");
  if (!recent) return no_data(in, "nobody watches pg_locks for waits behind our sessions");
  if (*recent > in.settings.limit) {
    return violated(in, recent,
                    fmt::format("an application session waited {:.0f} ms behind us: {}", *recent,
                                in.detail("lock_waits.recent_ms")));
  }
  const double longest = in.value("lock_waits.max_ms").value_or(*recent);
  return pass(in, recent,
              longest == 0
                  ? "no application session waited behind us since the mark"
                  : fmt::format("{:.0f} ms behind us in the last minute, at most {:.0f} ms since the mark",
                                *recent, longest));
}

}  // namespace

const Gate& lock_waits() {
  static const Gate gate{
      .id = "lock_waits",
      .title = "lock waits behind us",
      .why =
          "A statement of the application waited for one of our sessions: what we do must cost "
          "nobody time.",
      .unit = "ms",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kPause,
      .moments = Moment::kExpand | Moment::kDualWrite | Moment::kExpose | Moment::kObserve | Moment::kRelease,
      .limit = 50,
      .min_samples = 0,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
