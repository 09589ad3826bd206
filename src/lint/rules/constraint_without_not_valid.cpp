#include <fmt/format.h>

#include "lint/columns.h"
#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

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
    const std::string name(schema::text_of(constraint->conname));
    std::string rewrite;
    if (!name.empty())
      rewrite = fmt::format("ALTER TABLE {0} {1} NOT VALID;\nALTER TABLE {0} VALIDATE CONSTRAINT {2};",
                            action.table.to_sql(), context.statement.slice(action.range),
                            schema::quote_identifier(name));
    matches.push_back(
        {action.range,
         fmt::format("{} on {}", foreign ? "a foreign key" : "a CHECK", table_text(action.table)), rewrite});
  });
  each_added_column(context, [&](const AddedColumn& column) {
    if (const ColumnPiece* piece = column.piece(PG_QUERY__CONSTR_TYPE__CONSTR_CHECK))
      matches.push_back({piece->range, fmt::format("a CHECK with the new column {}", column.name), ""});
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
              "ALTER TABLE orders ADD COLUMN total numeric CHECK (total >= 0);"},
      .good = {"ALTER TABLE orders ADD CONSTRAINT paid CHECK (total >= 0) NOT VALID;\n"
               "ALTER TABLE orders VALIDATE CONSTRAINT paid;",
               "CREATE TABLE notes (id bigint); ALTER TABLE notes ADD CHECK (id > 0);",
               "ALTER TABLE orders ADD COLUMN customer bigint REFERENCES customers (id);"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
