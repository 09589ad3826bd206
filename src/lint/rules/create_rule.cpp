#include <fmt/format.h>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

const char* event(PgQuery__CmdType type) {
  switch (type) {
    case PG_QUERY__CMD_TYPE__CMD_SELECT: return "SELECT";
    case PG_QUERY__CMD_TYPE__CMD_INSERT: return "INSERT";
    case PG_QUERY__CMD_TYPE__CMD_UPDATE: return "UPDATE";
    default: return "DELETE";
  }
}

std::vector<Match> check(const Context& context) {
  const PgQuery__Node& node = *context.statement.node();
  if (node.node_case != PG_QUERY__NODE__NODE_RULE_STMT) return {};
  const PgQuery__RuleStmt& rule = *node.rule_stmt;
  const schema::QualifiedName table = schema::name_of(*rule.relation);
  if (context.is_new(table)) return {};
  return {{.range = context.statement.words({"DO"}),
           .detail = fmt::format("{} {} of {}", rule.instead ? "instead of each" : "beside each",
                                 event(rule.event), table.to_sql()),
           .rewrite = "",
           .lesser = !rule.instead}};
}

}  // namespace

const Rule& create_rule() {
  static const Rule rule{
      .id = "create_rule",
      .title = "a rewrite rule changes what statements do",
      .reason =
          "With DO INSTEAD the application's write goes elsewhere, or nowhere, and is reported as done: its "
          "count "
          "of rows is 0, RETURNING fails, COPY passes the rule by. Expressions of the statement are put "
          "into the rule's and may run twice, each nextval() and now() anew. CREATE RULE takes ACCESS "
          "EXCLUSIVE.",
      .fix =
          "Use a trigger: BEFORE or AFTER on a table, INSTEAD OF on a view. A view over one table takes "
          "writes by "
          "itself.",
      .bad = {"CREATE RULE keep AS ON DELETE TO orders DO INSTEAD NOTHING;",
              "CREATE RULE watch AS ON UPDATE TO orders DO ALSO NOTIFY orders;"},
      .good = {"CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';\n"
               "CREATE TRIGGER keep BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION keep();",
               "CREATE TABLE notes (id bigint); CREATE RULE keep AS ON DELETE TO notes DO INSTEAD NOTHING;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
