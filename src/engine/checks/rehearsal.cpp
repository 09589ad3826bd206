// The whole change on the shadow: forth, back, forth again, through the contract. The schema and the data
// must be as before after the way back, nothing of ours may be left, and the write cost of the expand is
// measured: production's WAL per write is later held to it.
#include <fmt/format.h>

#include "engine/checks.h"
#include "engine/leftovers.h"
#include "schema/catalog.h"
#include "schema/identifier.h"

namespace poundlock::engine {
namespace {

constexpr int kWrittenRows = 1'000;

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

// WAL bytes of updating the first legacy column on some rows, taken back. The second of two runs counts:
// the first pays for full-page images.
Result<double> wal_of_updates(const CheckContext& context, ports::Session& session) {
  if (context.plan.legacy.empty()) return 0.0;
  const auto& column = context.plan.legacy.front();
  const std::string table = schema::QualifiedName{column.schema, column.table}.to_sql();
  const std::string name = schema::quote_identifier(column.column);
  const std::string update = fmt::format(
      "UPDATE {0} t SET {1} = s.v FROM (SELECT ctid c, lag({1}) OVER () v FROM (SELECT ctid, {1} FROM {0} "
      "LIMIT {2}) x) s"
      " WHERE t.ctid = s.c AND s.v IS NOT NULL AND t.{1} IS DISTINCT FROM s.v",
      table, name, kWrittenRows);
  double bytes = 0;
  for (int round = 0; round < 2; ++round) {
    PL_CHECK(session.run("BEGIN"));
    PL_TRY(const auto before, session.run("SELECT pg_catalog.pg_current_wal_insert_lsn()"));
    PL_TRY(const auto updated, session.run(update));
    PL_TRY(const auto after,
           session.run(ports::Sql{
               "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), $1::pg_lsn)",
               {before.rows.at(0).at(0)}}));
    PL_CHECK(session.run("ROLLBACK"));
    if (updated.affected == 0) return 0.0;
    bytes = std::stod(after.rows.at(0).at(0).value_or("0")) / static_cast<double>(updated.affected);
  }
  return bytes;
}

std::string first_difference(const std::string& a, const std::string& b) {
  std::size_t at = 0;
  while (at < a.size() && at < b.size() && a[at] == b[at]) ++at;
  const std::size_t line = a.rfind('\n', at) == std::string::npos ? 0 : a.rfind('\n', at) + 1;
  return a.substr(line, a.find('\n', at) - line);
}

}  // namespace

Result<CheckResult> check_rehearsal(const CheckContext& context) {
  CheckResult out;
  if (!context.ports.shadow) {
    out.detail = "no shadow is configured";
    return out;
  }
  PL_TRY(auto shadow, ShadowUse::create(context));
  ports::Database& database = shadow.database();
  PL_TRY(auto session, database.connect());
  PL_TRY(const std::string schema_before, fingerprint_of(context, *session));
  PL_TRY(const std::string data_before, data_of(context, *session));
  PL_TRY(const double wal_before, wal_of_updates(context, *session));
  double failures = 0;
  const auto fault = [&](const std::string& text) {
    failures += 1;
    out.detail += (out.detail.empty() ? "" : "; ") + text;
  };
  PL_CHECK(forward_on_shadow(context, database, change::Phase::kDualWrite));
  PL_CHECK(forward_on_shadow(context, database, change::Phase::kExpose));
  PL_TRY(const double wal_after, wal_of_updates(context, *session));
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
  PL_CHECK(forward_on_shadow(context, database, change::Phase::kDualWrite));
  PL_CHECK(forward_on_shadow(context, database, change::Phase::kExpose));
  PL_CHECK(forward_on_shadow(context, database, change::Phase::kContract));
  for (const auto& step : context.plan.restore)
    PL_CHECK(perform_on_shadow(context, database, step, Direction::kForward));
  out.figures = {
      {"failures", failures}, {"wal_per_row_before", wal_before}, {"wal_per_row_after", wal_after}};
  if (wal_before > 0) out.figures["wal_ratio"] = wal_after / wal_before;
  if (failures == 0) {
    out.detail = fmt::format(
        "forth, back, forth, contract and restore on {}; schema and data as before after the way "
        "back; WAL per updated row x{:.2f}",
        shadow.info().description, wal_before > 0 ? wal_after / wal_before : 1.0);
  }
  return out;
}

}  // namespace poundlock::engine
