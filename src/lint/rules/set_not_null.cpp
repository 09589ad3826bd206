#include <fmt/format.h>

#include "lint/columns.h"
#include "lint/rule.h"
#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull) return;
    if (known_not_null(context, action.table, action.name)) return;
    matches.push_back(
        {.range = context.statement.words({"SET", "NOT", "NULL"}, action.range.begin),
         .detail =
             fmt::format("column {} of {}", schema::quote_identifier(action.name), table_text(action.table)),
         .rewrite = in_place_of(context.statement, action,
                                not_null_in_steps(action.table, action.name,
                                                  free_name(context, action.table,
                                                            {action.table.name, action.name, "not_null"}))),
         .lesser = context.is_small(action.table)});
  });
  return matches;
}

}  // namespace

const Rule& set_not_null() {
  static const Rule rule{
      .id = "set_not_null",
      .title = "SET NOT NULL without a validated CHECK",
      .reason =
          "PostgreSQL reads the whole table under ACCESS EXCLUSIVE: nobody reads or writes it meanwhile.",
      .fix =
          "Add CHECK (column IS NOT NULL) NOT VALID, commit, VALIDATE it (which lets everybody work), then "
          "SET "
          "NOT NULL, which believes the CHECK and reads nothing, and drop the CHECK.",
      .bad = {"ALTER TABLE orders ALTER COLUMN status SET NOT NULL;",
              "ALTER TABLE orders ADD CONSTRAINT c CHECK (status IS NOT NULL) NOT VALID;\n"
              "ALTER TABLE orders ALTER COLUMN status SET NOT NULL;",
              "ALTER TABLE orders ADD CONSTRAINT c CHECK (status IS NOT NULL OR old) NOT VALID;\n"
              "ALTER TABLE orders VALIDATE CONSTRAINT c; ALTER TABLE orders ALTER status SET NOT NULL;"},
      .good = {"ALTER TABLE orders ADD CONSTRAINT c CHECK (status IS NOT NULL) NOT VALID;\n"
               "ALTER TABLE orders VALIDATE CONSTRAINT c;\n"
               "ALTER TABLE orders ALTER COLUMN status SET NOT NULL; ALTER TABLE orders DROP CONSTRAINT c;",
               "CREATE TABLE notes (id bigint); ALTER TABLE notes ALTER COLUMN id SET NOT NULL;",
               "ALTER TABLE orders ALTER COLUMN status DROP NOT NULL;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
