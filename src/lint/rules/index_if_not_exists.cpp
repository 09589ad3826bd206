#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  const auto* index = schema::as<PgQuery__IndexStmt>(context.statement.node());
  if (index == nullptr || !index->concurrent || !index->if_not_exists) return {};
  const std::string_view name = schema::text_of(index->idxname);
  const schema::QualifiedName relation = schema::name_of(*index->relation);
  const schema::Table* table = context.table(relation);
  const schema::Index* known = table == nullptr ? nullptr : table->index(name);
  if (table != nullptr && (known == nullptr || known->valid)) return {};
  // The invalid one is dropped first, in this script or, when it is known, by the rewrite.
  for (const schema::Statement& earlier : context.earlier()) {
    const auto* drop = schema::as<PgQuery__DropStmt>(earlier.node());
    if (drop == nullptr || drop->remove_type != PG_QUERY__OBJECT_TYPE__OBJECT_INDEX) continue;
    for (std::size_t i = 0; i < drop->n_objects; ++i) {
      const auto* list = schema::as<PgQuery__List>(drop->objects[i]);
      if (list != nullptr && schema::name_of(list->items, list->n_items).name == name) return {};
    }
  }
  const std::string quoted = schema::QualifiedName{relation.schema, std::string(name)}.to_sql();
  return {{context.statement.words({"IF", "NOT", "EXISTS"}), "index " + quoted,
           known == nullptr
               ? ""
               : "DROP INDEX CONCURRENTLY IF EXISTS " + quoted + ";\n" + context.statement.text() + ";"}};
}

}  // namespace

const Rule& index_if_not_exists() {
  static const Rule rule{.id = "index_if_not_exists",
                         .severity = Severity::kWarning,
                         .title = "IF NOT EXISTS takes a broken index for the wanted one",
                         .reason =
                             "A build that failed, or met lock_timeout, leaves an INVALID index of that "
                             "name. The next run skips "
                             "over it and succeeds: every write keeps the index up and no query ever uses "
                             "it; a unique one keeps "
                             "nothing out.",
                         .fix =
                             "Leave IF NOT EXISTS away, look at pg_index.indisvalid, and DROP INDEX "
                             "CONCURRENTLY what is invalid "
                             "before the next try. An index step does that.",
                         .bad = {"CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_code ON orders (code);"},
                         .good = {"CREATE INDEX CONCURRENTLY orders_code ON orders (code);",
                                  "DROP INDEX CONCURRENTLY IF EXISTS orders_code;\n"
                                  "CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_code ON orders (code);",
                                  "CREATE INDEX IF NOT EXISTS orders_code ON orders (code);"},
                         .check = check};
  return rule;
}

}  // namespace poundlock::lint
