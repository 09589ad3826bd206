// The whole change has gone forth, back and forth again on the shadow, and left nothing behind.
#include "rollout/gate.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  const auto failures = in.value("rehearsal.failures");
  if (!failures) return no_data(in, "nothing was rehearsed; configure a shadow or waive this gate by name");
  if (*failures > in.settings.limit) return violated(in, failures, in.detail("rehearsal.failures"));
  return pass(in, failures, in.detail("rehearsal.failures"));
}

}  // namespace

const Gate& rehearsal() {
  static const Gate gate{
      .id = "rehearsal",
      .title = "rehearsal forth and back",
      .why = "the way back is needed at night and under load; it must have been walked before",
      .unit = "failures",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kBlock,
      .moments = static_cast<Moments>(Moment::kPrepare),
      .limit = 0,
      .min_samples = 0,
      .deadline = Millis{30 * 60'000},
      .questions = nullptr,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
