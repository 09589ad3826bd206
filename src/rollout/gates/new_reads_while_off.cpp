#include <fmt/format.h>

#include <string>
#include <vector>

#include "rollout/gate.h"
#include "rollout/judging.h"
#include "rollout/statements.h"

namespace poundlock::rollout {
namespace {

std::vector<Question> questions(const Plan& plan) {
  return {statements_question(plan)};
}

GateReading judge(const GateInput& in) {
  if (in.plan.fresh.empty()) return pass(in, 0, "the change has no new side that could be read");
  double attempts = 0;
  if (in.seen.app) {
    for (const PathStats& path : in.seen.app->paths)
      attempts += static_cast<double>(path.fresh.counts.attempts);
  }
  const auto reads = in.since_mark("statements.fresh_reads");
  const double total = attempts + reads.value_or(0);
  if (total > in.settings.limit) {
    const std::string what =
        reads.value_or(0) > 0 ? in.detail("statements.fresh_reads") : "the application's new paths";
    return violated(
        in, total,
        fmt::format("{} of the new side since the mark: {}", counted(total, "read", "reads"), what));
  }
  if (const auto unknown = statements_unknown(in)) return no_data(in, *unknown);
  if (!reads) return no_data(in, "the count since the mark has not begun");
  return pass(in, total, "no statement and no application path reads the new side");
}

}  // namespace

const Gate& new_reads_while_off() {
  static const Gate gate{
      .id = "new_reads_while_off",
      .title = "reads of the new side while the flag is off",
      .why =
          "Until the flag opens it the new side is not proven; who reads it already sees "
          "unverified data.",
      .unit = "count",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kBlock,
      .moments = static_cast<Moments>(Moment::kDualWrite),
      .limit = 0,
      .min_samples = 0,
      .questions = questions,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
