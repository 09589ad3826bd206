#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  const PgQuery__RangeVar* table = nullptr;
  if (const auto* update = schema::as<PgQuery__UpdateStmt>(context.statement.node());
      update != nullptr && update->where_clause == nullptr)
    table = update->relation;
  if (const auto* remove = schema::as<PgQuery__DeleteStmt>(context.statement.node());
      remove != nullptr && remove->where_clause == nullptr)
    table = remove->relation;
  if (table == nullptr || context.is_new(schema::name_of(*table))) return {};
  return {{{0, context.statement.text().size()}, table_text(schema::name_of(*table)), ""}};
}

}  // namespace

const Rule& update_without_where() {
  static const Rule rule{
      .id = "update_without_where",
      .title = "every row is changed in one statement",
      .reason =
          "It locks every row until it ends, so that the application's writes wait for all of it; it writes "
          "a "
          "new version of each row at once, doubles the table and makes the replicas fall behind.",
      .fix =
          "Change the rows in batches by key, each in its own transaction with a short lock_timeout; a "
          "backfill "
          "step does that and watches replicas and waiters.",
      .bad = {"UPDATE orders SET new_status = legacy_status;", "DELETE FROM orders;"},
      .good = {"UPDATE orders SET new_status = legacy_status WHERE id BETWEEN 1 AND 1000;",
               "CREATE TABLE notes (id bigint); UPDATE notes SET id = id + 1;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
