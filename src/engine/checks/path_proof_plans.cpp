#include <algorithm>

#include "engine/checks/path_proof.h"
#include "ports/cells.h"

namespace poundlock::engine {
namespace {

constexpr int kPlannedSamples = 3;

}  // namespace

double PathProof::real_rows(const std::string& table) const {
  for (const auto& one : shadow_.info().tables)
    if (one.table.to_sql() == table && one.source_rows >= 0) return one.source_rows;
  const auto found = rows_.find(table);
  return found == rows_.end() ? 0 : found->second * shadow_.info().scale;
}

// A sample's tables are small: an index is worth it only where the table is thought as large as it is.
// Before PostgreSQL 18 the catalog's statistics can be written by a superuser only; without, plans are those
// of the sample. In the transaction of the plan.
Result<ports::StatisticsCopied> PathProof::think_large() {
  PL_TRY(auto copied, context_.ports.shadow->copy_statistics(*session_));
  const double scale = shadow_.info().scale;
  uneven_ = copied.done && scale > 1 && new_columns_;
  if (copied.done || scale <= 1) return copied;
  copied.done = true;
  for (const auto& [table, rows] : rows_) {
    PL_CHECK(session_->run("SAVEPOINT poundlock_scale"));
    copied.done = session_
                      ->run(
                          "UPDATE pg_catalog.pg_class SET reltuples = reltuples * $1::float8::float4"
                          " WHERE oid = $2::regclass",
                          {fmt::format("{}", scale), table})
                      .has_value();
    if (copied.done) continue;
    PL_CHECK(session_->run("ROLLBACK TO SAVEPOINT poundlock_scale"));
    break;
  }
  const std::string why = copied.words.empty() ? "" : "; " + copied.words;
  copied.words =
      copied.done ? fmt::format("ANALYZE of the sample, the number of rows scaled by {:.1f}{}", scale, why)
                  : fmt::format(
                        "ANALYZE of the sample, not scaled: the real tables hold {:.1f} times as many rows,"
                        " which counts only for what is a large table{}",
                        scale, why);
  return copied;
}

// The statistics are written once for all plans: those of a few hundred partitions take longer than the
// plans.
Status PathProof::plan_all() {
  std::vector<std::vector<std::vector<ports::Cell>>> samples;
  for (const auto& path : paths_) {
    samples.emplace_back();
    if (!runnable(path)) continue;
    PL_TRY(auto sampled, sample_path(*session_, context_.plan, *path.spec, kPlannedSamples, search_path_));
    samples.back() = std::move(sampled.samples);
  }
  const Status planned = in_application([&]() -> Status {
    PL_TRY(const auto copied, think_large());
    report_.statistics = copied.words.empty() ? "ANALYZE of the shadow's own rows" : copied.words;
    for (std::size_t i = 0; i < paths_.size(); ++i) PL_CHECK(plan_path(paths_[i], samples[i]));
    return {};
  });
  PL_CHECK(planned);
  for (std::size_t i = 0; i < paths_.size(); ++i) PL_CHECK(judge_estimates(paths_[i], samples[i]));
  return {};
}

// In the transaction that has the statistics, which a statement without a plan must not end.
Status PathProof::in_savepoint(const std::function<Status()>& work) {
  PL_CHECK(session_->run("SAVEPOINT poundlock_plan"));
  const Status done = work();
  if (!session_->broken()) PL_CHECK(session_->run("ROLLBACK TO SAVEPOINT poundlock_plan"));
  return done;
}

Status PathProof::plan_path(const ProvedPath& path, const std::vector<std::vector<ports::Cell>>& samples) {
  bool first = true;
  for (const auto& params : samples) {
    PlanFacts legacy, fresh, legacy_index, fresh_index;
    const auto planned = in_savepoint([&]() -> Status {
      PL_TRY(legacy, plan_facts(*session_, path.spec->legacy, params, {}));
      PL_TRY(fresh, plan_facts(*session_, path.spec->fresh, params, {}));
      PL_TRY(legacy_index, plan_facts(*session_, path.spec->legacy, params, {.sequential = false}));
      PL_TRY(fresh_index, plan_facts(*session_, path.spec->fresh, params, {.sequential = false}));
      return {};
    });
    if (!planned) {
      if (session_->broken()) return planned;
      fault(path, "both", "not_compared", false, "no plan: " + planned.error().message);
      return {};
    }
    judge_plans(path, legacy, fresh);
    judge_indexes(path, legacy_index, fresh_index);
    if (first) PL_CHECK(plan_generic(path, params));
    if (first)
      report_.planned.push_back({path.spec->name, legacy.cost, fresh.cost, legacy.shape, fresh.shape});
    first = false;
  }
  return {};
}

// By the sample's own statistics, since it is the sample's rows that come.
Status PathProof::judge_estimates(const ProvedPath& path,
                                  const std::vector<std::vector<ports::Cell>>& samples) {
  if (path.legacy.writes || path.fresh.writes) return {};
  for (const auto& params : samples) {
    const auto ran =
        in_application([&] { return plan_facts(*session_, path.spec->fresh, params, {.analyze = true}); });
    if (ran && ran->worst_factor > options_.estimate_factor)
      fault(path, "new", "estimate", false,
            fmt::format("the planner guesses wrong by a factor of {:.0f}: {}", ran->worst_factor,
                        ran->worst_node),
            "extended statistics, or a higher statistics target of the new column, after the expand");
  }
  return {};
}

// A prepared statement may be planned once for all parameters. Then a partial index or a partition that each
// single value would lead to is of no use, which the plans for values do not show. PostgreSQL takes that plan
// where it is no dearer, or where it is told to: only then it is an error.
Status PathProof::plan_generic(const ProvedPath& path, const std::vector<ports::Cell>& params) {
  if (path.legacy.highest == 0 && path.fresh.highest == 0) return {};
  PlanFacts legacy, fresh;
  bool forced = false;
  const auto planned = in_savepoint([&]() -> Status {
    PL_TRY(const auto mode,
           session_->run("SELECT pg_catalog.current_setting('plan_cache_mode') = 'force_generic_plan'"));
    forced = ports::to_bool(mode.rows.at(0)[0]);
    PL_TRY(legacy, plan_facts(*session_, path.spec->legacy, params, {.sequential = false, .generic = true}));
    PL_TRY(fresh, plan_facts(*session_, path.spec->fresh, params, {.sequential = false, .generic = true}));
    return {};
  });
  if (!planned) {
    if (session_->broken()) return planned;
    fault(path, "both", "not_compared", false, "no generic plan: " + planned.error().message);
    return {};
  }
  const bool known = std::any_of(report_.findings.begin(), report_.findings.end(), [&](const auto& one) {
    return one.path == path.spec->name && one.kind == "index_lost";
  });
  for (const auto& [table, scan] : legacy.scans) {
    const auto after = fresh.scans.find(table);
    if (known || !scan.by_condition || after == fresh.scans.end() || after->second.by_condition) continue;
    fault(
        path, "new", "index_lost", forced && real_rows(table) >= options_.large_rows,
        fmt::format("planned for any parameters, as a prepared statement may be, legacy finds its rows of {} "
                    "by the index {}, new by none",
                    table, scan.index),
        "an index on the new column that is not partial, or plan_cache_mode = force_custom_plan for it");
  }
  return {};
}

void PathProof::judge_plans(const ProvedPath& path, const PlanFacts& legacy, const PlanFacts& fresh) {
  for (const auto& [table, scan] : fresh.scans) {
    if (!scan.sequential || real_rows(table) < options_.large_rows) continue;
    const auto before = legacy.scans.find(table);
    const bool already = before != legacy.scans.end() && before->second.sequential;
    fault(
        path, already ? "both" : "new", "seq_scan", !already,
        fmt::format("{} all {:.0f} rows of {}", already ? "both read" : "new reads", real_rows(table), table),
        "an index that fits its conditions: indexes: of the rollout file");
  }
  if (fresh.cost > legacy.cost * options_.cost_factor && fresh.cost - legacy.cost > options_.cost_floor)
    fault(
        path, "new", "cost", !uneven_,
        fmt::format(
            "new is planned at {:.0f}, legacy at {:.0f}: more than {:g} times as much ({} in place of {}){}",
            fresh.cost, legacy.cost, options_.cost_factor, fresh.shape, legacy.shape,
            uneven_ ? "; legacy by the real tables' statistics, the new columns by the sample's" : ""));
}

// With sequential scans ruled out, whatever index fits is taken, also on a table that is small or empty here.
void PathProof::judge_indexes(const ProvedPath& path, const PlanFacts& legacy, const PlanFacts& fresh) {
  for (const auto& [table, scan] : legacy.scans) {
    const auto after = fresh.scans.find(table);
    if (!scan.by_condition || after == fresh.scans.end() || after->second.by_condition) continue;
    const bool large = real_rows(table) >= options_.large_rows;
    fault(path, "new", "index_lost", large,
          fmt::format("legacy finds its rows of {} by the index {}, new by none{}", table, scan.index,
                      large ? "" : " (harmless while the table is as small as it is)"),
          "build one on the new column: indexes: of the rollout file");
  }
}

}  // namespace poundlock::engine
