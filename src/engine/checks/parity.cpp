// Staging against production, as `poundlock parity` compares them: what touches the change's tables counts,
// the rest blocks nothing.
#include <fmt/format.h>

#include "engine/checks.h"
#include "engine/checks/parity_sides.h"

namespace poundlock::engine {
namespace {

constexpr std::size_t kShown = 10;

Result<Side> side_of(const CheckContext& context, ports::Database& database) {
  PL_TRY(auto session, database.connect());
  const auto& whole = context.ports.load_whole_catalog;
  return read_side(*session, whole ? whole : context.ports.load_catalog);
}

std::string line_of(const Difference& one) {
  return fmt::format("{} {} is {} in staging, {} in production", one.kind, one.object,
                     one.from.value_or("missing"), one.to.value_or("missing"));
}

}  // namespace

Result<CheckResult> check_parity(const CheckContext& context) {
  CheckResult out;
  if (!context.ports.databases.staging) {
    out.detail = "no staging environment is named by `parity:` in poundlock.yaml";
    return out;
  }
  PL_TRY(auto production, side_of(context, *context.ports.databases.primary));
  PL_TRY(auto staging, side_of(context, *context.ports.databases.staging));
  if (production.identity == staging.identity) {
    // Equal in everything, and proof of nothing.
    out.detail = "staging and production are one and the same database in poundlock.yaml";
    return out;
  }
  rename_roles(production, context.ports.primary_roles);
  rename_roles(staging, context.ports.staging_roles);
  const Concern concern{tables_of(context.plan), {}};
  const auto differences = compare_sides(staging, production, &concern);
  const std::size_t count = blocking(differences);
  out.figures["differences"] = static_cast<double>(count);
  std::size_t shown = 0;
  for (const auto& one : differences) {
    if (!one.blocking || shown == kShown) continue;
    out.detail += (shown++ ? "; " : "") + line_of(one);
  }
  if (count > shown) out.detail += fmt::format("; and {} more", count - shown);
  if (count == 0) out.detail = "server, settings, extensions and the tables concerned are alike";
  if (differences.size() > count)
    out.detail +=
        fmt::format("; {} differences elsewhere, which `poundlock parity` shows", differences.size() - count);
  return out;
}

}  // namespace poundlock::engine
