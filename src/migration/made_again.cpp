#include "migration/made_again.h"

#include <fmt/format.h>

#include <algorithm>

#include "lint/context.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::QualifiedName;
using schema::Statement;
using schema::text_of;
using Key = std::pair<QualifiedName, std::string>;

Key schema_key(std::string_view name) {
  return {{std::string(name), ""}, ""};  // no relation has an empty name
}

void dropped_by(const PgQuery__DropStmt& drop, const Names& names, std::vector<Key>& out) {
  for (std::size_t i = 0; i < drop.n_objects; ++i) {
    const auto* list = as<PgQuery__List>(drop.objects[i]);
    const QualifiedName name =
        list == nullptr ? QualifiedName{} : schema::name_of(list->items, list->n_items);
    switch (drop.remove_type) {
      case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
      case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE:
      case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW: out.push_back({names.resolve(name), ""}); break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: out.push_back({names.resolve_index(name), ""}); break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA:
        if (const auto* word = as<PgQuery__String>(drop.objects[i]))
          out.push_back(schema_key(text_of(word->sval)));
        break;
      default: break;
    }
  }
}

std::vector<Key> dropped_by(const Statement& statement, const Names& names) {
  std::vector<Key> out;
  if (const auto* drop = as<PgQuery__DropStmt>(statement.node())) dropped_by(*drop, names, out);
  lint::each_action(statement, [&](const lint::Action& action) {
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn)
      out.push_back({names.resolve(action.table), action.name});
  });
  return out;
}

void renamed_by(const PgQuery__RenameStmt& rename, const Names& names, std::vector<Key>& out) {
  const std::string now(text_of(rename.newname));
  if (rename.rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA) out.push_back(schema_key(now));
  if (rename.relation == nullptr) return;
  const QualifiedName table = names.resolve(schema::name_of(*rename.relation));
  switch (rename.rename_type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN: out.push_back({table, now}); break;
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: out.push_back({{table.schema, now}, ""}); break;
    default: break;
  }
}

std::vector<Key> made_by(const Statement& statement, const Names& names) {
  std::vector<Key> out;
  const auto relation = [&](const PgQuery__RangeVar* made) {
    if (made != nullptr) out.push_back({names.resolve_new(schema::name_of(*made)), ""});
  };
  const PgQuery__Node* node = statement.node();
  if (const auto* create = as<PgQuery__CreateStmt>(node)) relation(create->relation);
  if (node->node_case == PG_QUERY__NODE__NODE_CREATE_FOREIGN_TABLE_STMT)
    if (const auto* base = node->create_foreign_table_stmt->base_stmt) relation(base->relation);
  if (const auto* create = as<PgQuery__CreateTableAsStmt>(node); create && create->into)
    relation(create->into->rel);
  if (const auto* select = as<PgQuery__SelectStmt>(node); select && select->into_clause)
    relation(select->into_clause->rel);
  if (node->node_case == PG_QUERY__NODE__NODE_CREATE_SEQ_STMT) relation(node->create_seq_stmt->sequence);
  if (const auto* create = as<PgQuery__CreateSchemaStmt>(node))
    out.push_back(schema_key(text_of(create->schemaname)));
  if (const auto* rename = as<PgQuery__RenameStmt>(node)) renamed_by(*rename, names, out);
  if (const auto* move = as<PgQuery__AlterObjectSchemaStmt>(node); move && move->relation)
    out.push_back(
        {{std::string(text_of(move->newschema)), std::string(text_of(move->relation->relname))}, ""});
  lint::each_action(statement, [&](const lint::Action& action) {
    const auto* column = as<PgQuery__ColumnDef>(action.command.def);
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn && column != nullptr)
      out.push_back({names.resolve(action.table), std::string(text_of(column->colname))});
  });
  return out;
}

}  // namespace

void MadeAgain::add(const Statement& statement, std::size_t place, const Names& names) {
  for (auto& key : dropped_by(statement, names)) dropped_[std::move(key)].push_back(place);
}

MadeAgain::Met MadeAgain::met(const Statement& statement, const Names& names) const {
  const auto own = dropped_by(statement, names);
  if (dropped_.empty() && own.empty()) return {};
  for (const auto& key : made_by(statement, names)) {
    const auto found = dropped_.find(key);
    if (found == dropped_.end() && std::ranges::find(own, key) == own.end()) continue;
    Met out;
    if (found != dropped_.end()) out.places = found->second;
    const auto& [relation, column] = key;
    out.why = fmt::format(
        "the script drops {} and makes another of that name: no catalog tells the one from the other, and "
        "whoever runs the drop again, behind a stop or by mistake, takes the new one away with what has been "
        "written to it since",
        relation.name.empty()
            ? "schema " + schema::quote_identifier(relation.schema)
            : relation.to_sql() + (column.empty() ? "" : "." + schema::quote_identifier(column)));
    out.choices.emplace_back(
        "rename the old one in a migration of its own, and drop it under that name in a later one");
    out.choices.emplace_back(
        column.empty() ? "give the new one another name"
                       : "give the new column another name: a rollout of change_column keeps both in step "
                         "until nobody uses the old one");
    return out;
  }
  return {};
}

}  // namespace poundlock::migration
