#include <fmt/format.h>

#include "lint/columns.h"
#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::string rewritten(const Action& action, const PgQuery__Constraint& constraint, bool primary) {
  std::string columns;
  for (const std::string& column : schema::strings(constraint.keys, constraint.n_keys))
    columns += (columns.empty() ? "" : ", ") + schema::quote_identifier(column);
  std::string name(schema::text_of(constraint.conname));
  if (name.empty())
    name = schema::derive_name(action.table.name, primary ? "pkey" : columns, primary ? "" : "key");
  if (!name.empty() && name.back() == '_') name.pop_back();
  name = schema::quote_identifier(name);
  return fmt::format(
      "CREATE UNIQUE INDEX CONCURRENTLY {0} ON {1} ({2});\n"
      "ALTER TABLE {1} ADD CONSTRAINT {0} {3} USING INDEX {0};",
      name, action.table.to_sql(), columns, primary ? "PRIMARY KEY" : "UNIQUE");
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    const auto* constraint = schema::as<PgQuery__Constraint>(action.command.def);
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint || constraint == nullptr)
      return;
    if (!schema::text_of(constraint->indexname).empty()) return;  // USING INDEX
    const bool primary = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
    if (!primary && constraint->contype != PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE) return;
    const bool simple = constraint->n_including == 0 && !constraint->deferrable;
    matches.push_back(
        {action.range,
         fmt::format("{} on {}", primary ? "a primary key" : "UNIQUE", table_text(action.table)),
         simple ? rewritten(action, *constraint, primary) : ""});
  });
  each_added_column(context, [&](const AddedColumn& column) {
    for (const int kind : {PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE, PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY})
      if (const ColumnPiece* piece = column.piece(kind))
        matches.push_back({piece->range, fmt::format("the new column {}", column.name), ""});
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
      .bad = {"ALTER TABLE orders ADD CONSTRAINT orders_code_key UNIQUE (code);",
              "ALTER TABLE orders ADD PRIMARY KEY (id);", "ALTER TABLE orders ADD COLUMN code text UNIQUE;"},
      .good = {"CREATE UNIQUE INDEX CONCURRENTLY orders_code_key ON orders (code);\n"
               "ALTER TABLE orders ADD CONSTRAINT orders_code_key UNIQUE USING INDEX orders_code_key;",
               "CREATE TABLE notes (id bigint); ALTER TABLE notes ADD PRIMARY KEY (id);"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
