// The whole change on the shadow: forth, back, forth again, through the contract. The schema and the data
// must be as before after the way back, nothing of ours may be left, and the write cost of the expand is
// measured: production's WAL per write is later held to it.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.h"
#include "engine/checks.h"
#include "engine/leftovers.h"
#include "schema/catalog.h"
#include "schema/identifier.h"

namespace poundlock::engine {
namespace {

constexpr int kWrittenRows = 1'000;
constexpr int kLivingRounds = 20;

Result<std::string> fingerprint_of(const CheckContext& context, ports::Session& session) {
  PL_TRY(const auto catalog, context.ports.load_catalog(session));
  return schema::fingerprint(catalog, {false, {"poundlock"}}).text;
}

// Counts and sums every row's text with its content as hash, so that a changed value cannot hide.
Result<std::string> data_of(const CheckContext& context, ports::Session& session) {
  std::string out;
  for (const auto& table : tables_of(context.plan)) {
    PL_TRY(
        const auto rows,
        session.run(fmt::format(
            "SELECT count(*)::text || ':' || coalesce(sum(pg_catalog.hashtextextended(t::text, 0)::numeric),"
            " 0)::text FROM {} t",
            table.to_sql())));
    out += rows.rows.at(0).at(0).value_or("") + "\n";
  }
  return out;
}

struct Wal {
  double records = 0, bytes = 0;  // a row; bytes without full-page images, which come with checkpoints
};

// EXPLAIN ANALYZE of an update of the first legacy column on scattered rows, as an application's writes are.
std::string scattered_update(const change::ColumnRef& column, int seed) {
  const std::string table = schema::QualifiedName{column.schema, column.table}.to_sql();
  const std::string name = schema::quote_identifier(column.column);
  return fmt::format(
      "EXPLAIN (ANALYZE, WAL, TIMING OFF, FORMAT JSON) UPDATE {0} t SET {1} = s.v"
      " FROM (SELECT ctid c, lag({1}) OVER () v FROM (SELECT ctid, {1} FROM {0}"
      " ORDER BY pg_catalog.hashtextextended(ctid::text, {3}) LIMIT {2}) x) s"
      " WHERE t.ctid = s.c AND s.v IS NOT NULL AND t.{1} IS DISTINCT FROM s.v",
      table, name, kWrittenRows, seed);
}

// A table that was just copied is packed; one that lives has room on its pages, and a write then costs less.
// Without this, what the backfill's fuller pages cost would be no surprise here and one in production.
Status live_a_little(const CheckContext& context, ports::Session& session) {
  for (int round = 0; round < kLivingRounds && !context.plan.legacy.empty(); ++round)
    PL_CHECK(session.run(scattered_update(context.plan.legacy.front(), round)));
  return {};
}

// What such an update writes, taken back.
Result<Wal> wal_of_updates(const CheckContext& context, ports::Session& session) {
  constexpr double kPageBytes = 8192;
  if (context.plan.legacy.empty()) return Wal{};
  PL_CHECK(session.run("BEGIN"));
  auto explained = session.run(scattered_update(context.plan.legacy.front(), kLivingRounds));
  PL_CHECK(session.run("ROLLBACK"));
  if (!explained) return fail(std::move(explained).error());
  PL_TRY(const auto json,
         json::parse(explained->rows.at(0).at(0).value_or("[]"), "EXPLAIN", json::kOwnLimits));
  const auto& top = json.as_array().at(0).as_object().at("Plan").as_object();
  const auto number = [&](const json::Object& node, std::string_view key) {
    const auto* value = node.if_contains(key);
    return value && value->is_number() ? value->to_number<double>() : 0.0;
  };
  const auto* below = top.if_contains("Plans");
  const double rows = below ? number(below->as_array().at(0).as_object(), "Actual Rows") : 0;
  if (rows < 1) return Wal{};
  const double bytes = number(top, "WAL Bytes") - number(top, "WAL FPI") * kPageBytes;
  return Wal{number(top, "WAL Records") / rows, std::max(0.0, bytes) / rows};
}

std::string first_difference(const std::string& a, const std::string& b) {
  std::size_t at = 0;
  while (at < a.size() && at < b.size() && a[at] == b[at]) ++at;
  const std::size_t line = a.rfind('\n', at) == std::string::npos ? 0 : a.rfind('\n', at) + 1;
  return a.substr(line, a.find('\n', at) - line);
}

Status through_the_drop(const CheckContext& context, ports::Database& database) {
  for (const auto phase : {change::Phase::kDualWrite, change::Phase::kExpose, change::Phase::kContract})
    PL_CHECK(forward_on_shadow(context, database, phase));
  for (const auto& step : context.plan.restore)
    PL_CHECK(perform_on_shadow(context, database, step, Direction::kForward));
  return {};
}

Result<CheckResult> rehearsal_on(const CheckContext& context, ShadowUse& shadow) {
  CheckResult out;
  ports::Database& database = shadow.database();
  PL_TRY(auto session, database.connect());
  PL_CHECK(live_a_little(context, *session));
  PL_TRY(const std::string schema_before, fingerprint_of(context, *session));
  PL_TRY(const std::string data_before, data_of(context, *session));
  PL_TRY(const Wal wal_before, wal_of_updates(context, *session));
  double failures = 0;
  const auto fault = [&](const std::string& text) {
    failures += 1;
    out.detail += (out.detail.empty() ? "" : "; ") + text;
  };
  PL_CHECK(forward_on_shadow(context, database, change::Phase::kDualWrite));
  PL_CHECK(forward_on_shadow(context, database, change::Phase::kExpose));
  PL_TRY(const Wal wal_after, wal_of_updates(context, *session));
  PL_CHECK(back_on_shadow(context, database));
  PL_TRY(const std::string schema_back, fingerprint_of(context, *session));
  PL_TRY(const std::string data_back, data_of(context, *session));
  if (schema_back != schema_before)
    fault("the schema is not as before after the way back: " + first_difference(schema_before, schema_back));
  if (data_back != data_before) fault("the data is not as before after the way back");
  PL_TRY(const auto left,
         leftovers(
             *session, context.plan.rollout,
             [&] {
               std::vector<change::Step> steps;
               for (const auto* step : forward_steps(context.plan, change::Phase::kDualWrite))
                 steps.push_back(*step);
               return steps;
             }(),
             context.plan.fresh));
  for (const auto& line : left) fault("left behind: " + line);
  if (!shadow.info().kept) PL_CHECK(through_the_drop(context, database));
  out.figures = {{"failures", failures}};
  if (wal_before.bytes > 0) out.figures["wal_ratio"] = wal_after.bytes / wal_before.bytes;
  if (wal_before.records > 0) out.figures["wal_records_ratio"] = wal_after.records / wal_before.records;
  if (failures == 0) {
    out.detail = fmt::format(
        "{} on {}; schema and data as before after the way back; an "
        "updated row writes {:.1f} WAL records, {:.1f} before",
        shadow.info().kept ? "forth and back (a clone cannot take the contract back)"
                           : "forth, back, forth, contract and restore",
        shadow.info().description, wal_after.records, wal_before.records);
  }
  return out;
}

}  // namespace

Result<CheckResult> check_rehearsal(const CheckContext& context) {
  if (!context.ports.shadow) return CheckResult{{}, "no shadow is configured"};
  return on_shadow(context, [&](ShadowUse& shadow) { return rehearsal_on(context, shadow); });
}

}  // namespace poundlock::engine
