#include "rollout/gate.h"
#include "rollout/judging.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  return judge_client_errors(in, &flag::Counts::connection, &Block::connection, "connection time-out");
}

}  // namespace

const Gate& connection_timeouts() {
  static const Gate gate{
      .id = "connection_timeouts",
      .title = "connection time-outs",
      .why =
          "Applications cannot connect: pools are full of statements that wait, or the server has "
          "no slots left.",
      .unit = "%",
      .gate_class = GateClass::kHealth,
      .on_failure = OnFailure::kRollback,
      .moments = Moment::kExpand | Moment::kDualWrite | Moment::kExpose | Moment::kObserve |
                 Moment::kRelease | Moment::kBeforeDrop,
      .limit = 0.1,
      .min_samples = 0,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
