#include "lint/made_tables.h"

#include <algorithm>

#include "lint/code_words.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;
using schema::QualifiedName;
using schema::StatementKind;
using schema::text_of;

constexpr std::string_view kTemporary = "pg_temp";
constexpr std::size_t kGoneMax = 64;  // of one table; one that comes and goes more often counts as another's

bool is_relation(PgQuery__ObjectType type) {
  switch (type) {
    case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE:
    case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW:
    case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE: return true;
    default: return false;
  }
}

}  // namespace

MadeTables::MadeTables(const schema::Script& script, const Options& options, const Undone& undone)
    : catalog_(options.catalog), undone_(undone), open_(options.in_transaction) {
  const Setting search_path("search_path", script, options.in_transaction);
  number_of({});
  const SettingValue* known = nullptr;
  for (; now_ < script.statements.size(); ++now_) {
    const SettingValue& path = search_path.before(now_);
    path_at_.push_back(known == &path ? path_at_.back() : number_of(path));
    known = &path;
    follow(script.statements[now_]);
  }
}

std::size_t MadeTables::number_of(const SettingValue& path) {
  std::string text;
  if (path.source == SettingValue::Source::kUnknown) text = "?" + std::to_string(path.since);
  if (path.source == SettingValue::Source::kScript) {
    text = "=";
    for (const std::string& word : path.words) text += word + '\0';
  }
  const auto [found, added] = numbers_.try_emplace(text, paths_.size());
  if (added) {
    Path made;
    const auto temp = std::ranges::find(path.words, kTemporary);
    made.temp_last = temp != path.words.end() && temp != path.words.begin();
    if (text.starts_with('=') && !path.words.empty() && path.words.front() != "$user")
      made.first = path.words.front();
    paths_.push_back(std::move(made));
  }
  return found->second;
}

bool MadeTables::holds(const Made& made, std::size_t statement) const {
  return undone_.holds(made.at, statement) && made.gone.size() < kGoneMax &&
         std::ranges::none_of(made.gone, [&](std::size_t at) { return undone_.holds(at, statement); });
}

bool MadeTables::means(const Made& made, const QualifiedName& table, std::size_t statement) const {
  const std::size_t number = path_at_[statement];
  const Path& path = paths_[number];
  const bool unplaced = made.name.schema.empty();
  if (!table.schema.empty()) {
    if (made.name.schema == table.schema) return true;
    // Made without a schema by the session's own path: where the database has no such table, it is this one.
    return unplaced && made.path == 0 && catalog_ != nullptr && catalog_->table(table) == nullptr &&
           !others_.contains(table.name);
  }
  if (made.name.schema == kTemporary) return !path.temp_last;
  return unplaced ? made.path == number : made.name.schema == path.first;
}

bool MadeTables::is_made(const QualifiedName& table, std::size_t statement) const {
  const auto found = tables_.find(table.name);
  return found != tables_.end() && std::ranges::any_of(found->second, [&](const Made& made) {
           return means(made, table, statement) && holds(made, statement);
         });
}

void MadeTables::follow(const schema::Statement& statement) {
  switch (statement.kind()) {
    case StatementKind::kBegin: open_ = true; return;
    case StatementKind::kCommit:
      for (const auto& [name, place] : until_commit_) lose(tables_[name][place]);
      [[fallthrough]];
    case StatementKind::kRollback:
    case StatementKind::kPreparedTransaction:
      until_commit_.clear();
      open_ = chains(statement);
      return;
    case StatementKind::kDiscard: {
      const auto what = statement.node()->discard_stmt->target;
      if (what != PG_QUERY__DISCARD_MODE__DISCARD_ALL && what != PG_QUERY__DISCARD_MODE__DISCARD_TEMP) return;
      return drop_schema(std::string(kTemporary));
    }
    case StatementKind::kDrop: return drop(statement);
    case StatementKind::kRename:
    case StatementKind::kSetSchema: return move(statement);
    case StatementKind::kDo: return run_code(statement.text());
    default: return create(statement);
  }
}

void MadeTables::create(const schema::Statement& statement) {
  const PgQuery__Node* node = statement.node();
  if (const auto* table = as<PgQuery__CreateStmt>(node))
    make(*table->relation, table->if_not_exists, table->oncommit);
  else if (const auto* query = as<PgQuery__CreateTableAsStmt>(node))
    make(*query->into->rel, query->if_not_exists, query->into->on_commit);
  else if (const auto* select = as<PgQuery__SelectStmt>(node);
           select != nullptr && select->into_clause != nullptr)
    make(*select->into_clause->rel, false, select->into_clause->on_commit);
}

