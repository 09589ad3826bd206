#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  const auto* truncate = schema::as<PgQuery__TruncateStmt>(context.statement.node());
  if (truncate == nullptr) return {};
  std::vector<Match> matches;
  for (std::size_t i = 0; i < truncate->n_relations; ++i) {
    const auto* table = schema::as<PgQuery__RangeVar>(truncate->relations[i]);
    if (table == nullptr || context.is_new(schema::name_of(*table))) continue;
    const auto begin = static_cast<std::size_t>(std::max(0, table->location));
    matches.push_back({context.statement.name_at(begin), table_text(schema::name_of(*table)), ""});
  }
  return matches;
}

}  // namespace

const Rule& truncate() {
  static const Rule rule{
      .id = "truncate",
      .title = "TRUNCATE",
      .reason =
          "It takes ACCESS EXCLUSIVE and every row of the table with it; no flag and no trigger on rows "
          "brings "
          "them back, and transactions with an older snapshot see an empty table.",
      .fix = "Delete in batches by key, or make a new table and move readers over to it.",
      .bad = {"TRUNCATE orders;", "TRUNCATE TABLE a, b RESTART IDENTITY;"},
      .good = {"CREATE TABLE scratch (id bigint); TRUNCATE scratch;", "DELETE FROM orders WHERE id < 1000;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
