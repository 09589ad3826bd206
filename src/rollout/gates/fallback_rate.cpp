#include <utility>
#include <vector>

#include "rollout/gate.h"
#include "rollout/judging.h"

namespace poundlock::rollout {
namespace {

constexpr const char* kWhat = "attempts on the new side fell back to legacy";

GateReading judge(const GateInput& in) {
  if (auto reading = without_application(in)) return *std::move(reading);
  std::vector<Rate> parts;
  for (const PathStats& path : in.seen.app->paths)
    parts.push_back(rate_of(path.fresh, path.fresh.fallbacks, &Block::fallbacks, kWhat, path.path));
  return judge_rate(in, parts, sum_of(parts, kWhat));
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
