#include <fmt/format.h>

#include <algorithm>

#include "lint/rule.h"
#include "lint/types.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

constexpr std::string_view kNarrow[] = {"int2",   "int4",    "int",     "integer",
                                        "serial", "serial4", "serial2", "smallserial"};

bool has(const PgQuery__ColumnDef& column, int contype) {
  for (std::size_t i = 0; i < column.n_constraints; ++i) {
    const auto* constraint = schema::as<PgQuery__Constraint>(column.constraints[i]);
    if (constraint != nullptr && static_cast<int>(constraint->contype) == contype) return true;
  }
  return false;
}

void look(const Context& context, const PgQuery__ColumnDef* column, bool primary,
          std::vector<Match>& matches) {
  if (column == nullptr || column->type_name == nullptr) return;
  const std::string name = type_spec(*column->type_name).name;
  if (std::ranges::find(kNarrow, name) == std::end(kNarrow)) return;
  const bool counts =
      name.find("serial") != std::string::npos || has(*column, PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY);
  const bool key = primary || has(*column, PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY);
  if (!counts && !key) return;
  const auto begin = static_cast<std::size_t>(std::max(0, column->type_name->location));
  const bool two = name.ends_with('2') || name.starts_with("small");
  matches.push_back(
      {context.statement.name_at(begin),
       fmt::format("column {} ends at {}", schema::quote_identifier(schema::text_of(column->colname)),
                   two ? "32,767" : "2,147,483,647"),
       ""});
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  if (const auto* create = schema::as<PgQuery__CreateStmt>(context.statement.node())) {
    // A key of one column, declared at the end of the table.
    std::string single;
    for (std::size_t i = 0; i < create->n_table_elts; ++i) {
      const auto* whole = schema::as<PgQuery__Constraint>(create->table_elts[i]);
      if (whole != nullptr && whole->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY && whole->n_keys == 1)
        single = schema::strings(whole->keys, 1).front();
    }
    for (std::size_t i = 0; i < create->n_table_elts; ++i) {
      const auto* column = schema::as<PgQuery__ColumnDef>(create->table_elts[i]);
      look(context, column,
           column != nullptr && !single.empty() && single == schema::text_of(column->colname), matches);
    }
  }
  each_action(context.statement, [&](const Action& action) {
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn)
      look(context, schema::as<PgQuery__ColumnDef>(action.command.def), false, matches);
  });
  return matches;
}

}  // namespace

const Rule& narrow_key() {
  static const Rule rule{
      .id = "narrow_key",
      .severity = Severity::kWarning,
      .title = "a key that runs out of numbers",
      .reason =
          "Rolled back and deleted rows use up numbers as well. At the last one every INSERT fails, and to "
          "widen the column rewrites the table under ACCESS EXCLUSIVE, with every foreign key that refers to "
          "it.",
      .fix = "Use bigint; it costs four bytes a row.",
      .bad = {"CREATE TABLE notes (id integer PRIMARY KEY);",
              "CREATE TABLE notes (id int GENERATED ALWAYS AS IDENTITY);",
              "CREATE TABLE notes (id smallint, body text, PRIMARY KEY (id));",
              "ALTER TABLE orders ADD COLUMN number serial;"},
      .good = {"CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, pages integer);",
               "CREATE TABLE notes (id uuid PRIMARY KEY, priority smallint);",
               "CREATE TABLE lines (order_id bigint, number int, PRIMARY KEY (order_id, number));"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
