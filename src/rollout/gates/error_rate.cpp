#include <algorithm>
#include <utility>
#include <vector>

#include "rollout/gate.h"
#include "rollout/judging.h"
#include "rollout/statistics.h"

namespace poundlock::rollout {
namespace {

const char* what(const GateInput& in) {
  return judges_fresh(in.moment) ? "attempts on the new side failed" : "attempts on the legacy side failed";
}

Rate rate_of(const GateInput& in, const PathStats& path) {
  const SideStats& side = judged_side(in, path);
  std::vector<BlockCount> blocks;
  for (const Block& block : side.blocks) blocks.push_back({block.errors, block.attempts});
  return {static_cast<double>(side.counts.errors()), static_cast<double>(side.counts.attempts),
          block_variance(blocks), what(in), path.path};
}

GateReading judge(const GateInput& in) {
  if (auto reading = without_attempts(in)) return *std::move(reading);
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

const Gate& error_rate() {
  static const Gate gate{
      .id = "error_rate",
      .title = "error rate",
      .why =
          "Statements fail on the judged side. Attempts count before any fallback, which would "
          "hide a broken path.",
      .unit = "%",
      .gate_class = GateClass::kDifferential,
      .on_failure = OnFailure::kRollback,
      .moments = Moment::kBaseline | Moment::kDualWrite | Moment::kExpose | Moment::kObserve |
                 Moment::kRelease | Moment::kBeforeDrop,
      .limit = 0.1,
      .min_samples = 10'000,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
