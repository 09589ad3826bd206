#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "rollout/gate.h"
#include "rollout/judging.h"

namespace poundlock::rollout {
namespace {

// Without figures of applications: do the evaluations that were made here tell of every reader? One that
// evaluates in its own process and reports nothing might leak unseen.
std::optional<double> evaluations_here(const GateInput& in) {
  if (!in.seen.app) return std::nullopt;
  double evaluated = 0;
  for (const ContextStats& context : in.seen.app->contexts)
    evaluated += static_cast<double>(context.evaluated_legacy + context.evaluated_fresh);
  const auto& instances = in.seen.app->instances;
  const bool silent = std::any_of(instances.begin(), instances.end(),
                                  [](const InstanceInfo& one) { return !one.departed && !one.reports; });
  return evaluated > 0 && !silent ? std::optional(evaluated) : std::nullopt;
}

GateReading judge(const GateInput& in) {
  const auto excluded = in.plan.excluded_contexts();
  if (excluded.empty()) return pass(in, 0, "no context is excluded");
  // A leak that was seen counts, whoever else is silent.
  double leaked = 0, wrongly_answered = 0, seen = 0;
  std::string names;
  for (const ContextStats& context : in.seen.app ? in.seen.app->contexts : std::vector<ContextStats>{}) {
    if (std::find(excluded.begin(), excluded.end(), context.context) == excluded.end()) continue;
    leaked += static_cast<double>(context.fresh);
    wrongly_answered += static_cast<double>(context.evaluated_fresh);
    seen += static_cast<double>(context.legacy + context.fresh);
    if (context.fresh + context.evaluated_fresh > 0) names += (names.empty() ? "" : ", ") + context.context;
  }
  if (leaked + wrongly_answered > in.settings.limit) {
    std::string what = counted(leaked, "attempt", "attempts");
    if (wrongly_answered > 0)
      what = (leaked > 0 ? what + " and " : "") + counted(wrongly_answered, "evaluation", "evaluations");
    return violated(in, leaked + wrongly_answered, fmt::format("{} on the new side from {}", what, names));
  }
  if (auto reading = without_application(in)) {
    const auto evaluated = evaluations_here(in);
    if (!evaluated) return *std::move(reading);
    return pass(in, 0,
                fmt::format("{}, none of an excluded context on the new side",
                            counted(*evaluated, "evaluation", "evaluations")));
  }
  return pass(in, leaked,
              fmt::format("{} of excluded contexts, {} of them on the new side",
                          counted(seen, "attempt", "attempts"), count_text(leaked)));
}

}  // namespace

const Gate& excluded_on_new() {
  static const Gate gate{
      .id = "excluded_on_new",
      .title = "excluded contexts on the new side",
      .why =
          "A context that was to stay on legacy (a cron job, a partner) has reached the new side: "
          "targeting leaks.",
      .unit = "count",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kRollback,
      .moments = Moment::kExpose | Moment::kObserve,
      .limit = 0,
      .min_samples = 0,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
