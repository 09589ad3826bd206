#include "lint/rule.h"
#include "lint/statement_options.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::string what(const PgQuery__Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_ALTER_PUBLICATION_STMT:
      switch (node.alter_publication_stmt->action) {
        case PG_QUERY__ALTER_PUBLICATION_ACTION__AP_DropObjects: return "a publication loses tables";
        case PG_QUERY__ALTER_PUBLICATION_ACTION__AP_SetObjects:
          return node.alter_publication_stmt->n_pubobjects > 0 ? "a publication holds these tables alone"
                                                               : "what a publication sends";
        default: return "";
      }
    case PG_QUERY__NODE__NODE_ALTER_SUBSCRIPTION_STMT:
      switch (node.alter_subscription_stmt->kind) {
        case PG_QUERY__ALTER_SUBSCRIPTION_TYPE__ALTER_SUBSCRIPTION_REFRESH: return "";
        case PG_QUERY__ALTER_SUBSCRIPTION_TYPE__ALTER_SUBSCRIPTION_ADD_PUBLICATION: return "";
        case PG_QUERY__ALTER_SUBSCRIPTION_TYPE__ALTER_SUBSCRIPTION_ENABLED:
          return has_option(node.alter_subscription_stmt->options, node.alter_subscription_stmt->n_options,
                            "enabled")
                     ? ""
                     : "a subscription stops, and the publisher keeps its log from then on";
        default: return "what a subscription takes, and from where";
      }
    case PG_QUERY__NODE__NODE_DROP_SUBSCRIPTION_STMT: return "a subscription is dropped";
    case PG_QUERY__NODE__NODE_DROP_STMT:
      return node.drop_stmt->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_PUBLICATION
                 ? "a publication is dropped: its subscribers stop with an error"
                 : "";
    default: return "";
  }
}

std::vector<Match> check(const Context& context) {
  std::string change = what(*context.statement.node());
  if (change.empty()) return {};
  return {{{0, context.statement.text().size()}, std::move(change), ""}};
}

}  // namespace

const Rule& replication_change() {
  static const Rule rule{
      .id = "replication_change",
      .severity = Severity::kWarning,
      .title = "what other databases receive changes",
      .reason =
          "A subscriber is told nothing: it goes on with old rows, and taking the table up again copies all "
          "of it "
          "anew. A subscription that is stopped makes the publisher keep its log until the disk is full.",
      .fix =
          "Let whoever runs the subscribers approve it, and name them: -- poundlock: ignore "
          "replication_change REASON.",
      .bad = {"ALTER PUBLICATION changes DROP TABLE orders;",
              "ALTER PUBLICATION changes SET TABLE customers;", "DROP PUBLICATION changes;",
              "ALTER SUBSCRIPTION feed DISABLE;", "DROP SUBSCRIPTION feed;"},
      .good = {"ALTER SUBSCRIPTION feed REFRESH PUBLICATION;",
               "CREATE PUBLICATION tag_changes FOR TABLE tags; ALTER PUBLICATION tag_changes ADD TABLE "
               "customers;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
