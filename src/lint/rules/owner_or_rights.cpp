#include <fmt/format.h>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

bool only_new(const Context& context, const PgQuery__GrantStmt& grant) {
  if (grant.n_objects == 0) return false;
  for (std::size_t i = 0; i < grant.n_objects; ++i) {
    const auto* relation = schema::as<PgQuery__RangeVar>(grant.objects[i]);
    if (relation == nullptr || !context.is_new(schema::name_of(*relation))) return false;
  }
  return true;
}

std::vector<Match> check(const Context& context) {
  const PgQuery__Node* node = context.statement.node();
  const schema::ByteRange all{0, context.statement.text().size()};
  if (const auto* grant = schema::as<PgQuery__GrantStmt>(node)) {
    if (only_new(context, *grant)) return {};
    return {{all, grant->is_grant ? "rights are given" : "rights are taken away", ""}};
  }
  if (const auto* member = schema::as<PgQuery__GrantRoleStmt>(node))
    return {{all, member->is_grant ? "membership of a role is given" : "membership of a role is taken", ""}};
  if (schema::as<PgQuery__AlterDefaultPrivilegesStmt>(node) != nullptr)
    return {{all, "rights on objects to come", ""}};
  if (schema::as<PgQuery__AlterOwnerStmt>(node) != nullptr ||
      schema::as<PgQuery__ReassignOwnedStmt>(node) != nullptr)
    return {{all, "a new owner", ""}};
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_ChangeOwner)
      matches.push_back({action.range, "a new owner of " + table_text(action.table), ""});
  });
  return matches;
}

}  // namespace

const Rule& owner_or_rights() {
  static const Rule rule{
      .id = "owner_or_rights",
      .severity = Severity::kWarning,
      .title = "an owner or rights change",
      .reason =
          "A right that is missing fails a statement of the application at once (42501), one too many is "
          "found by whoever looks for it. A table's new owner decides over it alone, and triggers and views "
          "then work with that role's rights.",
      .fix = "Let a person approve it: -- poundlock: ignore owner_or_rights REASON.",
      .bad = {"REVOKE SELECT ON orders FROM reporting;", "GRANT ALL ON ALL TABLES IN SCHEMA public TO app;",
              "ALTER TABLE orders OWNER TO app;", "GRANT admin TO alice;",
              "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reporting;"},
      .good = {"CREATE TABLE notes (id bigint); GRANT SELECT, INSERT ON notes TO app;",
               "CREATE TABLE notes (id bigint); ALTER TABLE notes OWNER TO app;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
