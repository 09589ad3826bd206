#include "rollout/gate.h"
#include "rollout/judging.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  return judge_client_errors(in, &flag::Counts::timeouts, &Block::timeouts, "query time-out");
}

}  // namespace

const Gate& query_timeouts() {
  static const Gate gate{
      .id = "query_timeouts",
      .title = "query time-outs",
      .why =
          "Statements run into their time-out, on either side: the database as a whole has become "
          "too slow.",
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
