#include <fmt/format.h>

#include "lint/columns.h"
#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_added_column(context, [&](const AddedColumn& column) {
    const ColumnTraits& traits = column.traits;
    const ColumnPiece* piece = column.piece(PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL);
    if (piece == nullptr || traits.default_expr != nullptr || traits.rewrites()) return;
    matches.push_back({piece->range,
                       fmt::format("column {} of {}", column.name, table_text(column.action.table)),
                       in_place_of(context.statement, column.action, column.in_steps())});
  });
  return matches;
}

}  // namespace

const Rule& add_column_not_null() {
  static const Rule rule{
      .id = "add_column_not_null",
      .title = "a new NOT NULL column without a default",
      .reason =
          "It fails as soon as the table has a row, and where the table is empty every INSERT of the "
          "application's running version, which does not know the column, fails.",
      .fix =
          "Add it nullable, write it from the application or the sync trigger, backfill, and then add NOT "
          "NULL by "
          "a validated CHECK.",
      .bad = {"ALTER TABLE orders ADD COLUMN status text NOT NULL;",
              "ALTER TABLE orders ADD COLUMN a int, ADD b varchar(10) COLLATE \"C\" NOT NULL;"},
      .good = {"ALTER TABLE orders ADD COLUMN status text;",
               "CREATE TABLE notes (id bigint); ALTER TABLE notes ADD COLUMN state text NOT NULL;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
