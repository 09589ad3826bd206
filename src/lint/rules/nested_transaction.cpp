#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  const schema::ByteRange all{0, context.statement.text().size()};
  switch (context.statement.kind()) {
    case schema::StatementKind::kBegin:
      if (context.begun) return {{all, "there is a transaction already", ""}};
      if (context.in_transaction) return {{all, "the runner has begun a transaction", ""}};
      return {};
    case schema::StatementKind::kCommit:
    case schema::StatementKind::kRollback:
      if (context.begun) return {};
      if (context.in_transaction) return {{all, "it ends the runner's transaction", ""}};
      return {{all, "there is no transaction", "", true}};
    default: return {};
  }
}

}  // namespace

const Rule& nested_transaction() {
  static const Rule rule{
      .id = "nested_transaction",
      .title = "a transaction inside a transaction",
      .reason =
          "PostgreSQL has none: the inner BEGIN does nothing but warn, and the first COMMIT ends the whole "
          "of it, so that what follows runs, and stays, statement by statement, and no error takes it back. "
          "Of a migration tool the row in its history is left outside as well.",
      .fix =
          "One BEGIN and one COMMIT, or none where the tool brings the transaction; inside it a SAVEPOINT "
          "does what an inner transaction was meant to do.",
      .bad = {"BEGIN; ALTER TABLE orders ADD COLUMN note text; BEGIN;\n"
              "ALTER TABLE orders ADD COLUMN colour text; COMMIT; COMMIT;",
              "ALTER TABLE orders ADD COLUMN note text; COMMIT;"},
      .good = {"BEGIN; ALTER TABLE orders ADD COLUMN note text; COMMIT;\n"
               "BEGIN; ALTER TABLE orders ADD COLUMN colour text; COMMIT;",
               "BEGIN; SAVEPOINT s; ALTER TABLE orders ADD COLUMN note text; ROLLBACK TO s; COMMIT;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
