#include <vector>

#include "rollout/gate.h"
#include "rollout/references.h"

namespace poundlock::rollout {
namespace {

std::vector<Question> questions(const Plan& plan) {
  return reference_questions(plan, ReferenceSide::kFresh);
}

GateReading judge(const GateInput& in) {
  return judge_references(in, ReferenceSide::kFresh);
}

}  // namespace

const Gate& references_new() {
  static const Gate gate{
      .id = "references_new",
      .title = "references to the new side",
      .why = "A rollback drops the new side again; whatever already refers to it would fail.",
      .unit = "count",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kBlock,
      .moments = static_cast<Moments>(Moment::kUndoExpand),
      .limit = 0,
      .min_samples = 0,
      .questions = questions,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
