#include <vector>

#include "rollout/gate.h"
#include "rollout/references.h"

namespace poundlock::rollout {
namespace {

std::vector<Question> questions(const Plan& plan) {
  return reference_questions(plan, ReferenceSide::kLegacy);
}

GateReading judge(const GateInput& in) {
  return judge_references(in, ReferenceSide::kLegacy);
}

}  // namespace

const Gate& references_legacy() {
  static const Gate gate{
      .id = "references_legacy",
      .title = "references to the legacy side",
      .why = "Whatever still refers to the legacy side fails with the first statement after the drop.",
      .unit = "count",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kBlock,
      .moments = static_cast<Moments>(Moment::kBeforeDrop),
      .limit = 0,
      .min_samples = 0,
      .questions = questions,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