void MadeTables::make(const PgQuery__RangeVar& relation, bool if_not_exists, int on_commit) {
  Made made{.name = made_name(relation, if_not_exists, catalog_), .path = path_at_[now_], .at = now_};
  if (made.name.name.empty()) return;
  if (made.name.schema.empty()) made.name.schema = paths_[made.path].first;
  std::vector<Made>& named = tables_[made.name.name];
  if (on_commit == PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_DROP) {
    // Outside a transaction its own statement is the transaction.
    if (open_)
      until_commit_.emplace_back(made.name.name, named.size());
    else
      made.gone.push_back(now_);
  }
  named.push_back(std::move(made));
}

void MadeTables::lose(Made& made) const {
  if (made.gone.size() < kGoneMax) made.gone.push_back(now_);
}

std::vector<MadeTables::Made> MadeTables::forget(const QualifiedName& table) {
  std::vector<Made> meant;
  const auto found = tables_.find(table.name);
  std::vector<Made*> exact, alike;
  if (found != tables_.end()) {
    for (Made& made : found->second) {
      if (!holds(made, now_)) continue;
      if (means(made, table, now_))
        exact.push_back(&made);
      else if (same_table(made.name, table))
        alike.push_back(&made);
    }
  }
  // A temporary table is found before any other of its name.
  const auto temporary =
      std::ranges::find_if(exact, [](const Made* made) { return made->name.schema == kTemporary; });
  if (temporary != exact.end()) exact = {*temporary};
  if (exact.empty()) others_.insert(table.name);
  for (Made* made : exact.empty() ? alike : exact) {
    if (!exact.empty()) meant.push_back(*made);
    lose(*made);
  }
  return meant;
}

void MadeTables::give_name(const QualifiedName& old, const QualifiedName& now) {
  const bool taken = others_.contains(now.name);
  const auto meant = forget(old);
  if (meant.empty()) others_.insert(now.name);
  if (taken) return;
  for (const Made& made : meant) {
    const QualifiedName name{now.schema == old.schema ? made.name.schema : now.schema, now.name};
    tables_[name.name].push_back({.name = name, .path = made.path, .at = now_});
  }
}

void MadeTables::drop(const schema::Statement& statement) {
  const auto* node = as<PgQuery__DropStmt>(statement.node());
  if (node == nullptr) return;
  for (std::size_t i = 0; i < node->n_objects; ++i) {
    if (node->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA) {
      if (const auto* name = as<PgQuery__String>(node->objects[i]))
        drop_schema(std::string(text_of(name->sval)));
    } else if (is_relation(node->remove_type)) {
      if (const auto* list = as<PgQuery__List>(node->objects[i]))
        forget(schema::name_of(list->items, list->n_items));
    }
  }
}

void MadeTables::drop_schema(const std::string& schema) {
  for (auto& [name, named] : tables_)
    for (Made& made : named) {
      // By the session's own path a table usually goes to public.
      const bool unplaced = made.name.schema.empty() && (made.path != 0 || schema == "public");
      if (made.name.schema == schema || (unplaced && schema != kTemporary)) lose(made);
    }
}

void MadeTables::move(const schema::Statement& statement) {
  if (const auto* moved = as<PgQuery__AlterObjectSchemaStmt>(statement.node())) {
    if (moved->relation == nullptr) return;
    const QualifiedName old = schema::name_of(*moved->relation);
    return give_name(old, {std::string(text_of(moved->newschema)), old.name});
  }
  const auto* node = as<PgQuery__RenameStmt>(statement.node());
  if (node == nullptr) return;
  const std::string name(text_of(node->newname));
  if (node->rename_type == PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA)
    return rename_schema(std::string(text_of(node->subname)), name);
  if (!is_relation(node->rename_type) || node->relation == nullptr) return;
  const QualifiedName old = schema::name_of(*node->relation);
  give_name(old, {old.schema, name});
}

void MadeTables::rename_schema(const std::string& from, const std::string& to) {
  for (auto& [name, named] : tables_) {
    std::vector<Made> moved;
    for (Made& made : named) {
      if (made.name.schema != from || !holds(made, now_)) continue;
      lose(made);
      moved.push_back({.name = {to, name}, .path = made.path, .at = now_});
    }
    std::ranges::move(moved, std::back_inserter(named));
  }
}

// A DO block that drops, renames or moves anything and names the table may have done it to that.
void MadeTables::run_code(const std::string& text) {
  const auto words = code_words(text);
  if (!words.contains("drop") && !words.contains("rename") && !words.contains("schema") &&
      !words.contains("discard"))
    return;
  for (const std::string& word : words)
    if (const auto found = tables_.find(word); found != tables_.end())
      for (Made& made : found->second) lose(made);
}

}  // namespace poundlock::lint
