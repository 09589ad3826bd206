#include "migration/effect.h"

#include <fmt/format.h>

#include "change/table_sql.h"
#include "migration/effect_probe.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using change::quoted_table;
using schema::as;
using schema::force_quote_identifier;
using schema::QualifiedName;
using schema::quote_literal;
using schema::text_of;

QualifiedName listed(const PgQuery__Node* node) {
  if (const auto* list = as<PgQuery__List>(node)) return schema::name_of(list->items, list->n_items);
  if (const auto* type = as<PgQuery__TypeName>(node)) return schema::name_of(type->names, type->n_names);
  if (const auto* text = as<PgQuery__String>(node)) return {"", std::string(text_of(text->sval))};
  return {};
}

Effect drop_of(const PgQuery__DropStmt& drop, const Names& names) {
  Effect effect;
  for (std::size_t i = 0; i < drop.n_objects; ++i) {
    const QualifiedName written = listed(drop.objects[i]);
    const bool type = drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_TYPE ||
                      drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN;
    const bool index = drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX ||
                       drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE;
    const QualifiedName name = type    ? names.resolve_type(written)
                               : index ? names.resolve_index(written)
                                       : names.resolve(written);
    std::string probe;
    switch (drop.remove_type) {
      case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX:
        if (const auto* table = names.table_of_index(name)) {
          std::string create = table->index(name.name)->definition;
          if (const auto at = create.find(" INDEX "); at != std::string::npos)
            create.insert(at + 7, "CONCURRENTLY ");
          effect.undo.push_back(create);
          effect.undo_standalone = true;
        }
        probe = relation_probe(name);
        break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
        probe = relation_probe(name);  // no undo: its rights and options went with it
        break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
      case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW:
      case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE:
      case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE:
        effect.destructive = true;
        probe = relation_probe(name);
        break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_TYPE:
      case PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN: probe = type_probe(name); break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA:
        effect.destructive = true;
        probe = simple_probe("pg_namespace", "nspname", name.name);
        break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_EXTENSION:
        probe = simple_probe("pg_extension", "extname", name.name);
        break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER:
      case PG_QUERY__OBJECT_TYPE__OBJECT_POLICY: {
        const auto* list = as<PgQuery__List>(drop.objects[i]);
        if (list == nullptr || list->n_items < 2) return {};
        const QualifiedName table = names.resolve(schema::name_of(list->items, list->n_items - 1));
        const bool trigger = drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER;
        probe =
            on_table_probe(trigger ? "pg_trigger" : "pg_policy", trigger ? "tg" : "pol", table, name.name);
        const schema::Table* known = names.table(table);
        if (trigger && known != nullptr && known->trigger(name.name) != nullptr)
          effect.undo.push_back(known->trigger(name.name)->definition);
        break;
      }
      default: return {};
    }
    effect.probe = both(effect.probe, negated(probe));
  }
  if (effect.destructive) effect.undo.clear();  // the rows would not come back
  return effect;
}

Effect rename_of(const PgQuery__RenameStmt& rename, const Names& names) {
  if (rename.relation == nullptr) return {};
  const QualifiedName table = names.resolve(schema::name_of(*rename.relation));
  const std::string now(text_of(rename.newname));
  const std::string was(text_of(rename.subname));
  Effect effect;
  switch (rename.rename_type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN:
      effect.probe = change::attribute_probe(table, now, "true");
      break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT:
      effect.probe = change::constraint_probe(table, now, "true");
      break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX:
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: effect.probe = relation_probe({table.schema, now}); break;
    default: break;
  }
  if (rename.rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX)
    effect.undo = {fmt::format("ALTER INDEX {} RENAME TO {}", quoted_table({table.schema, now}),
                               force_quote_identifier(table.name))};
  if (rename.rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT)
    effect.undo = {fmt::format("ALTER TABLE {} RENAME CONSTRAINT {} TO {}", quoted_table(table),
                               force_quote_identifier(now), force_quote_identifier(was))};
  return effect;
}

// The value, and where it stands: no value that was there before it may lie between it and its neighbour.
// Those that a script adds later have a higher oid.
Effect enum_value(const PgQuery__AlterEnumStmt& change, const Names& names) {
  if (!text_of(change.old_val).empty()) return {};
  const QualifiedName type = names.resolve_type(schema::name_of(change.type_name, change.n_type_name));
  std::string place;
  if (const auto neighbour = text_of(change.new_val_neighbor);
      !change.skip_if_new_val_exists && !neighbour.empty())
    place = fmt::format(
        " AND EXISTS (SELECT FROM pg_catalog.pg_enum b WHERE b.enumtypid = t.oid AND b.enumlabel = {0} AND "
        "b.enumsortorder {1} e.enumsortorder AND NOT EXISTS (SELECT FROM pg_catalog.pg_enum m WHERE "
        "m.enumtypid = t.oid AND m.oid < e.oid AND m.enumsortorder {2} b.enumsortorder AND m.enumsortorder "
        "{1} "
        "e.enumsortorder))",
        quote_literal(neighbour), change.new_val_is_after ? "<" : ">", change.new_val_is_after ? ">" : "<");
  else if (!change.skip_if_new_val_exists)
    place =
        " AND NOT EXISTS (SELECT FROM pg_catalog.pg_enum m WHERE m.enumtypid = t.oid AND m.oid < e.oid AND "
        "m.enumsortorder > e.enumsortorder)";
  return {
      .probe = fmt::format(
          "SELECT EXISTS (SELECT FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid "
          "JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = {} AND t.typname = {} "
          "AND e.enumlabel = {}{})",
          quote_literal(type.schema), quote_literal(type.name), quote_literal(text_of(change.new_val)),
          place),
      .undo = {}};
}

Effect reindex(const PgQuery__ReindexStmt& reindex, const Names& names) {
  if (reindex.kind != PG_QUERY__REINDEX_OBJECT_TYPE__REINDEX_OBJECT_INDEX || reindex.relation == nullptr)
    return {};
  const QualifiedName index = names.resolve(schema::name_of(*reindex.relation));
  const auto* table = names.table_of_index(index);
  if (table == nullptr) return {};
  const std::string copy = index.name + "_ccnew";  // what an interrupted REINDEX CONCURRENTLY leaves
  Effect effect;
  effect.repair = fmt::format("DROP INDEX CONCURRENTLY IF EXISTS {}", quoted_table({table->schema, copy}));
  effect.repair_when = change::index_invalid_probe(table->qualified(), copy);
  return effect;
}

}  // namespace

Effect effect_of(const schema::Statement& statement, const Names& names) {
  const PgQuery__Node& node = *statement.node();
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT: return effect_of_alter(statement, names);
    case PG_QUERY__NODE__NODE_ALTER_ENUM_STMT: return enum_value(*node.alter_enum_stmt, names);
    case PG_QUERY__NODE__NODE_DROP_STMT: return drop_of(*node.drop_stmt, names);
    case PG_QUERY__NODE__NODE_RENAME_STMT: return rename_of(*node.rename_stmt, names);
    case PG_QUERY__NODE__NODE_REINDEX_STMT: return reindex(*node.reindex_stmt, names);
    default: return effect_of_create(statement, names);
  }
}

}  // namespace poundlock::migration
