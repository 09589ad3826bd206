// Both of the application's ways work on every schema that they will meet, give the same rows, and the
// new one does not lose an index.
#include <fmt/format.h>

#include "rollout/gate.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  if (in.plan.paths.empty()) {
    return no_data(
        in,
        "no paths are declared, so that neither way is proven; list the application's statements under "
        "paths: or waive it by name (gates: {paths_equal: {waive: \"reason\"}})");
  }
  const auto failures = in.value("paths.failures");
  if (!failures)
    return no_data(in, "the paths were not tried on a shadow; configure one or waive this gate by name");
  if (*failures > in.settings.limit) return violated(in, failures, in.detail("paths.failures"));
  return pass(in, failures, fmt::format("{} paths give the same rows both ways", in.plan.paths.size()));
}

}  // namespace

const Gate& paths_equal() {
  static const Gate gate{
      .id = "paths_equal",
      .title = "both paths work and agree",
      .why = "a statement of the new path that fails or answers otherwise would be found by users instead",
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
