#include "engine/checks/path_answers.h"

#include <fmt/format.h>

#include <algorithm>

#include "ports/cells.h"

namespace poundlock::engine {
namespace {

constexpr int kFetch = 1'000;

std::size_t bytes_of(const std::vector<ports::Cell>& row) {
  std::size_t bytes = 0;
  for (const auto& cell : row) bytes += sizeof(ports::Cell) + (cell ? cell->size() : 0);
  return bytes;
}

// Fit to stand in brackets: a semicolon would end the statement around it, a comment swallow the bracket.
std::string as_subquery(std::string sql) {
  while (!sql.empty() && std::string_view(" \t\r\n;").find(sql.back()) != std::string_view::npos)
    sql.pop_back();
  return "(\n" + sql + "\n)";
}

// In the row's own order: which rows belong together, but not where in the result they stand. A bare
// poundlock_q would be the column of that name where the result has one; `poundlock_q.*` is always the row.
Result<std::string> sum_of(ports::Session& session, const std::string& sql,
                           const std::vector<ports::Cell>& params) {
  PL_TRY(const auto rows,
         session.run(
             fmt::format("SELECT count(*)::text || ' rows, whose hashes add up to ' || coalesce(sum("
                         "pg_catalog.hashtextextended(ROW(poundlock_q.*)::text, 0)::numeric), 0)::text FROM "
                         "{} poundlock_q",
                         as_subquery(sql)),
             params));
  return ports::to_text(rows.rows.at(0).at(0));
}

std::vector<ports::Cell> sorted_column(const ports::Rows& rows, std::size_t at) {
  std::vector<ports::Cell> out;
  for (const auto& row : rows.rows)
    if (at < row.size()) out.push_back(row[at]);
  std::sort(out.begin(), out.end());
  return out;
}

// The columns in which two answers of one and the same statement differ, by their place.
std::vector<std::size_t> restless_columns(const PathAnswer& once, const PathAnswer& again) {
  std::vector<std::size_t> out;
  for (std::size_t at = 0; at < once.rows.columns.size(); ++at)
    if (sorted_column(once.rows, at) != sorted_column(again.rows, at)) out.push_back(at);
  return out;
}

PathAnswer at_rest(PathAnswer answer, const std::vector<std::size_t>& columns) {
  for (auto& row : answer.rows.rows)
    for (const std::size_t at : columns)
      if (at < row.size()) row[at].reset();
  return answer;
}

// Otherwise it is the rows that change, and what they hold in other columns is no answer to anything.
bool same_otherwise(const TwiceAsked& legacy, const std::vector<std::size_t>& restless) {
  if (!legacy.once.whole || !legacy.again.whole || restless.size() >= legacy.once.rows.columns.size())
    return false;
  auto once = at_rest(legacy.once, restless).rows.rows, again = at_rest(legacy.again, restless).rows.rows;
  std::sort(once.begin(), once.end());
  std::sort(again.begin(), again.end());
  return once == again;
}

// Whether it is certain that the rows are the same and only values of theirs change: these are made by what
// changes by itself, and the others tell each row from the rest. A drawn row may be alike in a few columns.
bool only_values(const TwiceAsked& legacy, const std::vector<std::size_t>& restless) {
  const auto& known = legacy.shape.by_itself;
  for (const std::size_t at : restless)
    if (std::find(known.begin(), known.end(), at) == known.end()) return false;
  auto rows = at_rest(legacy.once, restless).rows.rows;
  std::sort(rows.begin(), rows.end());
  return std::adjacent_find(rows.begin(), rows.end()) == rows.end();
}

}  // namespace

Result<PathAnswer> answer_of(ports::Session& session, const std::string& sql,
                             const std::vector<ports::Cell>& params) {
  // Planned as the whole of it will be read.
  PL_CHECK(session.run("SET LOCAL cursor_tuple_fraction = 1"));
  PL_CHECK(session.run("DECLARE poundlock_answer NO SCROLL CURSOR FOR " + sql, params));
  PathAnswer out;
  std::size_t bytes = 0;
  for (;;) {
    PL_TRY(auto some, session.run(fmt::format("FETCH FORWARD {} FROM poundlock_answer", kFetch)));
    out.rows.columns = some.columns;
    const bool last = some.rows.size() < kFetch;
    for (auto& row : some.rows) {
      bytes += bytes_of(row);
      out.rows.rows.push_back(std::move(row));
    }
    out.whole = out.rows.rows.size() <= kAnswerRowsMax && bytes <= kAnswerBytesMax;
    if (last || !out.whole) break;
  }
  PL_CHECK(session.run("CLOSE poundlock_answer"));
  if (out.whole) return out;
  out.rows.rows.clear();
  PL_TRY(out.sum, sum_of(session, sql, params));
  return out;
}

RowsVerdict compare_answers(const PathAnswer& legacy, const PathShape& legacy_shape, const PathAnswer& fresh,
                            const PathShape& fresh_shape) {
  if (legacy.whole && fresh.whole) return compare_rows(legacy.rows, legacy_shape, fresh.rows, fresh_shape);
  ports::Rows legacy_names{legacy.rows.columns, {}, 0}, fresh_names{fresh.rows.columns, {}, 0};
  if (auto names = compare_rows(legacy_names, legacy_shape, fresh_names, fresh_shape); !names.kind.empty())
    return names;
  if (legacy.sum == fresh.sum) return {};
  const auto said = [](const PathAnswer& one) {
    return one.whole ? fmt::format("{} rows", one.rows.rows.size()) : one.sum;
  };
  return {"rows_differ", fmt::format("legacy gives {}, new {}", said(legacy), said(fresh)), true};
}

RowsVerdict compare_at_rest(const TwiceAsked& legacy, const PathAnswer& fresh, const PathShape& fresh_shape,
                            RowsVerdict verdict) {
  if (legacy.once.whole != legacy.again.whole || legacy.once.sum != legacy.again.sum)
    return {"not_compared", "legacy gives other rows each time, and too many to tell which values", false};
  const auto restless = restless_columns(legacy.once, legacy.again);
  if (restless.empty() && (!legacy.once.whole || same_otherwise(legacy, restless))) return verdict;
  if (!same_otherwise(legacy, restless))
    return {"not_compared", "legacy gives other rows each time: nothing can be compared with them", false};
  auto rest =
      compare_answers(at_rest(legacy.once, restless), legacy.shape, at_rest(fresh, restless), fresh_shape);
  if (!rest.kind.empty() && rest.error) return rest;
  std::string names;
  for (const std::size_t at : restless) names += (names.empty() ? "" : ", ") + legacy.once.rows.columns[at];
  RowsVerdict out{"not_compared", "legacy gives other values each time, which were left out: " + names,
                  false};
  if (!only_values(legacy, restless)) return out;
  out.kind = "values_left_out";
  out.left_out = legacy.once.rows.rows.size() * restless.size();
  return out;
}

}  // namespace poundlock::engine
