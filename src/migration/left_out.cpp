#include "migration/left_out.h"

#include "lint/context.h"
#include "migration/behind_drops.h"
#include "schema/tree.h"

namespace poundlock::migration {

using schema::as;
using schema::text_of;

namespace {

bool reads_anything(const schema::Statement& statement) {
  using schema::StatementKind;
  if (statement.kind() == StatementKind::kDo || statement.kind() == StatementKind::kCall ||
      statement.kind() == StatementKind::kExecute)
    return true;
  if (statement.kind() != StatementKind::kSelect) return false;
  bool calls = false;
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    calls = calls || as<PgQuery__FuncCall>(message) != nullptr;
    return !calls;
  });
  return calls;
}

}  // namespace

void LeftOut::add(const schema::Statement& statement) {
  readers_.push_back({statement.text(), words_of(statement), reads_anything(statement)});
  const PgQuery__Node* node = statement.node();
  lint::each_action(statement, [&](const lint::Action& action) {
    const auto* column = as<PgQuery__ColumnDef>(action.command.def);
    switch (action.command.subtype) {
      case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn:
        if (column != nullptr) columns_[std::string(text_of(column->colname))].emplace(action.table.name);
        break;
      case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType:
      case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn:
        columns_[std::string(action.name)].emplace(action.table.name);
        break;
      default: break;
    }
  });
  if (const auto* rename = as<PgQuery__RenameStmt>(node); rename != nullptr && rename->relation != nullptr) {
    const bool column = rename->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN;
    if (column)
      columns_[std::string(text_of(rename->newname))].emplace(text_of(rename->relation->relname));
    else
      relations_.emplace(text_of(rename->newname));
  }
  if (const auto* update = as<PgQuery__UpdateStmt>(node); update != nullptr)
    for (std::size_t i = 0; i < update->n_target_list; ++i)
      if (const auto* target = as<PgQuery__ResTarget>(update->target_list[i]))
        columns_[std::string(text_of(target->name))].emplace(text_of(update->relation->relname));
  if (const auto* create = as<PgQuery__CreateStmt>(node))
    relations_.emplace(text_of(create->relation->relname));
  if (const auto* create = as<PgQuery__CreateTableAsStmt>(node); create && create->into && create->into->rel)
    relations_.emplace(text_of(create->into->rel->relname));
  if (const auto* view = as<PgQuery__ViewStmt>(node)) relations_.emplace(text_of(view->view->relname));
  if (const auto* index = as<PgQuery__IndexStmt>(node); index != nullptr && !text_of(index->idxname).empty())
    relations_.emplace(text_of(index->idxname));
  relations_.merge(dropped_names(statement));
}

std::string LeftOut::needed_by(const Words& words) const {
  for (const auto& word : words) {
    if (relations_.contains(word)) return word;
    if (const auto found = columns_.find(word); found != columns_.end())
      for (const auto& table : found->second)
        if (words.contains(table)) return word;
  }
  return "";
}

std::string LeftOut::reader_of(const std::string& table) const {
  for (const Reader& one : readers_)
    if (one.anything || one.words.contains(table)) return one.sql;
  return "";
}

}  // namespace poundlock::migration
