#include <fmt/format.h>

#include "lint/rule.h"
#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// What else statements and columns refer to by name; nullptr for the rest.
const char* other_kind(PgQuery__ObjectType type) {
  switch (type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: return "a sequence";
    case PG_QUERY__OBJECT_TYPE__OBJECT_TYPE: return "a type";
    case PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN: return "a domain";
    case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE: return "a foreign table";
    case PG_QUERY__OBJECT_TYPE__OBJECT_EXTENSION: return "an extension";
    default: return nullptr;
  }
}

// A type's name is a node of its own, a relation's a list.
schema::QualifiedName name_of(const PgQuery__Node* object) {
  if (const auto* list = schema::as<PgQuery__List>(object))
    return schema::name_of(list->items, list->n_items);
  if (const auto* type = schema::as<PgQuery__TypeName>(object))
    return schema::name_of(type->names, type->n_names);
  return {};
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn) return;
    matches.push_back(
        {action.range,
         fmt::format("column {} of {}", schema::quote_identifier(action.name), table_text(action.table)),
         ""});
  });
  if (const auto* database = schema::as<PgQuery__DropdbStmt>(context.statement.node()))
    return {{{0, context.statement.text().size()},
             "database " + schema::quote_identifier(schema::text_of(database->dbname)),
             ""}};
  if (context.statement.node()->node_case == PG_QUERY__NODE__NODE_DROP_OWNED_STMT)
    return {{{0, context.statement.text().size()}, "all that a role owns in this database", ""}};
  const auto* drop = schema::as<PgQuery__DropStmt>(context.statement.node());
  if (drop == nullptr) return matches;
  const bool table = drop->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLE;
  const bool view = drop->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_VIEW ||
                    drop->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW;
  if (drop->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA)
    return {{{0, context.statement.text().size()}, "a schema", ""}};
  const schema::QualifiedName first =
      drop->n_objects == 0 ? schema::QualifiedName{} : name_of(drop->objects[0]);
  const bool own = context.facts->makes_type(first, context.index());
  if (const char* kind = other_kind(drop->remove_type); kind != nullptr && !own)
    return {{{0, context.statement.text().size()}, kind, "", true}};
  if (!table && !view) return matches;
  for (std::size_t i = 0; i < drop->n_objects; ++i) {
    const schema::QualifiedName name = name_of(drop->objects[i]);
    if (context.is_new(name)) continue;
    matches.push_back({{0, context.statement.text().size()},
                       fmt::format("{} {}", table ? "table" : "view", name.to_sql()),
                       ""});
  }
  return matches;
}

}  // namespace

const Rule& drop_column_or_table() {
  static const Rule rule{
      .id = "drop_column_or_table",
      .title = "a column, table, view, schema or database is dropped",
      .reason =
          "Whatever still refers to it fails at that moment: a running instance, a view, "
          "a function, a report at "
          "the end of the month. And the data is gone.",
      .fix =
          "Drop it in the contract phase of a rollout, when the reference gate has found "
          "no reader in the catalog, "
          "in functions, statements and sessions for the whole window; in a short "
          "transaction of its own. If that "
          "is proved otherwise, say so: -- poundlock: ignore drop_column_or_table REASON.",
      .bad = {"ALTER TABLE orders DROP COLUMN legacy_status;", "DROP TABLE orders;", "DROP VIEW totals;",
              "DROP SCHEMA app CASCADE;", "DROP DATABASE shop;", "DROP TYPE mood;", "DROP OWNED BY app;"},
      .good = {"CREATE TABLE scratch (id bigint); DROP TABLE scratch;",
               "CREATE TYPE tide AS ENUM ('low'); DROP TYPE tide;", "DROP INDEX CONCURRENTLY orders_status;",
               "-- poundlock: ignore drop_column_or_table no reader since 2 May, DBA-311\n"
               "ALTER TABLE orders DROP COLUMN legacy_status;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
