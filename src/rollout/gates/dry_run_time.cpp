#include <fmt/format.h>

#include <string>

#include "rollout/gate.h"
#include "rollout/judging.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  const auto seconds = figure(in, "dry_run.blocking_seconds");
  if (!seconds) return no_data(in, "no dry run has measured how long writers are blocked");
  const std::string seen = fmt::format("steps that block writers took {:.2f} s on the shadow", *seconds);
  return *seconds < in.settings.limit ? pass(in, seconds, seen) : violated(in, seconds, seen);
}

}  // namespace

const Gate& dry_run_time() {
  static const Gate gate{
      .id = "dry_run_time",
      .title = "dry run time",
      .why = "Steps that block writers for minutes on the shadow would do so in production.",
      .unit = "s",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kBlock,
      .moments = static_cast<Moments>(Moment::kPrepare),
      .limit = 120,
      .min_samples = 0,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
