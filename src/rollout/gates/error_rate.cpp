#include <utility>
#include <vector>

#include "rollout/gate.h"
#include "rollout/judging.h"

namespace poundlock::rollout {
namespace {

const char* what(const GateInput& in) {
  return judges_fresh(in.moment) ? "attempts on the new side failed" : "attempts on the legacy side failed";
}

GateReading judge(const GateInput& in) {
  if (auto reading = without_attempts(in)) return *std::move(reading);
  std::vector<Rate> parts;
  for (const PathStats& path : in.seen.app->paths) {
    const SideStats& side = judged_side(in, path);
    parts.push_back(rate_of(side, side.counts.errors(), &Block::errors, what(in), path.path));
  }
  return judge_rate(in, parts, sum_of(parts, what(in)));
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
