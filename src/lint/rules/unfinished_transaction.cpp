#include <algorithm>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

bool ends(const schema::Statement& statement) {
  return statement.kind() == schema::StatementKind::kCommit ||
         statement.kind() == schema::StatementKind::kRollback ||
         statement.kind() == schema::StatementKind::kPreparedTransaction;
}

std::vector<Match> check(const Context& context) {
  if (context.statement.kind() != schema::StatementKind::kBegin || context.begun) return {};
  if (std::ranges::any_of(context.following, ends)) return {};
  return {{{0, context.statement.text().size()}, "no COMMIT follows", ""}};
}

}  // namespace

const Rule& unfinished_transaction() {
  static const Rule rule{
      .id = "unfinished_transaction",
      .title = "a transaction that nothing ends",
      .reason =
          "At the end of the session everything since BEGIN is rolled back without a word; and where the "
          "session lives on, in a pool, the locks stay as long as it does.",
      .fix = "End it with COMMIT.",
      .bad = {"BEGIN; ALTER TABLE orders ADD COLUMN note text;",
              "BEGIN; SELECT 1; COMMIT; START TRANSACTION; DELETE FROM orders WHERE id = 1;"},
      .good = {"BEGIN; ALTER TABLE orders ADD COLUMN note text; COMMIT;",
               "BEGIN; SELECT 1; ROLLBACK; SELECT 2;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
