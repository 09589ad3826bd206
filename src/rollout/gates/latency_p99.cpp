#include "rollout/gate.h"
#include "rollout/latency.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  return judge_latency(in, 0.99);
}

}  // namespace

const Gate& latency_p99() {
  static const Gate gate{
      .id = "latency_p99",
      .title = "latency p99",
      .why = "The slowest one in a hundred tells of lock waits and wrong plans that an average hides.",
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
