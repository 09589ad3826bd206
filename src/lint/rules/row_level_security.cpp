#include <fmt/format.h>

#include "lint/rule.h"
#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// By an earlier statement, or by a later one of the same transaction.
bool has_policy(const Context& context, const schema::QualifiedName& table) {
  const std::vector<std::size_t> places = context.facts->policies_on(table);
  if (places.empty()) return false;
  const std::size_t now = context.index();
  if (places.front() < now) return true;
  if (!context.in_transaction) return false;
  for (std::size_t i = 0; i < context.following.size() && now + 1 + i < places.front(); ++i) {
    const schema::StatementKind kind = context.following[i].kind();
    if (kind == schema::StatementKind::kCommit || kind == schema::StatementKind::kRollback) return false;
  }
  return true;
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    const std::string table = table_text(action.table);
    switch (action.command.subtype) {
      case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableRowSecurity: {
        const bool some = has_policy(context, action.table);
        const char* seen =
            some ? "only what its policies let pass" : "nothing, until a policy lets rows pass";
        matches.push_back(
            {action.range, fmt::format("of {} all but its owner see {}", table, seen), "", some});
        break;
      }
      case PG_QUERY__ALTER_TABLE_TYPE__AT_ForceRowSecurity:
        matches.push_back({action.range, "the owner of " + table + " is held to its policies too", "", true});
        break;
      case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableRowSecurity:
        matches.push_back({action.range, "whoever may read " + table + " sees every row of it", "", true});
        break;
      default: break;
    }
  });
  return matches;
}

}  // namespace

const Rule& row_level_security() {
  static const Rule rule{
      .id = "row_level_security",
      .title = "row level security is switched",
      .reason =
          "From that moment each statement sees other rows, without an error: an application that is not the "
          "owner and that no policy names reads an empty table, its UPDATE changes nothing and its INSERT is "
          "refused (42501). A backfill that runs as such a role skips rows in silence.",
      .fix =
          "CREATE POLICY first, for each role that uses the table; then ENABLE, after the application's own "
          "statements have been tried as its own role on a shadow.",
      .bad =
          {"ALTER TABLE orders ENABLE ROW LEVEL SECURITY;", "ALTER TABLE orders FORCE ROW LEVEL SECURITY;",
           "CREATE POLICY own ON orders USING (customer = 7);\nALTER TABLE orders ENABLE ROW LEVEL SECURITY;",
           "ALTER TABLE orders DISABLE ROW LEVEL SECURITY;"},
      .good = {"CREATE TABLE notes (id bigint); ALTER TABLE notes ENABLE ROW LEVEL SECURITY;",
               "CREATE POLICY own ON orders USING (customer = 7);",
               "ALTER TABLE orders NO FORCE ROW LEVEL SECURITY;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
