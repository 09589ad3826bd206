#include "migration/effect.h"

#include <fmt/format.h>

#include "change/table_sql.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using change::quoted_table;
using schema::as;
using schema::force_quote_identifier;
using schema::QualifiedName;
using schema::quote_literal;
using schema::text_of;

// A row of `catalog` whose `name` column is this and whose namespace is that.
std::string named_probe(std::string_view catalog, std::string_view prefix, const QualifiedName& name,
                        std::string_view more = "") {
  return fmt::format(
      "SELECT EXISTS (SELECT FROM pg_catalog.{0} o JOIN pg_catalog.pg_namespace n ON n.oid = o.{1}namespace "
      "WHERE "
      "n.nspname = {2} AND o.{1}name = {3}{4})",
      catalog, prefix, quote_literal(name.schema), quote_literal(name.name), more);
}

std::string type_probe(const QualifiedName& name) {
  return named_probe("pg_type", "typ", name);
}

std::string simple_probe(std::string_view catalog, std::string_view column, std::string_view name) {
  return fmt::format("SELECT EXISTS (SELECT FROM pg_catalog.{} o WHERE o.{} = {})", catalog, column,
                     quote_literal(name));
}

std::string negated(const std::string& probe) {
  return fmt::format("SELECT NOT ({})", probe);
}

std::string on_table_probe(std::string_view catalog, std::string_view prefix, const QualifiedName& table,
                           std::string_view name) {
  return fmt::format(
      "SELECT EXISTS (SELECT FROM pg_catalog.{0} o JOIN pg_catalog.pg_class c ON c.oid = o.{1}relid JOIN "
      "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {2} AND c.relname = {3} AND "
      "o.{1}name = {4})",
      catalog, prefix, quote_literal(table.schema), quote_literal(table.name), quote_literal(name));
}

QualifiedName listed(const PgQuery__Node* node) {
  if (const auto* list = as<PgQuery__List>(node)) return schema::name_of(list->items, list->n_items);
  if (const auto* type = as<PgQuery__TypeName>(node)) return schema::name_of(type->names, type->n_names);
  if (const auto* text = as<PgQuery__String>(node)) return {"", std::string(text_of(text->sval))};
  return {};
}

// Something that was not there before, unless IF NOT EXISTS let it be.
Effect made(std::string probe, std::string_view word, const std::string& name, bool may_be_older) {
  Effect effect;
  effect.probe = std::move(probe);
  if (!may_be_older) effect.undo = {fmt::format("DROP {} IF EXISTS {}", word, name)};
  return effect;
}

Effect create_index(const PgQuery__Node& node, const Names& names) {
  const PgQuery__IndexStmt& index = *node.index_stmt;
  const QualifiedName table = names.resolve(schema::name_of(*index.relation));
  const std::string name = index_name(node);
  const std::string quoted =
      fmt::format("{}.{}", force_quote_identifier(table.schema), force_quote_identifier(name));
  Effect effect;
  effect.probe = change::index_ready_probe(table, name);
  if (!index.concurrent) {
    effect.undo = {"DROP INDEX IF EXISTS " + quoted};
    return effect;
  }
  effect.undo = {"DROP INDEX CONCURRENTLY IF EXISTS " + quoted};
  effect.undo_standalone = true;
  effect.repair = effect.undo.front();
  effect.repair_when = change::index_invalid_probe(table, name);
  return effect;
}

Effect create_function(const PgQuery__CreateFunctionStmt& create, const Names& names) {
  const QualifiedName name = names.resolve(schema::name_of(create.funcname, create.n_funcname));
  std::string body;
  for (std::size_t i = 0; i < create.n_options; ++i) {
    const auto* option = as<PgQuery__DefElem>(create.options[i]);
    if (option == nullptr || text_of(option->defname) != "as") continue;
    if (const auto* list = as<PgQuery__List>(option->arg); list != nullptr && list->n_items == 1)
      if (const auto* text = as<PgQuery__String>(list->items[0])) body = text_of(text->sval);
  }
  Effect effect;
  if (!body.empty())
    effect.probe = named_probe("pg_proc", "pro", name, " AND o.prosrc = " + quote_literal(body));
  else if (!create.replace)
    effect.probe = named_probe("pg_proc", "pro", name);
  const schema::Function* before = nullptr;
  int overloads = 0;
  if (names.catalog() != nullptr)
    for (const auto& known : names.catalog()->functions)
      if (known.schema == name.schema && known.name == name.name && ++overloads == 1) before = &known;
  const std::string quoted =
      fmt::format("{}.{}", force_quote_identifier(name.schema), force_quote_identifier(name.name));
  if (overloads == 1 && create.replace && !before->definition.empty())
    effect.undo = {before->definition};
  else if (overloads == 0 && (!create.replace || names.catalog() != nullptr))
    effect.undo = {
        fmt::format("DROP {} IF EXISTS {}", create.is_procedure ? "PROCEDURE" : "FUNCTION", quoted)};
  return effect;
}

