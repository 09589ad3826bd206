// Both paths on the shadow: each statement must prepare wherever the phases need it (legacy before the
// expand and until the drop, new from the expand on), both must give the same rows for the same sampled
// parameters, and the new one must not scan where the legacy one used an index.
#include <fmt/format.h>

#include <algorithm>

#include "engine/checks.h"

namespace poundlock::engine {
namespace {

constexpr int kSamples = 20;
constexpr std::size_t kRowsMax = 20'000;

struct Tally {
  double failures = 0;
  double compared = 0;
  std::string detail;
  void fault(std::string text) {
    failures += 1;
    if (detail.size() < 1'000) detail += (detail.empty() ? "" : "; ") + text;
  }
};

Status prepares(ports::Session& session, const std::string& sql, const std::string& search_path) {
  PL_CHECK(session.run("BEGIN"));
  PL_CHECK(session.run("SET LOCAL search_path = " + search_path));
  auto prepared = session.run("PREPARE poundlock_path AS " + sql);
  if (prepared) (void)session.run("DEALLOCATE poundlock_path");
  PL_CHECK(session.run("ROLLBACK"));
  if (!prepared) return fail(std::move(prepared).error());
  return {};
}

Result<std::string> explain(ports::Session& session, const std::string& sql,
                            const std::vector<ports::Cell>& params, const std::string& search_path) {
  PL_TRY(const auto rows, read_only(session, "EXPLAIN " + sql, params, search_path));
  std::string out;
  for (const auto& row : rows.rows) out += row.empty() ? "" : row[0].value_or("") + "\n";
  return out;
}

void compare(ports::Session& session, const SampledPath& path, const std::string& search_path, Tally& tally) {
  if (!path.problem.empty()) {
    tally.fault(fmt::format("path {}: {}", path.name, path.problem));
    return;
  }
  for (const auto& params : path.samples) {
    auto legacy = read_only(session, path.legacy, params, search_path);
    auto fresh = read_only(session, path.fresh, params, search_path);
    if (!legacy || !fresh) {
      tally.fault(fmt::format("path {}: {}", path.name, (legacy ? fresh : legacy).error().to_string()));
      return;
    }
    if (legacy->columns != fresh->columns) {
      tally.fault(fmt::format("path {}: the two ways give columns of different names", path.name));
      return;
    }
    if (legacy->rows.size() > kRowsMax || fresh->rows.size() > kRowsMax) continue;
    std::sort(legacy->rows.begin(), legacy->rows.end());
    std::sort(fresh->rows.begin(), fresh->rows.end());
    tally.compared += 1;
    if (legacy->rows != fresh->rows) {
      tally.fault(fmt::format("path {}: legacy gives {} rows and new {}, or others, for the same parameters",
                              path.name, legacy->rows.size(), fresh->rows.size()));
      return;
    }
  }
  if (path.samples.empty()) return;
  const auto before = explain(session, path.legacy, path.samples.front(), search_path);
  const auto after = explain(session, path.fresh, path.samples.front(), search_path);
  const auto uses_index = [](const std::string& plan) { return plan.find("Index") != std::string::npos; };
  const auto scans = [](const std::string& plan) { return plan.find("Seq Scan") != std::string::npos; };
  if (before && after && uses_index(*before) && !scans(*before) && scans(*after))
    tally.fault(fmt::format("path {}: legacy uses an index and new scans the table", path.name));
}

Result<CheckResult> paths_on(const CheckContext& context, ShadowUse& shadow) {
  CheckResult out;
  PL_TRY(auto session, shadow.database().connect());
  PL_TRY(const std::string search_path, application_search_path(*session, context.plan));
  Tally tally;
  const auto must_prepare = [&](bool fresh, const char* when) {
    for (const auto& path : context.plan.paths) {
      if (auto status = prepares(*session, fresh ? path.fresh : path.legacy, search_path); !status) {
        tally.fault(fmt::format("path {}, {}, does not work {}: {}", path.name, fresh ? "new" : "legacy",
                                when, status.error().to_string()));
      }
    }
  };
  must_prepare(false, "before the expand");
  PL_CHECK(forward_on_shadow(context, shadow.database(), change::Phase::kDualWrite));
  PL_CHECK(session->run("ANALYZE"));
  must_prepare(false, "after the expand");
  must_prepare(true, "after the expand");
  PL_TRY(const auto paths, sample_paths(*session, context.plan, kSamples, search_path));
  for (const auto& path : paths) compare(*session, path, search_path, tally);
  PL_CHECK(forward_on_shadow(context, shadow.database(), change::Phase::kExpose));
  if (!shadow.info().kept) {
    PL_CHECK(forward_on_shadow(context, shadow.database(), change::Phase::kContract));
    must_prepare(true, "after the contract");
  }
  out.figures = {{"failures", tally.failures}, {"compared", tally.compared}};
  out.detail = tally.failures > 0 ? tally.detail
                                  : fmt::format("{} paths, {:.0f} comparisons equal on {}", paths.size(),
                                                tally.compared, shadow.info().description);
  if (shadow.info().kept) out.detail += "; not tried after the contract, which a clone cannot take back";
  return out;
}

}  // namespace

Result<CheckResult> check_paths(const CheckContext& context) {
  CheckResult out;
  if (!context.ports.shadow || context.plan.paths.empty()) {
    out.detail = context.plan.paths.empty() ? "no paths are declared" : "no shadow is configured";
    return out;
  }
  return on_shadow(context, [&](ShadowUse& shadow) { return paths_on(context, shadow); });
}

}  // namespace poundlock::engine
