#include "lint/rule.h"
#include "lint/transaction_rules.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  if (!context.in_transaction) return {};
  const NoTransaction found = needs_no_transaction(context.statement);
  if (!found.concurrently) return {};
  return {{found.range, found.what, context.begun ? "COMMIT;\n" + context.statement.text() + ";" : ""}};
}

}  // namespace

const Rule& concurrently_in_transaction() {
  static const Rule rule{
      .id = "concurrently_in_transaction",
      .title = "CONCURRENTLY inside a transaction",
      .reason =
          "PostgreSQL refuses it (25001) and rolls the whole transaction back: nothing before it in the "
          "transaction stays either.",
      .fix =
          "Commit first and run it as a step of its own. Afterwards look at pg_index.indisvalid; if the "
          "build "
          "failed, drop the invalid index concurrently and build it again.",
      .bad = {"BEGIN; CREATE INDEX CONCURRENTLY orders_status ON orders (status); COMMIT;",
              "BEGIN; DROP INDEX CONCURRENTLY orders_status; COMMIT;",
              "BEGIN; REINDEX INDEX CONCURRENTLY orders_status; COMMIT;",
              "BEGIN; REINDEX (CONCURRENTLY) TABLE orders; COMMIT;",
              "START TRANSACTION; ALTER TABLE events DETACH PARTITION events_2020 CONCURRENTLY; COMMIT;"},
      .good = {"BEGIN; ALTER TABLE orders ADD COLUMN status text; COMMIT;\n"
               "CREATE INDEX CONCURRENTLY orders_status ON orders (status);",
               "BEGIN; REFRESH MATERIALIZED VIEW CONCURRENTLY totals; COMMIT;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
