#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "rollout/gate.h"
#include "rollout/judging.h"
#include "rollout/question_text.h"
#include "rollout/statements.h"

namespace poundlock::rollout {
namespace {

std::vector<Question> questions(const Plan& plan) {
  return {statements_question(plan)};
}

constexpr double kSecondsMin = 5;
constexpr double kBaselineRowsMin = 100;

// Row versions for each row of the application's statements before the change: foreign keys that cascade and
// triggers of the application make it larger than 1.
double before(const GateInput& in) {
  if (!in.baseline) return 1;
  const auto grown = [&](const char* name) {
    const auto found = in.baseline->differences.find(name);
    return found == in.baseline->differences.end() ? 0 : found->second;
  };
  const double rows = grown("statements.write_rows");
  if (rows < kBaselineRowsMin) return 1;
  return std::max(1.0, (grown("statements.versions") - grown("statements.own_rows")) / rows);
}

GateReading judge(const GateInput& in) {
  if (in_steps_of(in.plan).empty())
    return pass(in, std::nullopt, "nothing is kept in step, so nothing is written twice");
  if (const auto unknown = statements_unknown(in)) return no_data(in, *unknown);
  const auto rows = in.since_mark("statements.write_rows");
  const auto versions = in.since_mark("statements.versions");
  const auto own = in.since_mark("statements.own_rows");
  const auto seconds = in.since_mark("statements.clock_s");
  if (!rows || !versions || !own || !seconds) return no_data(in, "the counts since the mark have not begun");
  const double theirs = std::max(0.0, *versions - *own);
  if (*seconds < kSecondsMin)
    return hold(in, std::nullopt, "table statistics lag by up to a second: too early to tell");
  const std::string seen = fmt::format("{} row versions for {} of the application's statements",
                                       count_text(theirs), counted(*rows, "row", "rows"));
  // Statistics of tables come up to a second later than those of statements: so much may be missing.
  const double slack = *rows / *seconds;
  const double scale = before(in) * std::max(1.0, *rows);
  const double ratio = theirs / scale;
  if (*rows < static_cast<double>(in.settings.min_samples)) {
    // A table with few writes: exact counts after a minute, with room for those not yet reported.
    if (*seconds >= 60 && theirs <= in.settings.limit * before(in) * *rows + 10)
      return pass(in, ratio, seen + ", few as they are");
    return hold(in, ratio,
                fmt::format("{}; {} rows are needed for a verdict", seen,
                            count_text(static_cast<double>(in.settings.min_samples))));
  }
  if ((theirs - slack) / scale > in.settings.limit)
    return violated(in, ratio, fmt::format("{}: {:.2f} times the baseline", seen, ratio));
  if (ratio > in.settings.limit)
    return hold(
        in, ratio,
        fmt::format("{}: {:.2f} times the baseline, but within what is not yet reported", seen, ratio));
  return pass(in, ratio, fmt::format("{}: {:.2f} times the baseline", seen, ratio));
}

}  // namespace

const Gate& write_amplification() {
  static const Gate gate{
      .id = "write_amplification",
      .title = "write amplification",
      .why =
          "Keeping both sides in step must not write rows twice: a second UPDATE of each row "
          "doubles bloat and WAL.",
      .unit = "ratio",
      .gate_class = GateClass::kHealth,
      .on_failure = OnFailure::kPause,
      .moments = static_cast<Moments>(Moment::kDualWrite),
      .limit = 1.15,
      .min_samples = 1'000,
      .questions = questions,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
