#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "lint/locks.h"
#include "lint/rule.h"
#include "lint/script_facts.h"
#include "lint/transaction_rules.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::StatementKind;

// SELECT setval(...) and the like read no table.
bool reads_tables(const schema::Statement& statement) {
  bool found = false;
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    found = found || schema::as<PgQuery__RangeVar>(message) != nullptr;
    return !found;
  });
  return found;
}

// A migration tool's own note of what has run, one row in the transaction of the migration: Alembic's and the
// others' scripts hold nothing else that could go elsewhere.
bool is_note_of_tool(const schema::Statement& statement) {
  constexpr std::array<std::string_view, 6> kTables{"alembic_version",   "databasechangelog",
                                                    "django_migrations", "goose_db_version",
                                                    "schema_migrations", "flyway_schema_history"};
  bool only = true;
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    const auto* table = schema::as<PgQuery__RangeVar>(message);
    only = only &&
           (table == nullptr || std::ranges::find(kTables, schema::text_of(table->relname)) != kTables.end());
    return only;
  });
  return only;
}

// What keeps the lock longer than a change of the catalog does; "" when nothing.
std::string delay(const Context& context, const schema::QualifiedName& locked) {
  const schema::Statement& statement = context.statement;
  switch (statement.kind()) {
    case StatementKind::kSelect: return reads_tables(statement) ? "a query" : "";
    case StatementKind::kInsert:
    case StatementKind::kUpdate:
    case StatementKind::kDelete:
      if (is_note_of_tool(statement)) return "";
      return to_string(statement.kind());
    case StatementKind::kMerge:
    case StatementKind::kCopy:
    case StatementKind::kCall:
    case StatementKind::kDo:
    case StatementKind::kCreateTableAs: return to_string(statement.kind());
    default: break;
  }
  const LockInfo lock = strongest_lock(statement);
  if (lock.relation.name.empty() || context.is_new(lock.relation)) return "";
  if (lock.work != Work::kCatalogOnly) return to_string(lock.work);
  if (lock.blocks_writes() && !same_table(lock.relation, locked))
    return fmt::format("the wait for {} on {}", to_string(lock.mode), table_text(lock.relation));
  return "";
}

std::vector<Match> check(const Context& context) {
  const schema::QualifiedName* locked = context.facts->locked_before(context.index());
  if (locked == nullptr || !needs_no_transaction(context.statement).what.empty()) return {};
  const std::string why = delay(context, *locked);
  if (why.empty()) return {};
  return {{.range = {0, context.statement.text().size()},
           .detail = fmt::format("{} while {} is locked", why, table_text(*locked)),
           .rewrite = context.begun ? "COMMIT;\nBEGIN;\n" + context.statement.text() + ";" : "",
           .lesser = context.is_small(*locked)}};
}

}  // namespace

const Rule& work_under_lock() {
  static const Rule rule{
      .id = "work_under_lock",
      .title = "further work while a table is locked",
      .reason =
          "An ACCESS EXCLUSIVE lock is kept to the end of the transaction: while this statement works, or "
          "waits for another table's lock, nobody reads the first table, and two such transactions in "
          "different orders are a deadlock.",
      .fix =
          "Commit before it. Keep a transaction that takes ACCESS EXCLUSIVE to changes of the catalog on one "
          "table.",
      .bad = {"BEGIN; ALTER TABLE orders ADD COLUMN note text;\n"
              "UPDATE orders SET note = 'old' WHERE id < 1000; COMMIT;",
              "BEGIN; ALTER TABLE orders ADD COLUMN note text;\n"
              "INSERT INTO tags SELECT id FROM orders WHERE id < 0; COMMIT;",
              "BEGIN; ALTER TABLE orders ADD COLUMN note text; ALTER TABLE customers ADD COLUMN note text; "
              "COMMIT;",
              "BEGIN; ALTER TABLE orders ADD COLUMN note text; CREATE INDEX orders_code ON orders (code); "
              "COMMIT;"},
      .good = {"BEGIN; ALTER TABLE orders ADD COLUMN note text; COMMIT;\n"
               "UPDATE orders SET note = 'old' WHERE id < 1000;",
               "BEGIN; ALTER TABLE orders ADD COLUMN note text;\n"
               "ALTER TABLE orders ALTER COLUMN note SET DEFAULT ''; COMMIT;",
               "CREATE TABLE alembic_version (version_num text);\n"
               "BEGIN; ALTER TABLE orders ADD COLUMN note text;\n"
               "UPDATE alembic_version SET version_num = '2' WHERE version_num = '1'; COMMIT;",
               "BEGIN; CREATE TABLE notes (id bigint); INSERT INTO notes VALUES (1); COMMIT;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
