#include "rollout/gate.h"
#include "rollout/latency.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  return judge_latency(in, 0.95);
}

}  // namespace

const Gate& latency_p95() {
  static const Gate gate{
      .id = "latency_p95",
      .title = "latency p95",
      .why =
          "Users of the new side wait longer than users of the old one: a missing index, a worse "
          "plan, a slower trigger.",
      .unit = "ratio",
      .gate_class = GateClass::kDifferential,
      .on_failure = OnFailure::kRollback,
      .compares_application = true,
      .moments = Moment::kExpose | Moment::kObserve | Moment::kRelease,
      .limit = 1.15,
      .min_samples = 10'000,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
