#include <fmt/format.h>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

bool adds_not_valid(const schema::Statement& statement, const Action& validated) {
  bool found = false;
  each_action(statement, [&](const Action& action) {
    const auto* constraint = schema::as<PgQuery__Constraint>(action.command.def);
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint || constraint == nullptr)
      return;
    found = found || (constraint->skip_validation && same_table(action.table, validated.table) &&
                      schema::text_of(constraint->conname) == validated.name);
  });
  return found;
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint) return;
    const bool here = adds_not_valid(context.statement, action);
    bool before = false;
    for (const schema::Statement* earlier : context.transaction)
      before = before || adds_not_valid(*earlier, action);
    if (!here && !before) return;
    const std::string alone = fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {};", action.table.to_sql(),
                                          schema::quote_identifier(action.name));
    const std::string safe = before ? "COMMIT;\nBEGIN;\n" + alone : alone;
    // A transaction of the runner's is not for the script to end.
    const bool possible = context.begun || !before;
    matches.push_back({action.range, fmt::format("constraint {}", schema::quote_identifier(action.name)),
                       possible ? in_place_of(context.statement, action, safe) : ""});
  });
  return matches;
}

}  // namespace

const Rule& not_valid_and_validate_together() {
  static const Rule rule{
      .id = "not_valid_and_validate_together",
      .title = "NOT VALID and VALIDATE in one transaction",
      .reason =
          "The strong lock of the ADD is kept to the end of the transaction, so that the long VALIDATE runs "
          "under it: NOT VALID has won nothing.",
      .fix = "Commit between the two.",
      .bad =
          {"BEGIN; ALTER TABLE orders ADD CONSTRAINT paid CHECK (total >= 0) NOT VALID;\n"
           "ALTER TABLE orders VALIDATE CONSTRAINT paid; COMMIT;",
           "ALTER TABLE orders ADD CONSTRAINT paid CHECK (total >= 0) NOT VALID, VALIDATE CONSTRAINT paid;"},
      .good = {"BEGIN; ALTER TABLE orders ADD CONSTRAINT paid CHECK (total >= 0) NOT VALID; COMMIT;\n"
               "ALTER TABLE orders VALIDATE CONSTRAINT paid;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
