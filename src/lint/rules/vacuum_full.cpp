#include "lint/locks.h"
#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  const schema::Statement& statement = context.statement;
  const LockInfo lock = strongest_lock(statement);
  const bool full = statement.kind() == schema::StatementKind::kVacuum && lock.work == Work::kRewrite;
  if (!full && statement.kind() != schema::StatementKind::kCluster) return {};
  if (!lock.relation.name.empty() && context.is_new(lock.relation)) return {};
  const std::string table = lock.relation.name.empty() ? "" : " " + lock.relation.to_sql();
  return {{{0, statement.text().size()}, full ? "VACUUM FULL" : "CLUSTER", "VACUUM (ANALYZE)" + table + ";"}};
}

}  // namespace

const Rule& vacuum_full() {
  static const Rule rule{
      .id = "vacuum_full",
      .title = "VACUUM FULL or CLUSTER",
      .reason =
          "It writes the table and all its indexes anew under ACCESS EXCLUSIVE: nobody reads or writes it "
          "until "
          "that is done, and the disk holds it twice.",
      .fix =
          "A plain VACUUM (ANALYZE) makes the space free for new rows and lets everybody work. Where the "
          "space has "
          "to go back to the system, use pg_repack.",
      .bad = {"VACUUM FULL orders;", "VACUUM (FULL, ANALYZE) orders;", "VACUUM FULL;",
              "CLUSTER orders USING orders_pkey;"},
      .good = {"VACUUM (ANALYZE) orders;", "VACUUM (FULL false) orders;", "ANALYZE orders;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
