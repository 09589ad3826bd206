#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rollout/gate.h"
#include "rollout/judging.h"
#include "rollout/question_text.h"

namespace poundlock::rollout {
namespace {

// What we ourselves cause: the samples of sampled_mismatches, one each five seconds and table.
constexpr double kOurScansEachSecond = 0.2;
constexpr double kScansAllowed = 10;

constexpr std::string_view kSql = R"sql(
WITH target AS (
  SELECT DISTINCT c.oid AS relid FROM unnest($1::text[], $2::text[]) AS t(s, n)
  JOIN pg_catalog.pg_namespace n ON n.nspname = t.s
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.n
), fresh AS (
  SELECT DISTINCT i.indexrelid FROM pg_catalog.pg_index i JOIN target t ON t.relid = i.indrelid
  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
  WHERE a.attname = ANY ($3::text[])
)
SELECT (SELECT count(*) FROM fresh) AS indexes,
       (SELECT coalesce(sum(s.idx_scan), 0) FROM pg_catalog.pg_stat_all_indexes s
        WHERE s.indexrelid IN (SELECT indexrelid FROM fresh)) AS index_scans,
       (SELECT coalesce(sum(s.seq_scan), 0) FROM pg_catalog.pg_stat_all_tables s
        WHERE s.relid IN (SELECT relid FROM target)) AS table_scans,
       (SELECT count(*) FROM target) AS tables,
       extract(epoch FROM clock_timestamp()) AS clock_s)sql";

std::vector<Question> questions(const Plan& plan) {
  if (plan.fresh.empty()) return {};
  std::vector<std::string> columns;
  for (const change::ColumnRef& column : plan.fresh) columns.push_back(column.column);
  Question out;
  out.name = "scans";
  out.sql = kSql;
  out.params = table_params(plan);
  out.params.push_back(text_array(columns));
  out.every = Millis{3000};
  out.in_baseline = true;
  return {std::move(out)};
}

// Scans of whole tables for each attempt before the change; small tables are scanned by right.
double scans_before(const GateInput& in) {
  if (!in.baseline) return 0;
  double attempts = 0;
  for (const auto& [name, path] : in.baseline->paths) attempts += static_cast<double>(path.attempts);
  const auto found = in.baseline->differences.find("scans.table_scans");
  if (found == in.baseline->differences.end() || attempts == 0) return 0;
  return std::max(0.0, found->second) / attempts;
}

GateReading judge(const GateInput& in) {
  if (in.plan.fresh.empty()) return pass(in, std::nullopt, "the change has no new side");
  if (auto reading = without_application(in)) return *std::move(reading);
  const auto indexes = in.value("scans.indexes");
  const auto used = in.since_mark("scans.index_scans");
  const auto scans = in.since_mark("scans.table_scans");
  const auto seconds = in.since_mark("scans.clock_s");
  if (!indexes || !used || !scans || !seconds) return no_data(in, "the scans since the mark are not known");
  double attempts = 0;
  double all = 0;
  for (const PathStats& path : in.seen.app->paths) {
    attempts += static_cast<double>(path.fresh.counts.attempts);
    all += static_cast<double>(path.fresh.counts.attempts + path.legacy.counts.attempts);
  }
  if (attempts == 0) return no_data(in, "no attempt on the new side yet");
  const double ours = kOurScansEachSecond * in.value("scans.tables").value_or(1) * *seconds;
  const double more = std::max(0.0, *scans - ours - 1.15 * scans_before(in) * all);
  const double ratio = more / attempts;
  const std::string seen = fmt::format(
      "{} of whole tables more than before and {} of the new indexes in {} on the new side",
      counted(more, "scan", "scans"), count_text(*used), counted(attempts, "attempt", "attempts"));
  if (more > kScansAllowed && ratio > in.settings.limit) return violated(in, ratio, seen);
  const double needed = static_cast<double>(in.settings.min_samples);
  if (attempts < needed)
    return hold(in, ratio, fmt::format("{}; {} are needed for a verdict", seen, count_text(needed)));
  return pass(in, ratio, seen);
}

}  // namespace

const Gate& index_usage() {
  static const Gate gate{
      .id = "index_usage",
      .title = "plans use the indexes",
      .why =
          "The new statements scan the whole table where the old ones used an index: cheap at 1 %, "
          "deadly at 100 %.",
      .unit = "ratio",
      .gate_class = GateClass::kHealth,
      .on_failure = OnFailure::kPause,
      .compares_application = true,
      .moments = Moment::kExpose | Moment::kObserve,
      .limit = 0.01,
      .min_samples = 1'000,
      .questions = questions,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
