#include <fmt/format.h>

#include "lint/locks.h"
#include "lint/rule.h"
#include "lint/transaction_rules.h"

namespace poundlock::lint {
namespace {

// The time-outs end with the statement: left in force they would cancel a CREATE INDEX CONCURRENTLY further
// down, which then leaves an invalid index.
std::string bounded(const Context& context) {
  constexpr const char* kSet = "SET {0}lock_timeout = '50ms';\nSET {0}statement_timeout = '5s';\n{1};";
  const std::string text = context.statement.text();
  if (context.in_transaction) return fmt::format(kSet, "LOCAL ", text);
  if (needs_no_transaction(context.statement).what.empty())
    return "BEGIN;\n" + fmt::format(kSet, "LOCAL ", text) + "\nCOMMIT;";
  return fmt::format(kSet, "", text) + "\nRESET lock_timeout;\nRESET statement_timeout;";
}

std::vector<Match> check(const Context& context) {
  if (context.lock_timeout && context.statement_timeout) return {};
  const LockInfo lock = strongest_lock(context.statement);
  if (!lock.blocks_writes() || (!lock.relation.name.empty() && context.is_new(lock.relation))) return {};
  const char* missing = context.lock_timeout        ? "statement_timeout is"
                        : context.statement_timeout ? "lock_timeout is"
                                                    : "lock_timeout and statement_timeout are";
  return {{{0, context.statement.text().size()},
           fmt::format("{} not set before {}", missing, to_string(lock.mode)),
           bounded(context)}};
}

}  // namespace

const Rule& missing_timeouts() {
  static const Rule rule{
      .id = "missing_timeouts",
      .title = "a strong lock without time-outs",
      .reason =
          "While it waits behind one long transaction, every later statement on the table queues behind it: "
          "a "
          "lock that would be held for a millisecond stops the application for as long as that transaction "
          "lives.",
      .fix =
          "Set lock_timeout (50 ms, and try again) and statement_timeout before it with SET LOCAL, in its "
          "transaction: left in force they would cancel CREATE INDEX CONCURRENTLY and VALIDATE behind it.",
      .bad = {"ALTER TABLE orders ADD COLUMN status text;",
              "SET lock_timeout = '50ms'; ALTER TABLE orders ADD COLUMN status text;",
              "SET lock_timeout = 0; SET statement_timeout = '5s'; DROP TABLE orders;",
              "SET LOCAL lock_timeout = '50ms'; SET LOCAL statement_timeout = '5s'; TRUNCATE orders;",
              "BEGIN; SET LOCAL lock_timeout = '50ms'; SET LOCAL statement_timeout = '5s'; COMMIT;\n"
              "ALTER TABLE orders ADD COLUMN status text;"},
      .good =
          {"SET lock_timeout = '50ms'; SET statement_timeout = '5s'; ALTER TABLE orders ADD COLUMN status "
           "text;",
           "BEGIN; SET LOCAL lock_timeout = '50ms'; SET LOCAL statement_timeout = '5s';\n"
           "ALTER TABLE orders ADD COLUMN status text; COMMIT;",
           "SELECT set_config('lock_timeout', '50ms', false), set_config('statement_timeout', '5s', false);\n"
           "ALTER TABLE orders ADD COLUMN status text;",
           "CREATE TABLE notes (id bigint); ALTER TABLE notes ADD COLUMN status text;",
           "CREATE INDEX CONCURRENTLY orders_status ON orders (status);",
           "UPDATE orders SET a = 1 WHERE id = 1;"},
      .check = check,
      .once = true};
  return rule;
}

}  // namespace poundlock::lint
