#include <fmt/format.h>

#include <string>

#include "rollout/gate.h"
#include "rollout/judging.h"
#include "rollout/question_text.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  if (in_steps_of(in.plan).empty()) return pass(in, 0, "nothing is kept in step, so nothing can differ");
  const auto mismatches = figure(in, "verify.mismatches");
  if (!mismatches) return no_data(in, "no verify has finished");
  const auto rows = figure(in, "verify.rows");
  const std::string seen =
      fmt::format("{} of {} out of step", count_text(*mismatches), counted(rows.value_or(0), "row", "rows"));
  return *mismatches > in.settings.limit ? violated(in, mismatches, seen) : pass(in, mismatches, seen);
}

}  // namespace

const Gate& verify_mismatches() {
  static const Gate gate{
      .id = "verify_mismatches",
      .title = "mismatches found by verify",
      .why = "A row whose two sides differ shows another value to whoever is moved to the new side.",
      .unit = "count",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kBlock,
      .compares_sides = true,
      .moments = Moment::kDualWrite | Moment::kExpose | Moment::kBeforeDrop,
      .limit = 0,
      .min_samples = 0,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
