#include "migration/copies.h"

#include <algorithm>

#include "schema/tree.h"

namespace poundlock::migration {

using schema::as;
using schema::StatementKind;
using schema::text_of;

namespace {

bool handles_rows(const Entry& entry) {
  return entry.piece.backfill || entry.kind == StatementKind::kInsert ||
         entry.kind == StatementKind::kUpdate || entry.kind == StatementKind::kCreateTableAs ||
         entry.kind == StatementKind::kSelect || entry.kind == StatementKind::kMerge;
}

Words assigned_by(const PgQuery__UpdateStmt& update) {
  Words out;
  for (std::size_t i = 0; i < update.n_target_list; ++i)
    if (const auto* target = as<PgQuery__ResTarget>(update.target_list[i]))
      out.emplace(text_of(target->name));
  return out;
}

// Rows that are written without being read: the target of INSERT, and of SELECT INTO and CREATE TABLE AS.
std::set<const PgQuery__RangeVar*> written_only(const schema::Statement& statement) {
  std::set<const PgQuery__RangeVar*> out;
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    const auto* insert = as<PgQuery__InsertStmt>(message);
    if (insert != nullptr &&
        (insert->on_conflict_clause == nullptr ||
         insert->on_conflict_clause->action != PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_UPDATE))
      out.insert(insert->relation);
    if (const auto* into = as<PgQuery__IntoClause>(message)) out.insert(into->rel);
    return true;
  });
  return out;
}

// A SELECT that keeps nothing; what a function that it calls does, nobody knows.
bool only_looks(const schema::Statement& statement) {
  bool out = true;
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    const auto* call = as<PgQuery__FuncCall>(message);
    out = out && (call == nullptr || call->agg_star) && as<PgQuery__IntoClause>(message) == nullptr;
    return out;
  });
  return out;
}

}  // namespace

void Copies::add(const schema::Statement& statement, const Entry& entry, std::size_t position,
                 const Names& names) {
  if (!handles_rows(entry) || (entry.kind == StatementKind::kSelect && only_looks(statement))) return;
  Copy copy{.position = position, .written = entry.subject, .columns = {}, .assigned = {}, .every = false};
  const auto* update = as<PgQuery__UpdateStmt>(statement.node());
  if (update != nullptr) {
    copy.written = names.resolve(schema::name_of(*update->relation));
    copy.assigned = assigned_by(*update);
  }
  const auto written = written_only(statement);
  Words tables;
  Words rows;  // what a whole row goes by: its table or its alias
  Words bare;  // columns without a table's name before them
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    if (message->descriptor == &pg_query__a__star__descriptor) copy.every = true;
    if (const auto* column = as<PgQuery__ColumnRef>(message)) {
      const auto parts = schema::strings(column->fields, column->n_fields);
      if (parts.size() == 1) bare.insert(parts.front());
      if (!parts.empty()) copy.columns.insert(parts.back());
    }
    if (const auto* join = as<PgQuery__JoinExpr>(message)) {
      copy.every = copy.every || join->is_natural;
      for (auto& name : schema::strings(join->using_clause, join->n_using_clause))
        copy.columns.insert(std::move(name));
    }
    if (const auto* table = as<PgQuery__RangeVar>(message); table != nullptr && !written.contains(table)) {
      tables.emplace(text_of(table->relname));
      rows.emplace(table->alias == nullptr ? text_of(table->relname) : text_of(table->alias->aliasname));
    }
    return true;
  });
  copy.every =
      copy.every || std::ranges::any_of(rows, [&](const std::string& row) { return bare.contains(row); });
  for (const auto& table : tables) by_table_[table].push_back(copy);
}

const Copies::Copy* Copies::first(const std::vector<Entry>& entries, const Entry& drop,
                                  const change::ColumnRef& column) const {
  const bool whole = drop.kind == StatementKind::kDrop;
  const auto found = by_table_.find(column.table);
  if (found == by_table_.end()) return nullptr;
  const auto copies = std::ranges::find_if(found->second, [&](const Copy& one) {
    if (entries[one.position].piece.phase == change::Phase::kContract) return false;
    const bool own =
        one.written.name == column.table && (column.schema.empty() || one.written.schema == column.schema);
    if (whole) return !own;
    // What is computed from a column for that column alone goes with it.
    if (own && !one.assigned.empty() && std::ranges::all_of(one.assigned, [&](const std::string& name) {
          return std::ranges::any_of(drop.dropped, [&](const auto& gone) { return gone.column == name; });
        }))
      return false;
    return one.every || one.columns.contains(column.column);
  });
  return copies == found->second.end() ? nullptr : &*copies;
}

std::string Copies::before(const std::vector<Entry>& entries, const Entry& drop) const {
  if (by_table_.empty()) return "";
  const Copy* copy = nullptr;
  std::string_view last;  // the columns of one table ask the same where all of it is dropped
  for (const auto& column : drop.dropped) {
    if (copy == nullptr && (drop.kind != StatementKind::kDrop || column.table != last))
      copy = first(entries, drop, column);
    last = column.table;
  }
  // Without a catalog no columns are known of a table.
  if (copy == nullptr && drop.kind == StatementKind::kDrop && drop.effect.destructive)
    for (const auto& name : drop.drops)
      if (copy == nullptr) copy = first(entries, drop, {"", name, ""});
  return copy == nullptr ? "" : entries[copy->position].piece.sql;
}

}  // namespace poundlock::migration
