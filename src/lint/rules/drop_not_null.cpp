#include <fmt/format.h>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull) return;
    const schema::Column* known = context.column(action.table, action.name);
    if (known != nullptr && !known->not_null) return;
    matches.push_back(
        {context.statement.words({"DROP", "NOT", "NULL"}, action.range.begin),
         fmt::format("column {} of {}", schema::quote_identifier(action.name), table_text(action.table)),
         ""});
  });
  return matches;
}

}  // namespace

const Rule& drop_not_null() {
  static const Rule rule{
      .id = "drop_not_null",
      .severity = Severity::kWarning,
      .title = "a column may hold nulls from now on",
      .reason =
          "Readers that were written when it could not now meet nulls and fail, or leave rows out of joins "
          "and sums without a word. And the way back needs a scan and a value for each null.",
      .fix =
          "Let every reader handle a null first, and show that none is left that cannot; then drop it. If "
          "that is shown, say so: -- poundlock: ignore drop_not_null REASON.",
      .bad = {"ALTER TABLE orders ALTER COLUMN status DROP NOT NULL;"},
      .good = {"CREATE TABLE notes (id bigint NOT NULL); ALTER TABLE notes ALTER id DROP NOT NULL;",
               "ALTER TABLE orders ALTER COLUMN status DROP DEFAULT;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
