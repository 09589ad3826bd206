#include <fmt/format.h>

#include <string>
#include <utility>

#include "rollout/gate.h"
#include "rollout/judging.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  if (auto reading = without_application(in)) return *std::move(reading);
  std::string names;
  double tripped = 0;
  for (const BreakerState& breaker : in.seen.app->breakers) {
    if (!breaker.open && breaker.trips == 0) continue;
    if (++tripped > 5) continue;  // five names are enough for a person
    names += fmt::format("{}{} at {} ({}{})", names.empty() ? "" : ", ", breaker.path, breaker.instance,
                         breaker.cause, breaker.open ? "" : ", closed again");
  }
  if (tripped > in.settings.limit)
    return violated(in, tripped,
                    fmt::format("{} tripped: {}", counted(tripped, "breaker", "breakers"), names));
  return pass(in, tripped, tripped == 0 ? "no breaker tripped since the mark" : "within the limit: " + names);
}

}  // namespace

const Gate& breakers() {
  static const Gate gate{
      .id = "breakers",
      .title = "circuit breakers",
      .why =
          "A client has cut itself off from the new path. It did so for its own process; this "
          "brings everybody back.",
      .unit = "count",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kRollback,
      .moments = Moment::kExpose | Moment::kObserve | Moment::kRelease,
      .limit = 0,
      .min_samples = 0,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
