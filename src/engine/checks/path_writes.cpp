#include "engine/checks/path_writes.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/json.h"
#include "engine/checks.h"
#include "ports/cells.h"

namespace poundlock::engine {
namespace {

using Row = WriteEffect::Row;
constexpr std::int64_t kBytesMax = 256LL << 20;  // of a table that is read for each sample
constexpr std::size_t kRowsMax = 10'000;         // written by one statement

// Versions that this transaction, or a part of it, has written.
constexpr std::string_view kOurs = "pg_catalog.age(t.xmin) <= 0";

Result<bool> small_enough(ports::Session& session, const std::string& table) {
  PL_TRY(const auto rows,
         session.run(
             "SELECT coalesce((SELECT sum(pg_catalog.pg_relation_size(p.relid)) FROM"
             " pg_catalog.pg_partition_tree($1::regclass) p), pg_catalog.pg_relation_size($1::regclass))",
             {table}));
  return ports::to_int(rows.rows.at(0)[0]) <= kBytesMax;
}

Status look_at(ports::Session& session, const std::string& table, WriteEffect& effect) {
  PL_TRY(const bool small, small_enough(session, table));
  if (!small) {
    effect.complete = false;
    return {};
  }
  PL_TRY(const auto rows,
         session.run(fmt::format("SELECT pg_catalog.to_jsonb(t)::text FROM {} t WHERE {} LIMIT {}", table,
                                 kOurs, kRowsMax + 1)));
  if (rows.rows.size() > kRowsMax) effect.complete = false;
  auto& written = effect.written[table];
  for (const auto& one : rows.rows) {
    PL_TRY(const auto value, json::parse(ports::to_text(one.at(0)), "a row", json::kOwnLimits));
    Row& row = written.emplace_back();
    for (const auto& field : value.as_object()) row[std::string(field.key())] = json::dump(field.value());
  }
  PL_TRY(const auto rest,
         session.run(fmt::format("SELECT count(*)::text || ':' || coalesce(sum("
                                 "pg_catalog.hashtextextended(pg_catalog.to_jsonb(t)::text, 0)::numeric), 0)"
                                 "::text FROM {} t WHERE NOT ({})",
                                 table, kOurs)));
  effect.untouched[table] = ports::to_text(rest.rows.at(0)[0]);
  return {};
}

Status count_out_of_step(ports::Session& session, const rollout::Plan& plan, WriteEffect& effect) {
  for (const auto& item : plan.items) {
    if (!item.step || !item.step->in_step || item.step->kind != change::StepKind::kBackfill) continue;
    const auto& in_step = *item.step->in_step;
    PL_TRY(const auto rows, session.run(fmt::format("SELECT count(*) FROM {} t WHERE {} AND ({})",
                                                    in_step.table, kOurs, in_step.out_of_step_open)));
    effect.out_of_step += static_cast<std::uint64_t>(ports::to_int(rows.rows.at(0)[0]));
  }
  return {};
}

Result<WriteEffect> run_and_look(ports::Session& session, const rollout::Plan& plan,
                                 const WriteTrial& trial) {
  const auto tables = tables_of(plan);
  PL_CHECK(session.run("SET LOCAL search_path = " + trial.search_path));
  PL_CHECK(session.run(fmt::format("SET LOCAL statement_timeout = '{}ms'", trial.limit.count())));
  if (!trial.taken_from.empty() && !tables.empty()) {
    PL_CHECK(session.run(fmt::format("DELETE FROM {} WHERE ctid = $1::tid", tables.front().to_sql()),
                         {trial.taken_from}));
  }
  PL_TRY(const auto done, session.run(trial.sql, trial.params));
  WriteEffect effect;
  effect.affected = done.affected;
  for (const auto& cells : done.rows) {
    Row& row = effect.returned.emplace_back();
    for (std::size_t i = 0; i < cells.size() && i < done.columns.size(); ++i)
      row[done.columns[i]] = cells[i] ? *cells[i] : "NULL";
  }
  for (const auto& table : tables) PL_CHECK(look_at(session, table.to_sql(), effect));
  if (effect.complete) PL_CHECK(count_out_of_step(session, plan, effect));
  return effect;
}

std::multiset<std::string> values_of(const std::vector<Row>& rows, const std::string& column) {
  std::multiset<std::string> out;
  for (const auto& row : rows) {
    const auto found = row.find(column);
    out.insert(found == row.end() ? "" : found->second);
  }
  return out;
}

std::set<std::string> columns_of(const std::vector<Row>& rows) {
  std::set<std::string> out;
  for (const auto& row : rows)
    for (const auto& [column, value] : row) out.insert(column);
  return out;
}

std::string rows_difference(const std::vector<Row>& legacy, const std::vector<Row>& again,
                            const std::vector<Row>& fresh, const std::string& what) {
  if (legacy.size() != fresh.size())
    return fmt::format("legacy {} {} rows and new {}", what, legacy.size(), fresh.size());
  if (columns_of(legacy) != columns_of(fresh)) return fmt::format("legacy and new {} other columns", what);
  std::set<std::string> noise;
  for (const auto& column : columns_of(legacy)) {
    if (values_of(legacy, column) != values_of(again, column)) {
      noise.insert(column);
    } else if (values_of(legacy, column) != values_of(fresh, column)) {
      return fmt::format("legacy and new {} other values of {}", what, column);
    }
  }
  // Each column's values agree; do they stand in the same rows?
  const auto rest = [&](const std::vector<Row>& rows) {
    std::multiset<Row> out;
    for (Row row : rows) {
      for (const auto& column : noise) row.erase(column);
      out.insert(std::move(row));
    }
    return out;
  };
  return rest(legacy) == rest(fresh) ? "" : fmt::format("legacy and new {} other rows", what);
}

}  // namespace

Result<WriteEffect> write_effect(ports::Session& session, const rollout::Plan& plan,
                                 const WriteTrial& trial) {
  PL_CHECK(session.run("BEGIN"));
  auto effect = run_and_look(session, plan, trial);
  PL_CHECK(session.run("ROLLBACK"));
  return effect;
}

std::string effect_difference(const WriteEffect& legacy, const WriteEffect& again, const WriteEffect& fresh) {
  if (legacy.affected != fresh.affected)
    return fmt::format("legacy writes {} rows and new {}", legacy.affected, fresh.affected);
  std::string found = rows_difference(legacy.returned, again.returned, fresh.returned, "return");
  for (const auto& [table, rows] : legacy.written) {
    if (!found.empty()) return found;
    const auto other = fresh.written.find(table), same = again.written.find(table);
    if (other == fresh.written.end() || same == again.written.end()) continue;
    found = rows_difference(rows, same->second, other->second, "leave in " + table);
    if (found.empty() && legacy.untouched.at(table) != fresh.untouched.at(table))
      found = "legacy and new take other rows away from " + table;
  }
  return found;
}

}  // namespace poundlock::engine