Effect create_view(const PgQuery__ViewStmt& create, const Names& names) {
  const QualifiedName name = names.resolve(schema::name_of(*create.view));
  if (!create.replace) return made(relation_probe(name), "VIEW", quoted_table(name), false);
  Effect effect;
  const schema::Table* before = names.table(name);
  if (before != nullptr && before->kind == 'v')
    effect.undo = {
        fmt::format("CREATE OR REPLACE VIEW {} AS {}", quoted_table(name), before->view_definition)};
  else if (names.catalog() != nullptr)
    effect = made(relation_probe(name), "VIEW", quoted_table(name), false);
  return effect;
}

// What IF NOT EXISTS finds may be somebody else's, unless the catalog says that there is none.
bool may_be_older(bool if_not_exists, const QualifiedName& name, const Names& names) {
  return if_not_exists && (names.catalog() == nullptr || names.table(name) != nullptr);
}

Effect create_table_as(const PgQuery__CreateTableAsStmt& create, const Names& names) {
  if (create.into == nullptr || create.into->rel == nullptr) return {};
  const QualifiedName name = names.resolve(schema::name_of(*create.into->rel));
  const bool view = create.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW;
  return made(relation_probe(name), view ? "MATERIALIZED VIEW" : "TABLE", quoted_table(name),
              may_be_older(create.if_not_exists, name, names));
}

