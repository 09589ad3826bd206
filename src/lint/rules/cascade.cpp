#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  const schema::Statement& statement = context.statement;
  const auto cascades = [](PgQuery__DropBehavior behaviour) {
    return behaviour == PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE;
  };
  const auto* drop = schema::as<PgQuery__DropStmt>(statement.node());
  const auto* truncate = schema::as<PgQuery__TruncateStmt>(statement.node());
  if ((drop != nullptr && cascades(drop->behavior)) || (truncate != nullptr && cascades(truncate->behavior)))
    return {{statement.words({"CASCADE"}), to_string(statement.kind()), ""}};
  if (const PgQuery__Node& node = *statement.node();
      node.node_case == PG_QUERY__NODE__NODE_DROP_OWNED_STMT && cascades(node.drop_owned_stmt->behavior))
    return {{statement.words({"CASCADE"}), "DROP OWNED", ""}};
  std::vector<Match> matches;
  each_action(statement, [&](const Action& action) {
    if (cascades(action.command.behavior))
      matches.push_back({statement.words({"CASCADE"}, action.range.begin), table_text(action.table), ""});
  });
  return matches;
}

}  // namespace

const Rule& cascade() {
  static const Rule rule{
      .id = "cascade",
      .title = "CASCADE",
      .reason =
          "It takes along whatever depends on the object: views, foreign keys, other tables' rows. What that "
          "is "
          "differs between staging and production, and nobody has listed it.",
      .fix =
          "Leave CASCADE out: PostgreSQL then refuses and lists what depends on the object. Drop each of "
          "those by "
          "its own statement.",
      .bad = {"DROP TABLE orders CASCADE;", "ALTER TABLE orders DROP COLUMN status CASCADE;",
              "TRUNCATE orders CASCADE;", "DROP TYPE mood CASCADE;", "DROP OWNED BY app CASCADE;"},
      .good = {"DROP TABLE orders;", "ALTER TABLE orders DROP COLUMN status RESTRICT;",
               "CREATE TABLE lines (id bigint REFERENCES orders (id) ON DELETE CASCADE);"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
