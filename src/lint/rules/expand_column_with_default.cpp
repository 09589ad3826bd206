#include <fmt/format.h>

#include "lint/columns.h"
#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_added_column(context, [&](const AddedColumn& column) {
    const ColumnPiece* piece = column.piece(PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT);
    if (piece == nullptr || column.traits.volatile_default) return;  // volatile_default says more
    // Nothing but a type and a default: what fills the old rows is the rollout's to say.
    const std::string safe = column.pieces.size() > 1
                                 ? column.in_steps()
                                 : fmt::format(
                                       "{}\n-- sync trigger and backfill; when the backfill has ended:\n"
                                       "ALTER TABLE {} ALTER COLUMN {} SET {};",
                                       column.bare(), column.action.table.to_sql(), column.name, piece->text);
    matches.push_back({piece->range,
                       fmt::format("column {} of {}", column.name, table_text(column.action.table)),
                       in_place_of(context.statement, column.action, safe)});
  });
  return matches;
}

}  // namespace

const Rule& expand_column_with_default() {
  static const Rule rule{
      .id = "expand_column_with_default",
      .title = "a new column that starts with a default",
      .reason =
          "Every old row reads as the default at once, so that a backfill cannot tell the rows that it has "
          "filled from those that it has not: WHERE new IS NULL finds nothing, and wrong values stay.",
      .fix =
          "Add the column without a default, let the sync trigger and the backfill fill it, and set the "
          "default "
          "when the backfill has ended.",
      .bad = {"ALTER TABLE orders ADD COLUMN new_status varchar(32) DEFAULT 'pending';",
              "ALTER TABLE orders ADD COLUMN a int, ADD COLUMN b timestamptz NOT NULL DEFAULT now();"},
      .good = {"ALTER TABLE orders ADD COLUMN new_status varchar(32);\n"
               "ALTER TABLE orders ALTER COLUMN new_status SET DEFAULT 'pending';",
               "CREATE TABLE notes (id bigint); ALTER TABLE notes ADD COLUMN state text DEFAULT 'new';"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
