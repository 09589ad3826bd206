#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// Has the script detached it before?
bool detached(const Context& context, const schema::QualifiedName& name) {
  bool found = false;
  for (const schema::Statement& earlier : context.earlier()) {
    each_action(earlier, [&](const Action& action) {
      const auto* partition = schema::as<PgQuery__PartitionCmd>(action.command.def);
      found = found || (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition &&
                        partition != nullptr && same_table(schema::name_of(*partition->name), name));
    });
  }
  return found;
}

std::vector<Match> check(const Context& context) {
  const auto* drop = schema::as<PgQuery__DropStmt>(context.statement.node());
  if (drop == nullptr || drop->remove_type != PG_QUERY__OBJECT_TYPE__OBJECT_TABLE) return {};
  std::vector<Match> matches;
  for (std::size_t i = 0; i < drop->n_objects; ++i) {
    const auto* list = schema::as<PgQuery__List>(drop->objects[i]);
    if (list == nullptr) continue;
    const schema::QualifiedName name = schema::name_of(list->items, list->n_items);
    const schema::Table* known = context.table(name);
    if (known == nullptr || !known->is_partition || detached(context, name)) continue;
    matches.push_back({{0, context.statement.text().size()}, table_text(name), ""});
  }
  return matches;
}

// What the examples know of the database: that the table is a partition.
const schema::Catalog& example_catalog() {
  static const schema::Catalog catalog = [] {
    schema::Catalog made;
    schema::Table partition;
    partition.schema = "public";
    partition.name = "events_2020";
    partition.is_partition = true;
    made.tables.push_back(partition);
    return made;
  }();
  return catalog;
}

}  // namespace

const Rule& drop_partition() {
  static const Rule rule{
      .id = "drop_partition",
      .title = "a partition is dropped while it is attached",
      .reason =
          "The drop takes ACCESS EXCLUSIVE on the parent too, and on the default partition: nobody reads or "
          "writes any partition, behind the longest transaction that uses one. Only with a database at hand "
          "is it known that the table is a partition.",
      .fix =
          "ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY, outside a transaction, and drop the table "
          "then. "
          "Where there is a default partition, CONCURRENTLY is refused: DETACH with a short lock_timeout.",
      .bad = {"DROP TABLE events_2020;"},
      .good = {"ALTER TABLE events DETACH PARTITION events_2020 CONCURRENTLY; DROP TABLE events_2020;",
               "DROP TABLE scratch;"},
      .check = check,
      .examples = {.catalog = &example_catalog()}};
  return rule;
}

}  // namespace poundlock::lint
