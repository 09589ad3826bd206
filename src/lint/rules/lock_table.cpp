#include <fmt/format.h>

#include "lint/locks.h"
#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  const auto* lock = schema::as<PgQuery__LockStmt>(context.statement.node());
  if (lock == nullptr) return {};
  const LockInfo taken = strongest_lock(context.statement);
  if (!taken.blocks_writes()) return {};
  std::vector<Match> matches;
  for (std::size_t i = 0; i < lock->n_relations; ++i) {
    const auto* table = schema::as<PgQuery__RangeVar>(lock->relations[i]);
    if (table == nullptr || context.is_new(schema::name_of(*table))) continue;
    const auto begin = static_cast<std::size_t>(std::max(0, table->location));
    matches.push_back(
        {.range = context.statement.name_at(begin),
         .detail = fmt::format("{} on {}", to_string(taken.mode), table_text(schema::name_of(*table))),
         .rewrite = "",
         .lesser = !taken.blocks_reads()});
  }
  return matches;
}

}  // namespace

const Rule& lock_table() {
  static const Rule rule{
      .id = "lock_table",
      .title = "a table is locked by hand",
      .reason =
          "From SHARE on every write waits until the transaction ends, under ACCESS EXCLUSIVE, which LOCK "
          "TABLE "
          "takes when no mode is named, every read too; and while the lock itself waits, all of them queue "
          "behind it.",
      .fix =
          "Let each statement take the lock that it needs. Against a second run of the same migration take "
          "pg_advisory_xact_lock(); to hold rows, SELECT ... FOR UPDATE.",
      .bad = {"BEGIN; LOCK TABLE orders; COMMIT;",
              "BEGIN; LOCK orders IN SHARE ROW EXCLUSIVE MODE NOWAIT; COMMIT;"},
      .good = {"BEGIN; LOCK TABLE orders IN ROW EXCLUSIVE MODE; COMMIT;", "SELECT pg_advisory_xact_lock(7);",
               "BEGIN; CREATE TABLE notes (id bigint); LOCK TABLE notes; COMMIT;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
