#include "migration/behind_drops.h"

#include <algorithm>

#include "lint/context.h"
#include "schema/tree.h"

namespace poundlock::migration {

using schema::as;
using schema::Statement;
using schema::StatementKind;
using schema::text_of;

void BehindDrops::add(const Statement& statement, const Entry& entry, const Names& names) {
  subjects_.insert(entry.subject);
  add_names(statement, entry);
  // With a column its indexes and constraints go, and their names are free.
  lint::each_action(statement, [&](const lint::Action& action) {
    const auto* table = names.table(action.table);
    if (table == nullptr || action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn) return;
    const auto with = [&](const std::vector<std::string>& columns) {
      return std::ranges::find(columns, action.name) != columns.end();
    };
    for (const auto& index : table->indexes)
      if (with(index.columns)) words_.insert(index.name);
    for (const auto& constraint : table->constraints)
      if (with(constraint.columns)) words_.insert(constraint.name);
  });
}

std::set<std::string> dropped_names(const Statement& statement) {
  std::set<std::string> out;
  const auto* drop = as<PgQuery__DropStmt>(statement.node());
  for (std::size_t i = 0; drop != nullptr && i < drop->n_objects; ++i) {
    std::string last;  // of a qualified name; of a function its arguments stand behind it
    schema::walk(schema::content(drop->objects[i]), [&](const schema::Message* message) {
      if (message->descriptor == &pg_query__object_with_args__descriptor) {
        const auto* arguments = reinterpret_cast<const PgQuery__ObjectWithArgs*>(message);
        last = schema::name_of(arguments->objname, arguments->n_objname).name;
        return false;
      }
      if (const auto* type = as<PgQuery__TypeName>(message)) {
        last = schema::name_of(type->names, type->n_names).name;
        return false;
      }
      if (const auto* word = as<PgQuery__String>(message)) last = text_of(word->sval);
      return true;
    });
    if (!last.empty()) out.insert(last);
  }
  return out;
}

void keep_together(std::vector<Entry>& entries, const Words& words, Entry& entry) {
  const auto joins = [](const Entry& one) { return !one.standalone && !one.piece.backfill; };
  if (!joins(entry)) return;
  std::size_t first = entries.size();
  for (std::size_t i = entries.size(); i > 0 && entries[i - 1].transaction == entry.transaction; --i) {
    Entry& before = entries[i - 1];
    const bool late = before.piece.phase == change::Phase::kContract;
    if (before.kind != StatementKind::kDrop && !late) continue;
    const bool named =
        std::ranges::any_of(before.drops, [&](const std::string& name) { return words.contains(name); });
    if (late || named) first = i - 1;
  }
  for (std::size_t i = first; i < entries.size(); ++i) {
    Entry& one = entries[i];
    const bool drops = one.kind == StatementKind::kDrop;
    if (i == first || drops) one.piece.phase = change::Phase::kContract;
    if (i > first && one.piece.phase == change::Phase::kContract && joins(one)) one.piece.joined = true;
  }
  if (first < entries.size()) entry.piece.joined = true;
}

void BehindDrops::add_names(const Statement& statement, const Entry& entry) {
  const PgQuery__Node* node = statement.node();
  words_.insert(entry.drops.begin(), entry.drops.end());
  if (as<PgQuery__DropStmt>(node) != nullptr) return;
  const auto* index = as<PgQuery__IndexStmt>(node);
  if (index != nullptr && !text_of(index->idxname).empty())
    words_.insert(std::string(text_of(index->idxname)));
  const bool makes = entry.kind == StatementKind::kCreateTable || entry.kind == StatementKind::kCreateView ||
                     entry.kind == StatementKind::kCreateTableAs;
  if (makes) words_.insert(entry.subject.name);
}

// Rows that are written or read without a list of columns would find those that are still to be dropped,
// and a type cannot change below a view that is still there.
bool BehindDrops::reads_one(const Statement& statement, const Names& names) const {
  if (subjects_.empty()) return false;
  bool found = false;
  if (statement.kind() == StatementKind::kAlterTable) {
    lint::each_action(statement, [&](const lint::Action& action) {
      found = found || action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType;
    });
    return found;
  }
  if (statement.kind() == StatementKind::kCreateIndex) return false;
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    const auto* relation = as<PgQuery__RangeVar>(message);
    found = found || (relation != nullptr && subjects_.contains(names.resolve(schema::name_of(*relation))));
    return !found;
  });
  return found;
}

bool BehindDrops::must_follow(const Statement& statement, const Words& words, const Entry& entry,
                              const Names& names) const {
  if (subjects_.empty() && words_.empty()) return false;
  if (std::ranges::any_of(words, [&](const std::string& word) { return words_.contains(word); })) return true;
  // An index, key or CHECK that names a column which is dropped and added again.
  if (subjects_.contains(entry.subject) && std::ranges::any_of(words, [&](const std::string& word) {
        return names.is_dropped_column(entry.subject, word);
      }))
    return true;
  if (reads_one(statement, names)) return true;
  const bool late = subjects_.contains(entry.subject);
  if (late && (entry.kind == StatementKind::kVacuum || entry.kind == StatementKind::kAnalyze)) return true;
  if (late && names.is_dropped(entry.subject)) return true;
  bool again = false;
  lint::each_action(statement, [&](const lint::Action& action) {
    const auto* column = as<PgQuery__ColumnDef>(action.command.def);
    const bool adds = action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn && column != nullptr;
    again = again || names.is_dropped_column(action.table, adds ? text_of(column->colname) : action.name);
  });
  return late && again;
}

}  // namespace poundlock::migration
