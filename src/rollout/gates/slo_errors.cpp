#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "rollout/gate.h"
#include "rollout/judging.h"
#include "rollout/statistics.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  if (auto reading = without_attempts(in)) return *std::move(reading);
  double errors = 0;
  double units = 0;
  Recent recent;
  for (const PathStats& path : in.seen.app->paths) {
    for (const SideStats* side : {&path.legacy, &path.fresh}) {
      errors += static_cast<double>(side->user_errors);
      units += static_cast<double>(side->counts.attempts);
      recent.add(*side, &Block::user_errors);
    }
    // A fallback is a second attempt of the same unit of work.
    units -= static_cast<double>(std::min(path.fresh.fallbacks, path.legacy.counts.attempts));
  }
  if (units <= 0 && in.moment != Moment::kBeforeDrop)
    return no_data(in, "the application has done nothing yet");
  const double rate = units > 0 ? errors / units : 0;
  const double limit = in.settings.limit / 100;
  const std::string seen = fmt::format("{} of {} units of work ended in an error for the user, {}",
                                       count_text(errors), count_text(units), percent_text(rate));
  if (rate_against(errors, units, limit, budget(in)) == Against::kAbove)
    return violated(in, 100 * rate, fmt::format("{}: over {}", seen, percent_text(limit)));
  if (recent.above(limit, budget(in), units))
    return violated(in, 100 * recent.events / recent.trials,
                    fmt::format("{} of the newest {} attempts ended in an error for the user: over {}",
                                count_text(recent.events), count_text(recent.trials), percent_text(limit)));
  const double needed = static_cast<double>(in.settings.min_samples);
  if (units < needed && !only_failures_count(in.moment))
    return hold(in, 100 * rate, fmt::format("{}; {} are needed for a verdict", seen, count_text(needed)));
  return pass(in, 100 * rate, fmt::format("{}: not over {}", seen, percent_text(limit)));
}

}  // namespace

const Gate& slo_errors() {
  static const Gate gate{
      .id = "slo_errors",
      .title = "errors seen by users",
      .why =
          "Users see errors, whichever side causes them: comparing the sides is blind to what "
          "hurts both.",
      .unit = "%",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kRollback,
      .moments = Moment::kBaseline | Moment::kExpand | Moment::kDualWrite | Moment::kExpose |
                 Moment::kObserve | Moment::kRelease | Moment::kBeforeDrop,
      .limit = 2,
      .min_samples = 1'000,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
