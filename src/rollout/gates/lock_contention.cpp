#include <fmt/format.h>

#include <string>

#include "rollout/gate.h"
#include "rollout/judging.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  const auto waits = figure(in, "dry_run.contention");
  if (!waits) return no_data(in, "no dry run has replayed the application's statements beside the steps");
  const std::string detail = in.detail("dry_run.contention");
  if (*waits > in.settings.limit) {
    return violated(in, waits,
                    fmt::format("{} waited for a step: {}",
                                counted(*waits, "replayed statement", "replayed statements"), detail));
  }
  return pass(in, waits, "no replayed statement waited for a step");
}

}  // namespace

const Gate& lock_contention() {
  static const Gate gate{
      .id = "lock_contention",
      .title = "lock contention in the dry run",
      .why =
          "A statement of the application that waits for a step on the shadow waits for it in "
          "production.",
      .unit = "count",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kBlock,
      .moments = static_cast<Moments>(Moment::kPrepare),
      .limit = 0,
      .min_samples = 0,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
