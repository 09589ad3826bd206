#include "migration/names.h"

#include <algorithm>

#include "lint/context.h"
#include "lint/locks.h"
#include "lint/types.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::QualifiedName;
using schema::text_of;

// varchar(20), app.mood, int[]; "" for what is no type by itself.
std::string type_text(const PgQuery__TypeName& type) {
  const auto spec = lint::type_spec(type);
  const QualifiedName written = schema::name_of(type.names, type.n_names);
  if (spec.name == "interval" && !spec.mods.empty()) return {};  // its fields
  if (type.pct_type || type.setof || spec.name.empty() || spec.name.find("serial") != std::string::npos)
    return {};
  const bool ours = !written.schema.empty() && written.schema != "pg_catalog";
  std::string out = ours ? written.to_sql() : schema::quote_identifier(spec.name);
  for (std::size_t i = 0; i < spec.mods.size(); ++i)
    out += (i == 0 ? "(" : ",") + std::to_string(spec.mods[i]);
  if (!spec.mods.empty()) out += ")";
  return spec.array ? out + "[]" : out;
}

}  // namespace

QualifiedName Names::resolve(const QualifiedName& name) const {
  if (!name.schema.empty() || name.name.empty()) return name;
  for (const auto& schema : path_)
    if (QualifiedName here{schema, name.name}; book_.relation_taken(here)) return here;
  // Without a catalog nobody knows whether there is one here, too: then it counts as somebody's.
  if (catalog_ == nullptr) return resolve_new(name);
  for (const auto& made : created_)
    if (made.name == name.name) return made;
  const auto* known = catalog_->table(name);
  return known == nullptr ? resolve_new(name) : known->qualified();
}

QualifiedName Names::resolve_new(const QualifiedName& name) const {
  return name.schema.empty() ? QualifiedName{default_schema(), name.name} : name;
}

QualifiedName Names::resolve_index(const QualifiedName& name) const {
  if (!name.schema.empty()) return name;
  for (const auto& schema : path_)
    if (QualifiedName here{schema, name.name}; book_.relation_taken(here)) return here;
  const auto* table = table_of_index(name);
  return table == nullptr ? resolve_new(name) : QualifiedName{table->schema, name.name};
}

QualifiedName Names::resolve_type(const QualifiedName& name) const {
  if (!name.schema.empty()) return name;
  for (const auto& schema : path_)
    if (QualifiedName here{schema, name.name}; book_.type_taken(here)) return here;
  return resolve_new(name);
}

int Names::server_version() const {
  return catalog_ == nullptr ? lint::kOldestServer
                             : std::max(lint::kOldestServer, catalog_->server_version_num);
}

std::string Names::type_of(const QualifiedName& name, const std::string& column) const {
  if (const auto found = new_types_.find({resolve(name), column}); found != new_types_.end())
    return found->second;
  const auto* known = this->column(name, column);
  return known == nullptr ? "" : known->type;
}

bool Names::has_column(const QualifiedName& table, std::string_view column) const {
  if (is_dropped_column(table, column)) return false;
  return this->column(table, column) != nullptr || is_new_column(table, column);
}

const schema::Table* Names::table(const QualifiedName& name) const {
  return catalog_ == nullptr ? nullptr : catalog_->table(resolve(name));
}

const schema::Column* Names::column(const QualifiedName& name, std::string_view column) const {
  const auto* found = table(name);
  // What the script has dropped and made again is another one.
  return found == nullptr || is_dropped_column(name, column) ? nullptr : found->column(column);
}

const schema::Table* Names::table_of_index(const QualifiedName& index) const {
  if (catalog_ == nullptr) return nullptr;
  for (const auto& table : catalog_->tables)
    if ((index.schema.empty() || index.schema == table.schema) && table.index(index.name) != nullptr)
      return &table;
  return nullptr;
}

bool Names::is_new(const QualifiedName& relation) const {
  return created_.contains(resolve(relation));
}

bool Names::is_new_column(const QualifiedName& table, std::string_view column) const {
  return is_new(table) || new_columns_.contains(ColumnName{resolve(table), column});
}

std::optional<std::string> Names::default_set(const QualifiedName& table, const std::string& column) const {
  const auto found = defaults_.find({table, column});
  return found == defaults_.end() ? std::nullopt : std::optional(found->second);
}

bool Names::is_dropped(const QualifiedName& relation) const {
  return dropped_.contains(resolve(relation));
}

bool Names::is_dropped_column(const QualifiedName& table, std::string_view column) const {
  return dropped_columns_.contains(ColumnName{resolve(table), column});
}

void Names::after(const schema::Statement& statement) {
  const PgQuery__Node& node = *statement.node();
  // IF NOT EXISTS makes nothing where the table is there: without a catalog it counts as somebody's.
  const auto made = [&](const PgQuery__RangeVar& relation, bool if_not_exists) {
    const QualifiedName name = resolve_new(schema::name_of(relation));
    if (!if_not_exists || (catalog_ != nullptr && catalog_->table(name) == nullptr)) created_.insert(name);
  };
  if (const auto* create = as<PgQuery__CreateStmt>(&node))
    made(*create->relation, create->if_not_exists != 0);
  if (const auto* create = as<PgQuery__CreateTableAsStmt>(&node); create && create->into && create->into->rel)
    made(*create->into->rel, create->if_not_exists != 0);
  if (const auto* view = as<PgQuery__ViewStmt>(&node); view && !view->replace)
    created_.insert(resolve_new(schema::name_of(*view->view)));
  if (const auto* drop = as<PgQuery__DropStmt>(&node)) {
    for (std::size_t i = 0; i < drop->n_objects; ++i)
      if (const auto* list = as<PgQuery__List>(drop->objects[i]))
        dropped_.insert(resolve(schema::name_of(list->items, list->n_items)));
  }
  if (const auto* index = as<PgQuery__IndexStmt>(&node); index != nullptr && index->n_index_params > 0)
    if (const auto* first = as<PgQuery__IndexElem>(index->index_params[0]))
      led_.emplace(resolve(schema::name_of(*index->relation)), text_of(first->name));
  lint::each_action(statement, [&](const lint::Action& action) {
    const auto* column = as<PgQuery__ColumnDef>(action.command.def);
    if (const auto* key = as<PgQuery__Constraint>(action.command.def); key != nullptr && key->n_keys > 0)
      led_.emplace(resolve(action.table), schema::strings(key->keys, key->n_keys).front());
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn && column != nullptr)
      new_columns_.emplace(resolve(action.table), text_of(column->colname));
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn && column != nullptr &&
        column->type_name != nullptr && this->column(action.table, text_of(column->colname)) == nullptr)
      new_types_[{resolve(action.table), std::string(text_of(column->colname))}] =
          type_text(*column->type_name);
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType)
      new_types_[{resolve(action.table), action.name}] =
          column == nullptr || column->type_name == nullptr ? "" : type_text(*column->type_name);
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn)
      dropped_columns_.emplace(resolve(action.table), action.name);
    if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault) {
      const auto words = statement.words({"DEFAULT"}, action.range.begin);
      defaults_[{resolve(action.table), action.name}] =
          action.command.def == nullptr ? "" : std::string(statement.slice({words.end, action.range.end}));
    }
  });
  book_.after(statement, *this);
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
