#include <fmt/format.h>

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
  if (in.plan.fresh.empty()) return pass(in, 0, "the change adds no column");
  const auto star = in.value("statements.star");
  if (star && *star > in.settings.limit) {
    return violated(
        in, star,
        fmt::format("{} with SELECT *, RETURNING * or a whole row: {}; list the columns there and "
                    "reset pg_stat_statements, or waive this gate by name",
                    counted(*star, "statement", "statements"), in.detail("statements.star")));
  }
  if (const auto unknown = statements_unknown(in)) return no_data(in, *unknown);
  if (!star) return no_data(in, "pg_stat_statements has not been read yet");
  return pass(in, star, "no statement of others takes all columns of the table");
}

}  // namespace

const Gate& select_star() {
  static const Gate gate{
      .id = "select_star",
      .title = "SELECT * on the table",
      .why =
          "A new column changes what SELECT * and RETURNING * yield: prepared ones fail with 0A000 "
          "at once.",
      .unit = "count",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kBlock,
      .moments = Moment::kBaseline | Moment::kPrepare,
      .limit = 0,
      .min_samples = 0,
      .questions = questions,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
