#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "rollout/gate.h"
#include "rollout/judging.h"
#include "rollout/question_text.h"

namespace poundlock::rollout {
namespace {

constexpr int kSampledBlocks = 60;

// Some blocks of the table, chosen anew each time; a partitioned table has its blocks in its partitions.
// `rows`: new is not up(legacy); `open`: nor is legacy down(new), which is what counts once the new side may
// be written.
std::vector<Question> questions(const Plan& plan) {
  std::vector<Question> out;
  for (const change::InStep& step : in_steps_of(plan)) {
    Question one;
    one.name = fmt::format("sample_{}", out.size() + 1);
    const std::string& open = step.out_of_step_open.empty() ? step.out_of_step : step.out_of_step_open;
    one.sql = fmt::format(
        "SELECT count(*) AS sampled, count(*) FILTER (WHERE {}) AS rows, count(*) FILTER (WHERE {}) AS open "
        "FROM {} TABLESAMPLE SYSTEM ((WITH RECURSIVE tree AS (SELECT $1::regclass::oid AS oid UNION "
        "SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN tree ON tree.oid = i.inhparent) "
        "SELECT least(100.0, 100.0 * {} / greatest(1, sum(pg_catalog.pg_relation_size(tree.oid)) "
        "/ pg_catalog.current_setting('block_size')::bigint)) FROM tree))",
        step.out_of_step, open, step.table, kSampledBlocks);
    one.params = {step.table};
    one.every = Millis{5000};
    out.push_back(std::move(one));
  }
  return out;
}

GateReading judge(const GateInput& in) {
  const std::size_t tables = in_steps_of(in.plan).size();
  if (tables == 0) return pass(in, 0, "nothing is kept in step, so nothing can differ");
  double sampled = 0;
  double mismatches = 0;
  for (std::size_t i = 1; i <= tables; ++i) {
    const std::string name = fmt::format("sample_{}", i);
    const auto rows = in.value(name + ".sampled");
    const auto differing = in.value(name + (judges_fresh(in.moment) ? ".open" : ".rows"));
    if (in.dropped && !rows) continue;  // its legacy column is gone
    if (!rows || !differing) return no_data(in, "the table has not been sampled within 15 s");
    sampled += *rows;
    mismatches += *differing;
  }
  const std::string seen = fmt::format("{} of {} sampled just now out of step", count_text(mismatches),
                                       counted(sampled, "row", "rows"));
  return mismatches > in.settings.limit ? violated(in, mismatches, seen) : pass(in, mismatches, seen);
}

}  // namespace

const Gate& sampled_mismatches() {
  static const Gate gate{
      .id = "sampled_mismatches",
      .title = "sampled mismatches",
      .why =
          "Something writes past the sync trigger: a replica role, a disabled trigger, a COPY into "
          "a partition.",
      .unit = "rows",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kRollback,
      .compares_sides = true,
      .moments =
          Moment::kDualWrite | Moment::kExpose | Moment::kObserve | Moment::kRelease | Moment::kBeforeDrop,
      .limit = 0,
      .min_samples = 0,
      .questions = questions,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
