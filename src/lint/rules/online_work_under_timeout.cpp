#include <fmt/format.h>

#include "lint/rule.h"
#include "lint/transaction_rules.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// lock_timeout bounds each wait for another transaction, too, and CONCURRENTLY waits for every older one.
std::vector<Match> concurrent(const Context& context, const NoTransaction& found) {
  if (context.in_transaction || (!context.own_lock_timeout && !context.own_statement_timeout)) return {};
  const char* in_force = context.own_lock_timeout && context.own_statement_timeout
                             ? "lock_timeout and statement_timeout"
                         : context.own_lock_timeout ? "lock_timeout"
                                                    : "statement_timeout";
  return {{found.range, fmt::format("{} under {}", found.what, in_force),
           fmt::format("{}{}{};", context.own_lock_timeout ? "SET lock_timeout = 0;\n" : "",
                       context.own_statement_timeout ? "SET statement_timeout = 0;\n" : "",
                       context.statement.text())}};
}

// It waits for nobody who only reads or writes, but reads the whole table; refused, it leaves nothing behind.
std::vector<Match> validation(const Context& context) {
  std::vector<Match> out;
  if (!context.own_statement_timeout) return out;
  each_action(context, [&](const Action& action) {
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint || !out.empty()) return;
    if (context.is_small(action.table)) return;
    out.push_back({action.range, "VALIDATE CONSTRAINT under statement_timeout",
                   fmt::format("SET {}statement_timeout = 0;\n{};", context.in_transaction ? "LOCAL " : "",
                               context.statement.text()),
                   true});
  });
  return out;
}

std::vector<Match> check(const Context& context) {
  // Of the script's own alone: a runner that brings time-outs is taken to know what it bounds.
  if (context.options.timeouts_for_each) return {};
  const NoTransaction found = needs_no_transaction(context.statement);
  return found.concurrently ? concurrent(context, found) : validation(context);
}

}  // namespace

const Rule& online_work_under_timeout() {
  static const Rule rule{
      .id = "online_work_under_timeout",
      .title = "a time-out over work that takes long by design",
      .reason =
          "CONCURRENTLY waits for every older transaction, and lock_timeout counts that wait: canceled, it "
          "leaves an INVALID index behind, which each write keeps up and no query uses, or a partition that "
          "is half detached. VALIDATE CONSTRAINT reads the whole table, and under a short statement_timeout "
          "never comes to its end.",
      .fix =
          "RESET the time-outs, or set them to 0, before it: it holds nobody up. Keep them to the short "
          "changes with SET LOCAL in their transactions.",
      .bad = {"SET lock_timeout = '50ms'; CREATE INDEX CONCURRENTLY orders_status ON orders (status);",
              "SET statement_timeout = '5s'; DROP INDEX CONCURRENTLY orders_status;",
              "SET lock_timeout = '50ms'; SET statement_timeout = '5s';\n"
              "REINDEX INDEX CONCURRENTLY orders_status;",
              "SELECT set_config('lock_timeout', '1s', false);\n"
              "ALTER TABLE events DETACH PARTITION events_2020 CONCURRENTLY;",
              "BEGIN; SET lock_timeout = '50ms'; COMMIT; REINDEX TABLE CONCURRENTLY orders;",
              "SET statement_timeout = '5s'; ALTER TABLE orders VALIDATE CONSTRAINT orders_price_positive;",
              "BEGIN; SET LOCAL statement_timeout = '5s';\n"
              "ALTER TABLE orders VALIDATE CONSTRAINT orders_price_positive; COMMIT;"},
      .good = {"BEGIN; SET LOCAL lock_timeout = '50ms'; SET LOCAL statement_timeout = '5s';\n"
               "ALTER TABLE orders ADD COLUMN status text; COMMIT;\n"
               "CREATE INDEX CONCURRENTLY orders_status ON orders (status);",
               "SET lock_timeout = '50ms'; SET statement_timeout = '5s'; ALTER TABLE orders ADD COLUMN "
               "status text;\n"
               "RESET lock_timeout; RESET statement_timeout;\n"
               "CREATE INDEX CONCURRENTLY orders_status ON orders (status);",
               "SET lock_timeout = '50ms'; ALTER TABLE orders VALIDATE CONSTRAINT orders_price_positive;",
               "SET statement_timeout = 0; ALTER TABLE orders VALIDATE CONSTRAINT orders_price_positive;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
