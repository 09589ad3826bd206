#include "engine/checks/rehearsal_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/json.h"
#include "ports/cells.h"
#include "schema/identifier.h"

namespace poundlock::engine {
namespace {

constexpr int kWrittenRows = 1'000;
constexpr int kLivingRounds = 20;

// A value that another row may hold and this one may not: a key, a check over several columns, a trigger that
// knows which state may follow which.
bool refuses_moved_values(const std::string& sqlstate) {
  return (sqlstate.starts_with("23") && sqlstate != "23502") || sqlstate == "P0001" ||
         sqlstate.starts_with("42501") || sqlstate.starts_with("44");
}

// Without the values that the server names behind it: a report is kept, and read by many.
std::string without_values(const Error& error) {
  std::size_t end = error.message.size();
  for (const char* detail : {": Key (", ": Failing row contains"})
    end = std::min(end, error.message.find(detail));
  return error.message.substr(0, end);
}

// Ends the transaction, whatever became of it.
Status roll_back(ports::Session& session) {
  if (session.broken())
    return fail(make_error(Disposition::kReconnect, "rehearsal.session", "the shadow's session is gone"));
  PL_CHECK(session.run("ROLLBACK"));
  return {};
}

}  // namespace

// EXPLAIN ANALYZE of an update on scattered rows, as an application's writes are. Compared by image: json has
// no equality.
std::string LegacyWrites::update(int seed) const {
  const auto& column = plan_.legacy.front();
  return fmt::format(
      "EXPLAIN (ANALYZE, WAL, TIMING OFF, FORMAT JSON) UPDATE {0} t SET {1} = s.v"
      " FROM (SELECT c, {4} v FROM (SELECT ctid c, {1} FROM {0}"
      " ORDER BY pg_catalog.hashtextextended(ctid::text, {3}) LIMIT {2}) x) s"
      " WHERE t.ctid = s.c{5}",
      schema::QualifiedName{column.schema, column.table}.to_sql(), schema::quote_identifier(column.column),
      kWrittenRows, seed,
      own_values_ ? schema::quote_identifier(column.column)
                  : fmt::format("pg_catalog.lag({}) OVER ()", schema::quote_identifier(column.column)),
      own_values_ ? ""
                  : fmt::format(" AND s.v IS NOT NULL AND pg_catalog.record_image_ne(ROW(t.{}), ROW(s.v))",
                                schema::quote_identifier(column.column)));
}

Status LegacyWrites::refused(const Error& error) {
  if (session_.broken()) return fail(error);
  if (own_values_) {
    impossible_ = true;
    notes_.push_back("no update of the legacy side could be measured: " + without_values(error));
  } else {
    own_values_ = true;
    notes_.push_back(
        "the cost of a write is measured on rows that keep their values, since other rows' values are "
        "refused: " +
        without_values(error));
  }
  return {};
}

Status LegacyWrites::live_a_little() {
  for (int round = 0; round < kLivingRounds && !plan_.legacy.empty() && !impossible_;) {
    const auto done = session_.run(update(round));
    if (done)
      ++round;
    else
      PL_CHECK(refused(done.error()));
  }
  return {};
}

Result<Wal> LegacyWrites::cost() {
  constexpr double kPageBytes = 8192;
  if (plan_.legacy.empty() || impossible_) return Wal{};
  PL_CHECK(session_.run("BEGIN"));
  auto explained = session_.run(update(kLivingRounds));
  PL_CHECK(roll_back(session_));
  if (!explained) {
    notes_.push_back("the cost of a write could not be measured: " + without_values(explained.error()));
    return Wal{};
  }
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

namespace {

// In a transaction: rows that got another value, and their own one again; then how many of the table are out
// of step by `up` alone.
Result<std::pair<std::int64_t, std::int64_t>> write_and_write_back(ports::Session& session,
                                                                   const change::InStep& in_step,
                                                                   const std::string& column) {
  const std::string& table = in_step.table;
  PL_CHECK(session.run(fmt::format(
      "CREATE TEMPORARY TABLE poundlock_rows ON COMMIT DROP AS SELECT x.part, x.at, x.own, pg_catalog.lag("
      "x.own) OVER () AS other FROM (SELECT t.tableoid AS part, t.ctid AS at, t.{1} AS own FROM {0} t ORDER "
      "BY pg_catalog.hashtextextended(t.ctid::text, 1) LIMIT {2}) x",
      table, column, kWrittenRows)));
  PL_CHECK(session.run(
      "CREATE TEMPORARY TABLE poundlock_moved ON COMMIT DROP AS SELECT part, at, own FROM poundlock_rows "
      "WITH NO DATA"));
  PL_TRY(
      const auto moved,
      session.run(fmt::format(
          "WITH moved AS (UPDATE {0} t SET {1} = s.other FROM poundlock_rows s WHERE t.tableoid = s.part "
          "AND t.ctid = s.at AND s.other IS NOT NULL AND pg_catalog.record_image_ne(ROW(s.own), "
          "ROW(s.other)) "
          "RETURNING t.tableoid AS part, t.ctid AS at, s.own) INSERT INTO poundlock_moved SELECT part, at, "
          "own FROM moved",
          table, column)));
  PL_CHECK(session.run(fmt::format(
      "UPDATE {0} t SET {1} = s.own FROM poundlock_moved s WHERE t.tableoid = s.part AND t.ctid = s.at",
      table, column)));
  PL_TRY(const auto lost, session.run(fmt::format("SELECT pg_catalog.count(*) FILTER (WHERE {}), (SELECT "
                                                  "pg_catalog.count(*) FROM poundlock_moved) FROM {}",
                                                  in_step.out_of_step, table)));
  return std::pair{ports::to_int(lost.rows.at(0).at(0)), ports::to_int(lost.rows.at(0).at(1))};
}

}  // namespace

Status new_values_come_back(const rollout::Plan& plan, ports::Session& session,
                            std::vector<std::string>& notes) {
  for (const auto& item : plan.items) {
    if (!item.step || item.step->kind != change::StepKind::kBackfill || !item.step->in_step) continue;
    const auto& in_step = *item.step->in_step;
    using schema::force_quote_identifier;
    const auto fresh = std::find_if(plan.fresh.begin(), plan.fresh.end(), [&](const change::ColumnRef& one) {
      return in_step.table == force_quote_identifier(one.schema) + "." + force_quote_identifier(one.table) &&
             in_step.assignment.starts_with(force_quote_identifier(one.column) + " = ");
    });
    if (fresh == plan.fresh.end()) continue;
    const std::string column = force_quote_identifier(fresh->column);
    PL_CHECK(session.run("BEGIN"));
    const auto counts = write_and_write_back(session, in_step, column);
    PL_CHECK(roll_back(session));
    if (!counts) {
      const Error& error = counts.error();
      if (error.sqlstate.empty()) return fail(error);
      if (refuses_moved_values(error.sqlstate)) {
        notes.push_back(fmt::format("writes of {} were not tried: other rows' values are refused: {}", column,
                                    without_values(error)));
        continue;
      }
      return fail(make_error(Disposition::kRefused, "rehearsal.values",
                             fmt::format("a write of {} fails: {}", column, without_values(error)))
                      .with_hint("`down` has to give a value of the legacy side for each of the new one"));
    }
    const auto [lost, written] = *counts;
    if (lost > 0)
      return fail(
          make_error(Disposition::kRefused, "rehearsal.values",
                     fmt::format("{} of {} values that the new side wrote are lost: `up` of what `down` gave "
                                 "the legacy side is another value of {}",
                                 lost, written, column))
              .with_hint("mend `up` or `down`; where the new side's values need not come back, waive the "
                         "gate `rehearsal` by name"));
  }
  return {};
}

}  // namespace poundlock::engine
