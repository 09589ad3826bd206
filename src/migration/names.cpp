#include "migration/names.h"

#include <algorithm>

#include "lint/context.h"
#include "lint/locks.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::QualifiedName;
using schema::text_of;

bool holds(const std::vector<QualifiedName>& names, const QualifiedName& name) {
  return std::ranges::any_of(names, [&](const auto& one) { return lint::same_table(one, name); });
}

}  // namespace

QualifiedName Names::resolve(const QualifiedName& name) const {
  if (!name.schema.empty() || name.name.empty()) return name;
  for (const auto& made : created_)
    if (made.name == name.name) return made;
  if (const auto* known = table(name)) return known->qualified();
  return {default_schema_, name.name};
}

const schema::Table* Names::table(const QualifiedName& name) const {
  if (catalog_ == nullptr) return nullptr;
  if (name.schema.empty())
    if (const auto* here = catalog_->table({default_schema_, name.name})) return here;
  return catalog_->table(name);
}

const schema::Column* Names::column(const QualifiedName& name, std::string_view column) const {
  const auto* found = table(name);
  return found == nullptr ? nullptr : found->column(column);
}

const schema::Table* Names::table_of_index(const QualifiedName& index) const {
  if (catalog_ == nullptr) return nullptr;
  for (const auto& table : catalog_->tables)
    if ((index.schema.empty() || index.schema == table.schema) && table.index(index.name) != nullptr)
      return &table;
  return nullptr;
}

bool Names::is_new(const QualifiedName& relation) const {
  return holds(created_, relation);
}

bool Names::is_new_column(const QualifiedName& table, std::string_view column) const {
  return is_new(table) || std::ranges::any_of(new_columns_, [&](const ColumnName& one) {
           return one.second == column && lint::same_table(one.first, table);
         });
}

bool Names::is_dropped(const QualifiedName& relation) const {
  return holds(dropped_, relation);
}

bool Names::is_dropped_column(const QualifiedName& table, std::string_view column) const {
  return std::ranges::any_of(dropped_columns_, [&](const ColumnName& one) {
    return one.second == column && lint::same_table(one.first, table);
  });
}

void Names::after(const schema::Statement& statement) {
  const PgQuery__Node& node = *statement.node();
  // IF NOT EXISTS makes nothing where the table is there: without a catalog it counts as somebody's.
  const auto made = [&](const PgQuery__RangeVar& relation, bool if_not_exists) {
    const QualifiedName name = schema::name_of(relation);
    if (!if_not_exists || (catalog_ != nullptr && table(name) == nullptr)) created_.push_back(resolve(name));
  };
  if (const auto* create = as<PgQuery__CreateStmt>(&node))
    made(*create->relation, create->if_not_exists != 0);
  if (const auto* create = as<PgQuery__CreateTableAsStmt>(&node); create && create->into && create->into->rel)
    made(*create->into->rel, create->if_not_exists != 0);
  if (const auto* view = as<PgQuery__ViewStmt>(&node); view && !view->replace)
    created_.push_back(resolve(schema::name_of(*view->view)));
  if (const auto* drop = as<PgQuery__DropStmt>(&node)) {
    for (std::size_t i = 0; i < drop->n_objects; ++i)
      if (const auto* list = as<PgQuery__List>(drop->objects[i]))
        dropped_.push_back(schema::name_of(list->items, list->n_items));
  }
  lint::each_action(statement, [&](const lint::Action& action) {
    const auto* column = as<PgQuery__ColumnDef>(action.command.def);
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn && column != nullptr)
      new_columns_.emplace_back(action.table, text_of(column->colname));
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn)
      dropped_columns_.emplace_back(action.table, action.name);
  });
}

QualifiedName subject_of(const schema::Statement& statement) {
  if (auto locked = lint::strongest_lock(statement).relation; !locked.name.empty()) return locked;
  const PgQuery__Node& node = *statement.node();
  if (const auto* create = as<PgQuery__CreateStmt>(&node)) return schema::name_of(*create->relation);
  if (const auto* view = as<PgQuery__ViewStmt>(&node)) return schema::name_of(*view->view);
  if (const auto* table = as<PgQuery__CreateTableAsStmt>(&node); table && table->into && table->into->rel)
    return schema::name_of(*table->into->rel);
  return {};
}

}  // namespace poundlock::migration
