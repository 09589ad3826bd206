#include "lint/script_names.h"

#include <algorithm>

#include "lint/code_words.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;
using schema::StatementKind;
using schema::text_of;

// What it calls may make tables: a function that is not PostgreSQL's own.
bool calls_own_code(const schema::Statement& statement, const schema::Catalog& catalog,
                    const std::set<std::string, std::less<>>& made) {
  bool found = false;
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    const auto* call = as<PgQuery__FuncCall>(message);
    if (call == nullptr) return !found;
    const std::string name = schema::name_of(call->funcname, call->n_funcname).name;
    found = found || made.contains(name) || catalog.beyond_pg_catalog.contains(name) ||
            std::ranges::find(catalog.functions, name, &schema::Function::name) != catalog.functions.end();
    return !found;
  });
  return found;
}

bool is_opaque(const PgQuery__Node& node) {
  switch (node.node_case) {
    case PG_QUERY__NODE__NODE_CALL_STMT:
    case PG_QUERY__NODE__NODE_EXECUTE_STMT:
    case PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT:
    case PG_QUERY__NODE__NODE_ALTER_EXTENSION_STMT:
    case PG_QUERY__NODE__NODE_LOAD_STMT:
    case PG_QUERY__NODE__NODE_CREATE_EVENT_TRIG_STMT:
    case PG_QUERY__NODE__NODE_IMPORT_FOREIGN_SCHEMA_STMT: return true;
    default: return false;
  }
}

// Static SQL in a DO block makes names that it holds as words; what it puts together or calls makes any.
bool is_static(const std::set<std::string, std::less<>>& words, const schema::Catalog& catalog) {
  if (words.contains("execute") || words.contains("call") || words.contains("perform")) return false;
  return std::ranges::none_of(
      catalog.functions, [&](const schema::Function& function) { return words.contains(function.name); });
}

}  // namespace

ScriptNames::ScriptNames(const schema::Script& script, const Options& options, const Undone& undone)
    : undone_(undone) {
  if (options.relations == nullptr || options.catalog == nullptr) return;
  for (const schema::Table& table : options.catalog->tables) tables_[table.name].push_back(&table);
  // What does not parse may be newer syntax, and make anything.
  if (!script.errors.empty()) opaque_ = 0;
  for (std::size_t i = 0; i < script.statements.size(); ++i) add(script.statements[i], i, options);
}

void ScriptNames::make(std::string_view name, std::size_t index) {
  if (name.empty()) return;
  made_[std::string(name)].push_back(index);
  touched_.emplace(name);
}

void ScriptNames::add(const schema::Statement& statement, std::size_t index, const Options& options) {
  const PgQuery__Node& node = *statement.node();
  if (opaque_ == kNever && (is_opaque(node) || calls_own_code(statement, *options.catalog, touched_)))
    opaque_ = index;
  if (statement.kind() == StatementKind::kDo) {
    const auto words = code_words(statement.text());
    if (!is_static(words, *options.catalog)) opaque_ = std::min(opaque_, index);
    for (const std::string& word : words) make(word, index);
    unnamed_ = std::min(unnamed_, index);
  }
  rename(statement, index);
  if (const auto* drop = as<PgQuery__DropStmt>(&node))
    for (std::size_t i = 0; i < drop->n_objects; ++i)
      if (const auto* list = as<PgQuery__List>(drop->objects[i]))
        touched_.insert(schema::name_of(list->items, list->n_items).name);
  const auto unnamed = [&](std::string_view name) {
    if (name.empty()) unnamed_ = std::min(unnamed_, index);
    make(name, index);
  };
  // Below a CREATE SCHEMA, too.
  schema::walk(schema::content(&node), [&](const schema::Message* message) {
    const PgQuery__RangeVar* relation = nullptr;
    if (const auto* table = as<PgQuery__CreateStmt>(message)) relation = table->relation;
    if (const auto* into = as<PgQuery__IntoClause>(message)) relation = into->rel;
    if (const auto* view = as<PgQuery__ViewStmt>(message)) relation = view->view;
    if (relation != nullptr) make(text_of(relation->relname), index);
    if (const auto* column = as<PgQuery__ColumnDef>(message)) make(text_of(column->colname), index);
    if (const auto* constraint = as<PgQuery__Constraint>(message)) unnamed(text_of(constraint->conname));
    if (const auto* build = as<PgQuery__IndexStmt>(message)) unnamed(text_of(build->idxname));
    if (const auto* command = as<PgQuery__AlterTableCmd>(message))
      if (command->subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn)
        touched_.emplace(text_of(command->name));
    return true;
  });
  if (node.node_case == PG_QUERY__NODE__NODE_CREATE_SEQ_STMT)
    make(text_of(node.create_seq_stmt->sequence->relname), index);
  if (node.node_case == PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT)
    make(text_of(node.composite_type_stmt->typevar->relname), index);
  if (node.node_case == PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT) {
    const PgQuery__CreateFunctionStmt& function = *node.create_function_stmt;
    touched_.insert(schema::name_of(function.funcname, function.n_funcname).name);
  }
}

void ScriptNames::rename(const schema::Statement& statement, std::size_t index) {
  const auto* node = as<PgQuery__RenameStmt>(statement.node());
  if (node == nullptr) return;
  make(text_of(node->newname), index);
  if (node->relation != nullptr && text_of(node->subname).empty())
    touched_.emplace(text_of(node->relation->relname));
  touched_.emplace(text_of(node->subname));
}

bool ScriptNames::makes(std::string_view name, std::size_t statement) const {
  const auto found = made_.find(name);
  return found != made_.end() && std::ranges::any_of(found->second, [&](std::size_t place) {
           return place == statement || undone_.holds(place, statement);
         });
}

std::vector<std::string_view> ScriptNames::made() const {
  std::vector<std::string_view> names;
  for (const auto& [name, places] : made_) names.push_back(name);
  return names;
}

std::vector<const schema::Table*> ScriptNames::meant(const schema::QualifiedName& name) const {
  const auto found = tables_.find(name.name);
  if (found == tables_.end()) return {};
  std::vector<const schema::Table*> tables = found->second;
  std::erase_if(tables, [&](const schema::Table* table) {
    return !name.schema.empty() && table->schema != name.schema;
  });
  return tables;
}

}  // namespace poundlock::lint
