#include "engine/checks/touched_columns.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ports/cells.h"

namespace poundlock::engine {
namespace {

constexpr int kTriedRows = 1'000;

// $1: the table. Also those of its partitions; none of ours.
constexpr const char* kTriggers =
    "SELECT DISTINCT pg_catalog.quote_ident(t.tgname) FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p "
    "ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE NOT t.tgisinternal "
    "AND t.tgenabled IN ('O', 'A') AND t.tgtype & 16 <> 0 AND n.nspname <> 'poundlock' AND (t.tgrelid = "
    "pg_catalog.to_regclass($1) OR t.tgrelid IN (SELECT relid FROM "
    "pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)))) ORDER BY 1";
constexpr const char* kAnyColumn =
    "SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = pg_catalog.to_regclass($1) AND attnum > 0 "
    "AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a' ORDER BY attnum DESC LIMIT 1";

bool of_the_change(const rollout::Plan& plan, const schema::QualifiedName& table, const std::string& column) {
  const auto is = [&](const change::ColumnRef& one) {
    return one.schema == table.schema && one.table == table.name && one.column == column;
  };
  return std::any_of(plan.legacy.begin(), plan.legacy.end(), is) ||
         std::any_of(plan.fresh.begin(), plan.fresh.end(), is);
}

// In a transaction that is open. `moved`: with other rows' values in between, for a trigger that looks at
// what has changed; else each row's own value is written.
Result<ports::Rows> write_and_compare(ports::Session& session, const std::string& table,
                                      const std::string& column, bool moved) {
  PL_CHECK(session.run(fmt::format(
      "CREATE TEMPORARY TABLE poundlock_rows ON COMMIT DROP AS SELECT x.part, x.at, x.own, {3} AS other, "
      "x.was FROM (SELECT t.tableoid AS part, t.ctid AS at, t.{1} AS own, pg_catalog.to_jsonb(t.*) AS was "
      "FROM {0} t ORDER BY pg_catalog.hashtextextended(t.ctid::text, 1) LIMIT {2}) x",
      table, column, kTriedRows, moved ? "coalesce(pg_catalog.lag(x.own) OVER (), x.own)" : "x.own")));
  PL_CHECK(
      session.run("CREATE TEMPORARY TABLE poundlock_moved ON COMMIT DROP AS SELECT part, at, own, was FROM "
                  "poundlock_rows WITH NO DATA"));
  PL_CHECK(session.run(fmt::format(
      "WITH moved AS (UPDATE {0} t SET {1} = s.other FROM poundlock_rows s WHERE t.tableoid = s.part AND "
      "t.ctid = s.at RETURNING t.tableoid AS part, t.ctid AS at, s.own, s.was) INSERT INTO poundlock_moved "
      "SELECT part, at, own, was FROM moved",
      table, column)));
  return session.run(fmt::format(
      "WITH back AS (UPDATE {0} t SET {1} = s.own FROM poundlock_moved s WHERE t.tableoid = s.part AND "
      "t.ctid = s.at RETURNING pg_catalog.to_jsonb(t.*) AS now, s.was) SELECT DISTINCT k.key FROM back, "
      "pg_catalog.jsonb_each(back.was) k WHERE back.now -> k.key IS DISTINCT FROM k.value ORDER BY 1",
      table, column));
}

Result<std::string> column_to_write(const rollout::Plan& plan, const schema::QualifiedName& table,
                                    ports::Session& session, bool& legacy) {
  for (const auto& one : plan.legacy) {
    if (one.schema != table.schema || one.table != table.name || one.column.empty()) continue;
    legacy = true;
    return schema::force_quote_identifier(one.column);
  }
  PL_TRY(const auto any, session.run(kAnyColumn, {table.to_sql()}));
  return any.rows.empty() ? std::string{} : schema::force_quote_identifier(ports::to_text(any.rows[0][0]));
}

}  // namespace

std::string TouchedColumns::to_string() const {
  return fmt::format("{}: not compared: {}, which the trigger{} {} write{} at every UPDATE", table.to_sql(),
                     fmt::join(columns, ", "), triggers.size() == 1 ? "" : "s", fmt::join(triggers, ", "),
                     triggers.size() == 1 ? "s" : "");
}

Result<std::vector<TouchedColumns>> touched_columns(const rollout::Plan& plan,
                                                    const std::vector<schema::QualifiedName>& tables,
                                                    ports::Session& session,
                                                    std::vector<std::string>& notes) {
  std::vector<TouchedColumns> out;
  for (const auto& table : tables) {
    TouchedColumns one{table, {}, {}};
    PL_TRY(const auto triggers, session.run(kTriggers, {table.to_sql()}));
    for (const auto& row : triggers.rows) one.triggers.push_back(ports::to_text(row[0]));
    if (one.triggers.empty()) continue;
    bool legacy = false;
    PL_TRY(const std::string column, column_to_write(plan, table, session, legacy));
    if (column.empty()) continue;
    Result<ports::Rows> differ = ports::Rows{};
    for (const bool moved : {true, false}) {
      if (moved && !legacy) continue;  // another column's values are nobody's to exchange
      PL_CHECK(session.run("BEGIN"));
      differ = write_and_compare(session, table.to_sql(), column, moved);
      if (session.broken()) return fail(std::move(differ).error());
      PL_CHECK(session.run("ROLLBACK"));
      if (differ) break;
    }
    if (!differ) {
      notes.push_back(fmt::format("{}: what its triggers write at an UPDATE could not be tried [SQLSTATE {}]",
                                  table.to_sql(), differ.error().sqlstate));
      continue;
    }
    for (const auto& row : differ->rows)
      if (!of_the_change(plan, table, ports::to_text(row[0]))) one.columns.push_back(ports::to_text(row[0]));
    if (!one.columns.empty()) out.push_back(std::move(one));
  }
  return out;
}

}  // namespace poundlock::engine
