#include <algorithm>
#include <utility>
#include <vector>

#include "rollout/gate.h"
#include "rollout/judging.h"
#include "rollout/statistics.h"

namespace poundlock::rollout {
namespace {

const char* what(const GateInput&) {
  return "attempts on the new side fell back to legacy";
}

// How bursty failures are stands in for how bursty fallbacks are: each fallback follows a failed read.
Rate rate_of(const GateInput& in, const PathStats& path) {
  const SideStats& side = path.fresh;
  std::vector<BlockCount> blocks;
  for (const Block& block : side.blocks) blocks.push_back({block.errors, block.attempts});
  return {static_cast<double>(side.fallbacks), static_cast<double>(side.counts.attempts),
          block_variance(blocks), what(in), path.path};
}

GateReading judge(const GateInput& in) {
  if (auto reading = without_application(in)) return *std::move(reading);
  std::vector<Rate> parts;
  Rate total;
  total.events_are = what(in);
  for (const PathStats& path : in.seen.app->paths) {
    parts.push_back(rate_of(in, path));
    total.events += parts.back().events;
    total.trials += parts.back().trials;
    total.variance = std::max(total.variance, parts.back().variance);
  }
  return judge_rate(in, parts, total);
}

}  // namespace

const Gate& fallback_rate() {
  static const Gate gate{
      .id = "fallback_rate",
      .title = "fallback rate",
      .why =
          "Fallbacks keep users from seeing errors, and so hide that the new path does not carry "
          "its load.",
      .unit = "%",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kRollback,
      .moments = Moment::kExpose | Moment::kObserve | Moment::kRelease,
      .limit = 0.1,
      .min_samples = 10'000,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
