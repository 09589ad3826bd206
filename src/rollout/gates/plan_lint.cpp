// The plan's own SQL passes the lint rules: no statement that a published guide got wrong reaches a server.
#include "rollout/gate.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  const auto findings = in.value("lint.findings");
  if (!findings) return no_data(in, "the plan's SQL was not linted yet");
  if (*findings > in.settings.limit) return violated(in, findings, in.detail("lint.findings"));
  return pass(in, findings, "no rule objects to the plan's SQL");
}

}  // namespace

const Gate& plan_lint() {
  static const Gate gate{
      .id = "plan_lint",
      .title = "lint of the plan's SQL",
      .why = "an unsafe statement is cheapest to stop before anything has run",
      .unit = "findings",
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
