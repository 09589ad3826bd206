#include <fmt/format.h>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

constexpr std::size_t kQuoteBytesMax = 80;

// SELECT * or RETURNING * of the table, count(*) not among them.
bool answers_all_columns(const schema::Statement& statement, const schema::QualifiedName& table) {
  bool star = false;
  bool reads = false;
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    if (schema::as<PgQuery__AStar>(message) != nullptr) star = true;
    const auto* relation = schema::as<PgQuery__RangeVar>(message);
    if (relation != nullptr && same_table(schema::name_of(*relation), table)) reads = true;
    return true;
  });
  return star && reads;
}

bool changes_columns(const Action& action) {
  return action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn ||
         action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn ||
         action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType;
}

const schema::Statement* reader_of(const Context& context, const schema::QualifiedName& table) {
  for (const schema::Statement& earlier : context.earlier())
    if (earlier.kind() == schema::StatementKind::kPrepare && answers_all_columns(earlier, table))
      return &earlier;
  for (const schema::Statement& sent : context.options.application)
    if (answers_all_columns(sent, table)) return &sent;
  return nullptr;
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    if (!changes_columns(action)) return;
    const schema::Statement* reader = reader_of(context, action.table);
    if (reader == nullptr) return;
    matches.push_back(
        {action.range,
         fmt::format("{}: {}", table_text(action.table), reader->text().substr(0, kQuoteBytesMax)), ""});
  });
  return matches;
}

}  // namespace

const Rule& prepared_select_star() {
  static const Rule rule{
      .id = "prepared_select_star",
      .title = "the columns of a prepared SELECT * change",
      .reason =
          "Every session that has prepared SELECT * or RETURNING * of this table gets \"cached plan must not "
          "change result type\" (0A000) at its next execution, and inside a transaction loses that "
          "transaction. Drivers prepare without being asked. The lint knows of it from a PREPARE in the "
          "script, or from the application's statements where they are given.",
      .fix =
          "List the columns in the application's statements first, and deploy that; then change the table.",
      .bad = {"PREPARE all_orders AS SELECT * FROM orders WHERE id = $1;\n"
              "ALTER TABLE orders ADD COLUMN note text;",
              "PREPARE pay AS UPDATE orders SET status = 'paid' WHERE id = $1 RETURNING *;\n"
              "ALTER TABLE orders DROP COLUMN old;"},
      .good =
          {"PREPARE one_order AS SELECT id, status FROM orders WHERE id = $1;\n"
           "ALTER TABLE orders ADD COLUMN note text;",
           "PREPARE how_many AS SELECT count(*) FROM orders; ALTER TABLE orders ADD COLUMN note text;",
           "PREPARE all_orders AS SELECT * FROM orders; ALTER TABLE orders ALTER status SET DEFAULT 'new';"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
