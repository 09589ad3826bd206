#include <fmt/format.h>

#include "lint/columns.h"
#include "lint/rule.h"
#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::string list_of(const std::vector<std::string>& columns) {
  std::string list;
  for (const std::string& column : columns) {
    if (!list.empty()) list += ", ";
    list += schema::quote_identifier(column);
  }
  return list;
}

std::string default_name(const Context& context, const Action& action,
                         const std::vector<std::string>& columns, bool primary) {
  std::vector<std::string_view> parts{action.table.name};
  if (!primary) parts.insert(parts.end(), columns.begin(), columns.end());
  parts.emplace_back(primary ? "pkey" : "key");
  return free_name(context, action.table, parts);
}

// A primary key's columns have to be NOT NULL before, or PostgreSQL looks for nulls under the lock.
std::string columns_not_null(const Context& context, const Action& action,
                             const std::vector<std::string>& columns) {
  std::string steps;
  for (const std::string& column : columns) {
    const schema::Column* known = context.column(action.table, column);
    if (known == nullptr || !known->not_null)
      steps += not_null_in_steps(action.table, column,
                                 free_name(context, action.table, {action.table.name, column, "not_null"})) +
               "\n";
  }
  return steps;
}

std::string rewritten(const Context& context, const Action& action, const PgQuery__Constraint& constraint) {
  const schema::Table* known = context.table(action.table);
  if (known != nullptr && known->kind == 'p') return "";  // neither CONCURRENTLY nor USING INDEX there
  if (constraint.n_options > 0 || !schema::text_of(constraint.indexspace).empty()) return "";
  const bool primary = constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
  const std::vector<std::string> columns = schema::strings(constraint.keys, constraint.n_keys);
  std::string name(schema::text_of(constraint.conname));
  if (name.empty()) name = default_name(context, action, columns, primary);
  std::string more;
  if (constraint.n_including > 0)
    more +=
        fmt::format(" INCLUDE ({})", list_of(schema::strings(constraint.including, constraint.n_including)));
  if (constraint.nulls_not_distinct) more += " NULLS NOT DISTINCT";
  return fmt::format(
      "{6}CREATE UNIQUE INDEX CONCURRENTLY {0} ON {1} ({2}){3};\n"
      "ALTER TABLE {1} ADD CONSTRAINT {0} {4} USING INDEX {0}{5};",
      schema::quote_identifier(name), action.table.to_sql(), list_of(columns), more,
      primary ? "PRIMARY KEY" : "UNIQUE",
      constraint.initdeferred ? " DEFERRABLE INITIALLY DEFERRED"
                              : (constraint.deferrable ? " DEFERRABLE" : ""),
      primary ? columns_not_null(context, action, columns) : "");
}

// PRIMARY KEY USING INDEX over columns that may hold nulls, as far as the catalog tells.
std::vector<std::string> nullable_key(const Context& context, const Action& action,
                                      const PgQuery__Constraint& constraint) {
  const schema::Table* table = context.table(action.table);
  const schema::Index* index =
      table == nullptr ? nullptr : table->index(schema::text_of(constraint.indexname));
  std::vector<std::string> nullable;
  if (index == nullptr || constraint.contype != PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY) return nullable;
  for (const std::string& column : index->columns)
    if (!column.empty() && !known_not_null(context, action.table, column)) nullable.push_back(column);
  return nullable;
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    const auto* constraint = schema::as<PgQuery__Constraint>(action.command.def);
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint || constraint == nullptr)
      return;
    const bool primary = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
    if (!primary && constraint->contype != PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE) return;
    std::string what =
        fmt::format("{} on {}", primary ? "a primary key" : "UNIQUE", table_text(action.table));
    std::string safe;
    if (schema::text_of(constraint->indexname).empty()) {
      safe = rewritten(context, action, *constraint);
    } else {
      const auto nullable = nullable_key(context, action, *constraint);
      if (nullable.empty()) return;
      what += fmt::format(", whose column {} may hold nulls", schema::quote_identifier(nullable.front()));
      safe = columns_not_null(context, action, nullable) +
             fmt::format("ALTER TABLE {} {};", action.table.to_sql(), context.statement.slice(action.range));
    }
    matches.push_back({.range = action.range,
                       .detail = std::move(what),
                       .rewrite = in_place_of(context.statement, action, safe),
                       .lesser = context.is_small(action.table)});
  });
  each_added_column(context, [&](const AddedColumn& column) {
    for (const int kind : {PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE, PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY})
      if (const ColumnPiece* piece = column.piece(kind))
        matches.push_back({.range = piece->range,
                           .detail = fmt::format("the new column {}", column.name),
                           .rewrite = in_place_of(context.statement, column.action, column.in_steps()),
                           .lesser = context.is_small(column.action.table)});
  });
  return matches;
}

}  // namespace

const Rule& add_unique_or_primary_key() {
  static const Rule rule{
      .id = "add_unique_or_primary_key",
      .title = "a unique or primary key that builds its index under lock",
      .reason =
          "The index is built while the table is locked with ACCESS EXCLUSIVE: nobody reads or writes it "
          "until "
          "the index stands.",
      .fix =
          "Create the unique index CONCURRENTLY, then add the constraint USING INDEX, which takes a moment. "
          "A "
          "primary key's columns must be NOT NULL first.",
      .bad =
          {"ALTER TABLE orders ADD CONSTRAINT orders_code_key UNIQUE (code);",
           "ALTER TABLE orders ADD PRIMARY KEY (id);", "ALTER TABLE orders ADD COLUMN code_new text UNIQUE;",
           "ALTER TABLE orders ADD UNIQUE NULLS NOT DISTINCT (code, customer) INCLUDE (total) DEFERRABLE;"},
      .good = {"CREATE UNIQUE INDEX CONCURRENTLY orders_code_key ON orders (code);\n"
               "ALTER TABLE orders ADD CONSTRAINT orders_code_key UNIQUE USING INDEX orders_code_key;",
               "CREATE TABLE notes (id bigint); ALTER TABLE notes ADD PRIMARY KEY (id);"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
