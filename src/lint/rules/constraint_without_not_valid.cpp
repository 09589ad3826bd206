#include <fmt/format.h>

#include <algorithm>

#include "lint/columns.h"
#include "lint/rule.h"
#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// The columns that the constraint is about, for its name.
std::vector<std::string> columns_of(const PgQuery__Constraint& constraint) {
  if (constraint.n_fk_attrs > 0) return schema::strings(constraint.fk_attrs, constraint.n_fk_attrs);
  std::vector<std::string> columns;
  schema::walk(schema::content(constraint.raw_expr), [&](const schema::Message* message) {
    const auto* ref = schema::as<PgQuery__ColumnRef>(message);
    if (ref == nullptr) return true;
    std::string name = schema::strings(ref->fields, ref->n_fields).back();
    if (std::ranges::find(columns, name) == columns.end()) columns.push_back(std::move(name));
    return true;
  });
  return columns;
}

std::string rewritten(const Context& context, const Action& action, const PgQuery__Constraint& constraint) {
  const bool foreign = constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN;
  const schema::Table* known = context.table(action.table);
  if (foreign && known != nullptr && known->kind == 'p') return "";  // NOT VALID is refused there
  std::string name(schema::text_of(constraint.conname));
  std::string text(context.statement.slice(action.range));
  if (name.empty()) {
    std::vector<std::string> parts{action.table.name};
    for (std::string& column : columns_of(constraint)) parts.push_back(std::move(column));
    parts.emplace_back(foreign ? "fkey" : "check");
    name = free_name(context, action.table, {parts.begin(), parts.end()});
    const auto begin = static_cast<std::size_t>(std::max(0, constraint.location));
    text = fmt::format("ADD CONSTRAINT {} {}", schema::quote_identifier(name),
                       context.statement.slice({begin, action.range.end}));
  }
  return fmt::format("ALTER TABLE {0} {1} NOT VALID;\nALTER TABLE {0} VALIDATE CONSTRAINT {2};",
                     action.table.to_sql(), text, schema::quote_identifier(name));
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    const auto* constraint = schema::as<PgQuery__Constraint>(action.command.def);
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint || constraint == nullptr)
      return;
    const bool foreign = constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN;
    if ((!foreign && constraint->contype != PG_QUERY__CONSTR_TYPE__CONSTR_CHECK) ||
        constraint->skip_validation)
      return;
    matches.push_back(
        {.range = action.range,
         .detail = fmt::format("{} on {}", foreign ? "a foreign key" : "a CHECK", table_text(action.table)),
         .rewrite = in_place_of(context.statement, action, rewritten(context, action, *constraint)),
         .lesser = context.is_small(action.table)});
  });
  each_added_column(context, [&](const AddedColumn& column) {
    if (const ColumnPiece* piece = column.piece(PG_QUERY__CONSTR_TYPE__CONSTR_CHECK))
      matches.push_back({.range = piece->range,
                         .detail = fmt::format("a CHECK with the new column {}", column.name),
                         .rewrite = in_place_of(context.statement, column.action, column.in_steps()),
                         .lesser = context.is_small(column.action.table)});
  });
  return matches;
}

}  // namespace

const Rule& constraint_without_not_valid() {
  static const Rule rule{
      .id = "constraint_without_not_valid",
      .title = "a constraint that is checked while it is added",
      .reason =
          "PostgreSQL reads all rows while the table is locked: a CHECK stops readers and writers, a foreign "
          "key stops the writers of both tables.",
      .fix =
          "Add it NOT VALID, which holds for new rows at once, commit, and VALIDATE it in a statement of its "
          "own, "
          "which lets everybody work. Index a foreign key's columns first.",
      .bad = {"ALTER TABLE orders ADD CONSTRAINT paid CHECK (total >= 0);",
              "ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customers (id);",
              "ALTER TABLE orders ADD COLUMN refund numeric CONSTRAINT refunded CHECK (refund >= 0);",
              "ALTER TABLE orders ADD COLUMN note text, ADD CHECK (total < 1000000);"},
      .good = {"ALTER TABLE orders ADD CONSTRAINT paid CHECK (total >= 0) NOT VALID;\n"
               "ALTER TABLE orders VALIDATE CONSTRAINT paid;",
               "CREATE TABLE notes (id bigint); ALTER TABLE notes ADD CHECK (id > 0);",
               "ALTER TABLE orders ADD COLUMN customer bigint REFERENCES customers (id);"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
