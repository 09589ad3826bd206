#include "migration/many_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "lint/context.h"
#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::QualifiedName;
using schema::Statement;

bool is_few(const QualifiedName& name, const Names& names) {
  if (names.is_new(names.resolve(name))) return true;
  const auto* table = names.table(name);
  return table != nullptr && table->estimated_rows >= 0 && table->estimated_rows <= lint::kSmallTableRows &&
         table->bytes <= lint::kSmallTableBytes;
}

// As the lint says it.
std::string by_rule(const Statement& statement, const Names& names) {
  const auto script = schema::parse_script(statement.text());
  const auto& rules = lint::all_rules();
  const auto rule = std::ranges::find(rules, "update_many_rows", &lint::Rule::id);
  if (!script || script->statements.size() != 1 || rule == rules.end()) return {};
  const lint::Options options{.catalog = names.catalog()};
  const auto found =
      (*rule)->check({.script = *script, .statement = script->statements.front(), .options = options});
  return found.empty() ? "" : found.front().detail;
}

// The largest of the tables that a query reads to its end; "" where a LIMIT bounds it, or all are small.
std::string read_whole(const PgQuery__Node* query, const Names& names) {
  const auto* select = as<PgQuery__SelectStmt>(query);
  if (select != nullptr && select->limit_count != nullptr) return {};
  QualifiedName found;
  double rows = -1;
  schema::walk(schema::content(query), [&](const schema::Message* message) {
    const auto* relation = as<PgQuery__RangeVar>(message);
    if (relation == nullptr) return true;
    const QualifiedName name = schema::name_of(*relation);
    if (is_few(name, names)) return true;
    const auto* table = names.table(name);
    const double here = table == nullptr ? 0 : std::max(0.0, table->estimated_rows);
    if (found.name.empty() || here > rows) {
      found = name;
      rows = here;
    }
    return true;
  });
  if (found.name.empty()) return {};
  return names.table(found) == nullptr ? found.to_sql()
                                       : fmt::format("{}, of some {:.0f} rows", found.to_sql(), rows);
}

struct Target {
  const PgQuery__RangeVar* relation = nullptr;
  const PgQuery__Node* where = nullptr;
};

Target target_of(const Statement& statement) {
  if (const auto* update = as<PgQuery__UpdateStmt>(statement.node()))
    return {update->relation, update->where_clause};
  if (const auto* gone = as<PgQuery__DeleteStmt>(statement.node()))
    return {gone->relation, gone->where_clause};
  return {};
}

// The conditions that all have to hold.
void conjuncts(const PgQuery__Node* condition, std::vector<const PgQuery__Node*>& out) {
  const auto* junction = as<PgQuery__BoolExpr>(condition);
  if (junction == nullptr || junction->boolop != PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR)
    return out.push_back(condition);
  for (std::size_t i = 0; i < junction->n_args; ++i) conjuncts(junction->args[i], out);
}

// How a condition binds the rows: by nothing, from one side ("<"), by values ("="), from both sides or by a
// query of its own ("+").
struct Bound {
  std::string column;
  char how = 0;
};

Bound bound_of(const PgQuery__Node* condition) {
  const auto column_of = [](const PgQuery__Node* side) {
    const auto* ref = as<PgQuery__ColumnRef>(side);
    return ref == nullptr ? std::string() : schema::strings(ref->fields, ref->n_fields).back();
  };
  if (const auto* sub = as<PgQuery__SubLink>(condition)) return {column_of(sub->testexpr), '+'};
  const auto* comparison = as<PgQuery__AExpr>(condition);
  if (comparison == nullptr || comparison->n_name == 0) return {};
  Bound out{column_of(comparison->lexpr)};
  if (out.column.empty()) out.column = column_of(comparison->rexpr);
  const std::string op = schema::strings(comparison->name, comparison->n_name).back();
  if (comparison->kind == PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN)
    out.how = '+';
  else if (op == "=")
    out.how = '=';
  else if (op.starts_with('<') || op.starts_with('>'))
    out.how = op == "<>" ? '\0' : op.front();
  return out;
}

// '<' from one side alone, '=' by values that more rows may have, '+' by a key or a range; 0 by none.
char how_bound(const Target& target, const schema::Table& table) {
  std::vector<const PgQuery__Node*> all;
  conjuncts(target.where, all);
  char best = 0;
  std::vector<std::string> equal;
  std::vector<Bound> sides;
  for (const auto* condition : all) {
    Bound bound = bound_of(condition);
    const bool leads = bound.column == "ctid" || std::ranges::any_of(table.indexes, [&](const auto& index) {
                         return !index.columns.empty() && index.columns.front() == bound.column;
                       });
    if (bound.how == '=') equal.push_back(bound.column);
    if (!leads || bound.how == 0) continue;
    if (bound.how == '+') return '+';
    if (bound.how == '=') best = '=';
    if (bound.how == '<' || bound.how == '>') {
      if (best == 0) best = '<';
      // From both sides: id >= 1 AND id < 1000.
      if (std::ranges::any_of(sides, [&](const Bound& other) {
            return other.column == bound.column && other.how != bound.how;
          }))
        return '+';
      sides.push_back(std::move(bound));
    }
  }
  const bool key = std::ranges::any_of(table.indexes, [&](const schema::Index& index) {
    return index.unique && !index.columns.empty() &&
           std::ranges::all_of(index.columns, [&](const std::string& column) {
             return std::ranges::find(equal, column) != equal.end();
           });
  });
  return key ? '+' : best;
}

}  // namespace

std::string many_rows(const Statement& statement, const Names& names) {
  if (const auto* insert = as<PgQuery__InsertStmt>(statement.node())) {
    if (insert->select_stmt == nullptr || is_few(schema::name_of(*insert->relation), names)) return {};
    const std::string read = read_whole(insert->select_stmt, names);
    return read.empty() ? "" : "it copies what it finds in " + read;
  }
  if (const auto* merge = as<PgQuery__MergeStmt>(statement.node())) {
    if (is_few(schema::name_of(*merge->relation), names)) return {};
    const std::string read = read_whole(merge->source_relation, names);
    return read.empty() ? "" : "it goes over " + read;
  }
  const Target target = target_of(statement);
  if (target.relation == nullptr || is_few(schema::name_of(*target.relation), names)) return {};
  const QualifiedName written = schema::name_of(*target.relation);
  if (target.where == nullptr)
    return fmt::format("table {}: no condition holds it to a few rows", written.to_sql());
  if (auto why = by_rule(statement, names); !why.empty()) return why;
  const auto* table = names.table(written);
  if (table == nullptr || how_bound(target, *table) != '<') return {};
  return fmt::format("table {}: the rows, of some {:.0f} in all, are bound from one side alone",
                     written.to_sql(), std::max(0.0, table->estimated_rows));
}

std::string maybe_many_rows(const Statement& statement, const Names& names) {
  const Target target = target_of(statement);
  if (target.relation == nullptr || is_few(schema::name_of(*target.relation), names)) return {};
  const QualifiedName written = schema::name_of(*target.relation);
  const auto* table = names.table(written);
  if (target.where == nullptr || (table != nullptr && how_bound(target, *table) != '=')) return {};
  return fmt::format(
      "UPDATE and DELETE of {} by a condition change rows in one transaction{}: where very many rows are "
      "what it "
      "asks for, they stay locked until its end, and it takes batches by key",
      written.to_sql(),
      table == nullptr ? ", and no database tells how many"
                       : fmt::format(", of some {:.0f}", std::max(0.0, table->estimated_rows)));
}

}  // namespace poundlock::migration
