#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

constexpr std::string_view kSetting = "session_replication_role";

bool says(const PgQuery__Node* node, std::string_view word) {
  const auto* value = schema::as<PgQuery__AConst>(node);
  return value != nullptr && value->val_case == PG_QUERY__A__CONST__VAL_SVAL &&
         schema::equals_ignoring_case(schema::text_of(value->sval->sval), word);
}

// SET, also for a role or a database, and set_config().
bool becomes_replica(const schema::Message* message) {
  if (const auto* set = schema::as<PgQuery__VariableSetStmt>(message))
    return schema::equals_ignoring_case(schema::text_of(set->name), kSetting) && set->n_args == 1 &&
           says(set->args[0], "replica");
  const auto* call = schema::as<PgQuery__FuncCall>(message);
  return call != nullptr && call->n_args == 3 &&
         schema::name_of(call->funcname, call->n_funcname).name == "set_config" &&
         says(call->args[0], kSetting) && says(call->args[1], "replica");
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    const std::string table = table_text(action.table);
    switch (action.command.subtype) {
      case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrigAll:
        matches.push_back(
            {action.range, "all of " + table + ", those that keep its foreign keys among them", ""});
        break;
      case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrigUser:
        matches.push_back({action.range, "all of " + table + " but those of its foreign keys", ""});
        break;
      case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrig:
        matches.push_back({action.range, schema::quote_identifier(action.name) + " of " + table, "", true});
        break;
      default: break;
    }
  });
  bool replica = false;
  schema::walk(schema::content(context.statement.node()), [&](const schema::Message* message) {
    replica = replica || becomes_replica(message);
    return !replica;
  });
  if (replica)
    matches.push_back({{0, context.statement.text().size()},
                       "every trigger and foreign key of every table, for all that the session writes",
                       ""});
  return matches;
}

}  // namespace

const Rule& triggers_off() {
  static const Rule rule{
      .id = "triggers_off",
      .title = "triggers are turned off",
      .reason =
          "DISABLE TRIGGER holds for every session: what the application writes meanwhile is neither audited "
          "nor "
          "kept in step with its copy. With ALL, or in the role of a replica, no foreign key is checked "
          "either, and rows that break one stay: turning the triggers on again looks at none of them.",
      .fix =
          "Leave them on and write in small batches. To load a table before its foreign key, add the key "
          "NOT VALID afterwards and validate it.",
      .bad = {"ALTER TABLE orders DISABLE TRIGGER ALL;", "ALTER TABLE orders DISABLE TRIGGER USER;",
              "ALTER TABLE orders DISABLE TRIGGER audit;", "SET session_replication_role = replica;",
              "SELECT set_config('session_replication_role', 'replica', true);"},
      .good = {"ALTER TABLE orders ENABLE TRIGGER ALL;", "SET session_replication_role = origin;",
               "CREATE TABLE notes (id bigint); ALTER TABLE notes DISABLE TRIGGER USER;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
