#include <fmt/format.h>

#include "lint/locks.h"
#include "lint/rule.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  if (context.lock_timeout && context.statement_timeout) return {};
  const LockInfo lock = strongest_lock(context.statement);
  if (!lock.blocks_writes() || (!lock.relation.name.empty() && context.is_new(lock.relation))) return {};
  const char* missing = context.lock_timeout        ? "statement_timeout is"
                        : context.statement_timeout ? "lock_timeout is"
                                                    : "lock_timeout and statement_timeout are";
  const char* local = context.begun ? "LOCAL " : "";
  const std::string rewrite =
      fmt::format("SET {0}lock_timeout = '50ms';\nSET {0}statement_timeout = '5s';\n{1};", local,
                  context.statement.text());
  return {{{0, context.statement.text().size()},
           fmt::format("{} not set before {}", missing, to_string(lock.mode)),
           rewrite}};
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
          "Set lock_timeout (50 ms, and try again) and statement_timeout before it; in a transaction with "
          "SET "
          "LOCAL.",
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
