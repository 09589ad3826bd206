#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "rollout/gate.h"
#include "rollout/judging.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  if (auto reading = without_application(in)) return *std::move(reading);
  if (!in.seen.published) return no_data(in, "it is not known which revision is published");
  double live = 0;
  double behind = 0;
  std::string names;
  for (const InstanceInfo& one : in.seen.app->instances) {
    if (one.departed) continue;
    ++live;
    const bool silent = !one.connected || one.frozen;
    if (!silent && one.reached(in.seen.published->revision)) continue;
    if (++behind > 5) continue;
    names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", one.instance,
                         silent ? "silent" : "an older revision");
  }
  if (live == 0) return no_data(in, "no reader is registered");
  if (behind > in.settings.limit)
    return hold(in, behind,
                fmt::format("{} of {} readers not on the published revision: {}", count_text(behind),
                            count_text(live), names));
  return pass(
      in, behind,
      fmt::format("all of {} have applied the published revision", counted(live, "reader", "readers")));
}

}  // namespace

const Gate& readers_applied() {
  static const Gate gate{
      .id = "readers_applied",
      .title = "readers have applied the flag",
      .why =
          "A reader that missed a revision still acts on an older one; widening past it would "
          "split the fleet.",
      .unit = "count",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kBlock,
      .moments = Moment::kExpose | Moment::kObserve | Moment::kRelease | Moment::kBeforeDrop,
      .limit = 0,
      .min_samples = 0,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
