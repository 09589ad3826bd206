#include <fmt/format.h>

#include "lint/locks.h"
#include "lint/partitions.h"
#include "lint/rule.h"
#include "lint/transaction_rules.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// The statement with CONCURRENTLY put behind the word that `range` ends with.
std::string with_concurrently(const schema::Statement& statement, schema::ByteRange range) {
  std::string text = statement.text();
  text.insert(range.end, " CONCURRENTLY");
  return text + ";";
}

std::vector<Match> check(const Context& context) {
  const schema::Statement& statement = context.statement;
  const PgQuery__Node* node = statement.node();
  if (needs_no_transaction(statement).concurrently) return {};
  if (const auto* index = schema::as<PgQuery__IndexStmt>(node)) {
    const schema::QualifiedName table = schema::name_of(*index->relation);
    if (context.is_new(table)) return {};
    const schema::ByteRange words = statement.words({"INDEX"});
    const schema::Table* known = context.table(table);
    // On a partitioned table PostgreSQL refuses CONCURRENTLY: ON ONLY, and each partition's by itself.
    const bool partitioned = known != nullptr && known->kind == 'p';
    if (partitioned && !index->relation->inh) return {};
    return {{.range = {0, words.end},
             .detail = "on " + std::string(partitioned ? "partitioned " : "") + table_text(table),
             .rewrite = partitioned ? "" : with_concurrently(statement, words),
             .lesser = context.is_small(table)}};
  }
  if (const auto* drop = schema::as<PgQuery__DropStmt>(node)) {
    if (drop->remove_type != PG_QUERY__OBJECT_TYPE__OBJECT_INDEX) return {};
    const schema::ByteRange words = statement.words({"DROP", "INDEX"});
    // CONCURRENTLY takes one index a statement and no CASCADE.
    const bool simple = drop->n_objects == 1 && drop->behavior != PG_QUERY__DROP_BEHAVIOR__DROP_CASCADE;
    return {{words, "", simple ? with_concurrently(statement, words) : ""}};
  }
  if (const auto* reindex = schema::as<PgQuery__ReindexStmt>(node)) {
    if (reindex->relation != nullptr && context.is_new(schema::name_of(*reindex->relation))) return {};
    for (const std::string_view kind : {"INDEX", "TABLE", "SCHEMA", "DATABASE"})
      if (const auto words = schema::find_words(statement.text(), statement.tokens(), {kind}))
        return {{{0, words->end}, "", with_concurrently(statement, *words)}};  // the last one counts
    return {{statement.words({"REINDEX"}), "", ""}};
  }
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition) return;
    // There PostgreSQL refuses CONCURRENTLY.
    const schema::Table* parent = context.table(action.table);
    if (parent != nullptr && default_partition(*context.options.catalog, *parent) != nullptr) return;
    matches.push_back({action.range, "a partition of " + table_text(action.table),
                       in_place_of(statement, action,
                                   fmt::format("ALTER TABLE {} {} CONCURRENTLY;", action.table.to_sql(),
                                               statement.slice(action.range)))});
  });
  return matches;
}

}  // namespace

const Rule& index_not_concurrent() {
  static const Rule rule{
      .id = "index_not_concurrent",
      .title = "an index built, dropped or rebuilt, or a partition detached, without CONCURRENTLY",
      .reason =
          "CREATE INDEX and REINDEX hold a SHARE lock for the whole build: every write waits. DROP INDEX and "
          "DETACH take ACCESS EXCLUSIVE: every read waits too, behind the longest transaction that uses the "
          "table.",
      .fix =
          "Use CONCURRENTLY, outside a transaction. Afterwards look at pg_index.indisvalid; if the build "
          "failed, "
          "drop the invalid index concurrently and build it again. On a partitioned table: CREATE INDEX ON "
          "ONLY "
          "the parent, an index CONCURRENTLY on each partition, and ALTER INDEX ... ATTACH PARTITION.",
      .bad = {"CREATE INDEX orders_status ON orders (status);", "CREATE UNIQUE INDEX ON orders (code);",
              "DROP INDEX orders_status;", "REINDEX INDEX orders_status;", "REINDEX TABLE orders;",
              "REINDEX (CONCURRENTLY off) TABLE orders;", "ALTER TABLE events DETACH PARTITION events_2020;"},
      .good = {"CREATE INDEX CONCURRENTLY orders_status ON orders (status);",
               "DROP INDEX CONCURRENTLY IF EXISTS orders_status;", "REINDEX (CONCURRENTLY) TABLE orders;",
               "CREATE TABLE notes (id bigint); CREATE INDEX notes_id ON notes (id);",
               "ALTER TABLE events DETACH PARTITION events_2020 CONCURRENTLY;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