Effect drop_of(const PgQuery__DropStmt& drop, const Names& names) {
  Effect effect;
  for (std::size_t i = 0; i < drop.n_objects; ++i) {
    const QualifiedName name = names.resolve(listed(drop.objects[i]));
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
        if (const auto* view = names.table(name); view != nullptr && view->kind == 'v')
          effect.undo.push_back(
              fmt::format("CREATE VIEW {} AS {}", quoted_table(name), view->view_definition));
        probe = relation_probe(name);
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

Effect create_type(const QualifiedName& name, std::string_view word) {
  return made(type_probe(name), word, quoted_table(name), false);
}

Effect enum_value(const PgQuery__AlterEnumStmt& change, const Names& names) {
  if (!text_of(change.old_val).empty()) return {};
  const QualifiedName type = names.resolve(schema::name_of(change.type_name, change.n_type_name));
  return {
      .probe = fmt::format(
          "SELECT EXISTS (SELECT FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid "
          "JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = {} AND t.typname = {} "
          "AND e.enumlabel = {})",
          quote_literal(type.schema), quote_literal(type.name), quote_literal(text_of(change.new_val))),
      .undo = {}};
}

Effect create_trigger(const PgQuery__CreateTrigStmt& create, const Names& names) {
  if (create.replace || create.relation == nullptr) return {};
  const QualifiedName table = names.resolve(schema::name_of(*create.relation));
  return {.probe = on_table_probe("pg_trigger", "tg", table, text_of(create.trigname)),
          .undo = {fmt::format("DROP TRIGGER IF EXISTS {} ON {}",
                               force_quote_identifier(text_of(create.trigname)), quoted_table(table))}};
}

Effect create_policy(const PgQuery__CreatePolicyStmt& create, const Names& names) {
  const QualifiedName table = names.resolve(schema::name_of(*create.table));
  return {.probe = on_table_probe("pg_policy", "pol", table, text_of(create.policy_name)),
          .undo = {fmt::format("DROP POLICY IF EXISTS {} ON {}",
                               force_quote_identifier(text_of(create.policy_name)), quoted_table(table))}};
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

std::string both(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return a + b;
  return fmt::format("SELECT ({}) AND ({})", a, b);
}

std::string relation_probe(const QualifiedName& name) {
  return named_probe("pg_class", "rel", name);
}

std::string index_name(const PgQuery__Node& node) {
  const PgQuery__IndexStmt& index = *node.index_stmt;
  if (const auto given = text_of(index.idxname); !given.empty()) return std::string(given);
  std::vector<std::string> parts{std::string(text_of(index.relation->relname))};
  for (std::size_t i = 0; i < index.n_index_params; ++i) {
    const auto* element = as<PgQuery__IndexElem>(index.index_params[i]);
    const std::string_view column = element == nullptr ? "" : text_of(element->name);
    const auto* call = element == nullptr ? nullptr : as<PgQuery__FuncCall>(element->expr);
    const std::string function =
        call == nullptr ? "" : schema::name_of(call->funcname, call->n_funcname).name;
    parts.emplace_back(!column.empty() ? column : function.empty() ? "expr" : function);
  }
  parts.emplace_back("idx");
  return schema::derive_name(std::vector<std::string_view>(parts.begin(), parts.end()));
}

Effect effect_of(const schema::Statement& statement, const Names& names) {
  const PgQuery__Node& node = *statement.node();
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT: return effect_of_alter(statement, names);
    case PG_QUERY__NODE__NODE_INDEX_STMT: return create_index(node, names);
    case PG_QUERY__NODE__NODE_CREATE_STMT: {
      const QualifiedName name = names.resolve(schema::name_of(*node.create_stmt->relation));
      return made(relation_probe(name), "TABLE", quoted_table(name),
                  may_be_older(node.create_stmt->if_not_exists, name, names));
    }
    case PG_QUERY__NODE__NODE_CREATE_TABLE_AS_STMT: return create_table_as(*node.create_table_as_stmt, names);
    case PG_QUERY__NODE__NODE_VIEW_STMT: return create_view(*node.view_stmt, names);
    case PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT: return create_function(*node.create_function_stmt, names);
    case PG_QUERY__NODE__NODE_CREATE_TRIG_STMT: return create_trigger(*node.create_trig_stmt, names);
    case PG_QUERY__NODE__NODE_CREATE_POLICY_STMT: return create_policy(*node.create_policy_stmt, names);
    case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT: {
      const QualifiedName name = names.resolve(schema::name_of(*node.create_seq_stmt->sequence));
      return made(relation_probe(name), "SEQUENCE", quoted_table(name), node.create_seq_stmt->if_not_exists);
    }
    case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT:
      return create_type(names.resolve(schema::name_of(node.create_enum_stmt->type_name,
                                                       node.create_enum_stmt->n_type_name)),
                         "TYPE");
    case PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT:
      return create_type(names.resolve(schema::name_of(*node.composite_type_stmt->typevar)), "TYPE");
    case PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT:
      return create_type(names.resolve(schema::name_of(node.create_domain_stmt->domainname,
                                                       node.create_domain_stmt->n_domainname)),
                         "DOMAIN");
    case PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT: {
      const std::string name(text_of(node.create_schema_stmt->schemaname));
      return made(simple_probe("pg_namespace", "nspname", name), "SCHEMA", force_quote_identifier(name),
                  node.create_schema_stmt->if_not_exists);
    }
    case PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT: {
      const std::string name(text_of(node.create_extension_stmt->extname));
      return made(simple_probe("pg_extension", "extname", name), "EXTENSION", force_quote_identifier(name),
                  node.create_extension_stmt->if_not_exists);
    }
    case PG_QUERY__NODE__NODE_ALTER_ENUM_STMT: return enum_value(*node.alter_enum_stmt, names);
    case PG_QUERY__NODE__NODE_DROP_STMT: return drop_of(*node.drop_stmt, names);
    case PG_QUERY__NODE__NODE_RENAME_STMT: return rename_of(*node.rename_stmt, names);
    case PG_QUERY__NODE__NODE_REINDEX_STMT: return reindex(*node.reindex_stmt, names);
    default: return {};
  }
}

}  // namespace poundlock::migration
