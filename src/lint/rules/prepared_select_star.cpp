#include <fmt/format.h>

#include "lint/rule.h"
#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

constexpr std::size_t kQuoteBytesMax = 80;

bool changes_columns(const Action& action) {
  return action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn ||
         action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn ||
         action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType;
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    if (!changes_columns(action)) return;
    const schema::Statement* reader = context.facts->star_reader(action.table, context.index());
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
