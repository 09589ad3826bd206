#include "lint/rule.h"
#include "lint/transaction_rules.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  if (!context.in_transaction) return {};
  const NoTransaction found = needs_no_transaction(context.statement);
  if (found.what.empty() || found.concurrently) return {};
  return {{found.range, found.what, context.begun ? "COMMIT;\n" + context.statement.text() + ";" : ""}};
}

}  // namespace

const Rule& vacuum_in_transaction() {
  static const Rule rule{
      .id = "vacuum_in_transaction",
      .title = "a statement that cannot run inside a transaction",
      .reason =
          "PostgreSQL refuses it (25001) and rolls the whole transaction back, with all that it had done so "
          "far: a column that was to be dropped is still there.",
      .fix = "Commit first and run it as a step of its own.",
      .bad = {"BEGIN; VACUUM orders; COMMIT;",
              "BEGIN; ALTER TABLE orders DROP COLUMN old; VACUUM FULL ANALYZE orders; COMMIT;",
              "BEGIN; ALTER SYSTEM SET work_mem = '64MB'; COMMIT;", "BEGIN; CREATE DATABASE shadow; COMMIT;",
              "BEGIN; REINDEX SCHEMA app; COMMIT;", "BEGIN; CLUSTER; COMMIT;",
              "BEGIN; CREATE SUBSCRIPTION s CONNECTION 'host=a' PUBLICATION p; COMMIT;",
              "BEGIN; DISCARD ALL; COMMIT;"},
      .good = {"BEGIN; ALTER TABLE orders DROP COLUMN old; COMMIT; VACUUM (ANALYZE) orders;",
               "BEGIN; ANALYZE orders; COMMIT;", "BEGIN; CLUSTER orders USING orders_pkey; COMMIT;",
               "BEGIN; ALTER TYPE mood ADD VALUE 'happy'; COMMIT;",
               "BEGIN; CREATE SUBSCRIPTION s CONNECTION 'host=a' PUBLICATION p WITH (create_slot = false); "
               "COMMIT;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
