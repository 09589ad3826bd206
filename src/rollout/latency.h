// Has a quantile of the application's latency grown past the limit? Shared by latency_p95 and latency_p99.
#pragma once

#include "rollout/gate.h"

namespace poundlock::rollout {

// A difference this small is never judged: below it, scheduling and a cold statement cache outweigh what
// the schema does, and a gate on 15 % of half a millisecond would roll back healthy changes.
inline constexpr double kLatencySlackMicros = 250;

// For each path: the judged side's samples above T = max(limit U, U + slack), U being the upper order
// statistic of the control's q-quantile, are tested against 1 - q (statistics.h). The control is the legacy
// side of the same window, else the recorded baseline. `settings.limit` is the ratio (1.15).
GateReading judge_latency(const GateInput& in, double q);

}  // namespace poundlock::rollout
