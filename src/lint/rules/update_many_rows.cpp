#include <fmt/format.h>

#include <algorithm>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;

// id > 0, id >= 1: what a sequence gives out is behind it.
bool takes_all_numbers(const PgQuery__AExpr& comparison, const std::string& op) {
  const auto* number = as<PgQuery__AConst>(comparison.rexpr);
  return (op == ">" || op == ">=") && number != nullptr && number->val_case == PG_QUERY__A__CONST__VAL_IVAL &&
         number->ival->ival <= 1;
}

// The column that the condition holds to a value or a range; "" for <>, LIKE, IS NULL and the rest, which
// may leave nearly all rows.
std::string bound_column(const PgQuery__Node* condition, bool joins_bind) {
  if (const auto* sub = as<PgQuery__SubLink>(condition)) {
    // column IN (SELECT ... LIMIT 1000): a batch.
    const auto* ref = as<PgQuery__ColumnRef>(sub->testexpr);
    return ref == nullptr ? "" : schema::strings(ref->fields, ref->n_fields).back();
  }
  const auto* comparison = as<PgQuery__AExpr>(condition);
  if (comparison == nullptr) return "";
  switch (comparison->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP: break;
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN: break;
    default: return "";
  }
  const std::string op = schema::strings(comparison->name, comparison->n_name).back();
  if (op != "=" && op != "<" && op != "<=" && op != ">" && op != ">=" && op != "BETWEEN") return "";
  const bool joins = as<PgQuery__ColumnRef>(comparison->lexpr) != nullptr &&
                     as<PgQuery__ColumnRef>(comparison->rexpr) != nullptr;
  if (joins && !joins_bind) return "";
  if (takes_all_numbers(*comparison, op)) return "";
  for (const PgQuery__Node* side : {comparison->lexpr, comparison->rexpr})
    if (const auto* ref = as<PgQuery__ColumnRef>(side))
      return schema::strings(ref->fields, ref->n_fields).back();
  return "";
}

// Rows that are joined are as many as the other table's: few of a query with a LIMIT, of a new or small
// table.
bool joins_bind(const Context& context, PgQuery__Node* const* from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto* relation = as<PgQuery__RangeVar>(from[i]);
    if (relation == nullptr) return true;
    const schema::QualifiedName name = schema::name_of(*relation);
    if (context.is_new(name) || context.is_small(name)) return true;
  }
  return count == 0;
}

void bound_columns(const PgQuery__Node* condition, bool joins_bind, std::vector<std::string>& columns) {
  const auto* junction = as<PgQuery__BoolExpr>(condition);
  if (junction != nullptr && junction->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR) {
    for (std::size_t i = 0; i < junction->n_args; ++i) bound_columns(junction->args[i], joins_bind, columns);
    return;
  }
  if (std::string column = bound_column(condition, joins_bind); !column.empty())
    columns.push_back(std::move(column));
}

// Why it may be many rows; "" when it is not.
std::string many(const Context& context, const schema::QualifiedName& table,
                 const std::vector<std::string>& columns) {
  const schema::Table* known = context.table(table);
  if (known == nullptr) return columns.empty() ? "nothing holds it to a few rows" : "";
  const bool leads_an_index = std::ranges::any_of(known->indexes, [&](const schema::Index& index) {
    return !index.columns.empty() && std::ranges::find(columns, index.columns.front()) != columns.end();
  });
  // ctid holds it to blocks without an index.
  if (leads_an_index || std::ranges::find(columns, "ctid") != columns.end()) return "";
  return fmt::format("no index leads to the rows, of some {:.0f} in all",
                     std::max(0.0, known->estimated_rows));
}

// The rows that a statement takes: of which table, by which condition, and whether those of another table
// that it joins are known to be few.
struct Taken {
  const PgQuery__RangeVar* target = nullptr;
  const PgQuery__Node* where = nullptr;
  bool few_joined = true;
};

bool has_column(const PgQuery__Node* condition) {
  bool found = false;
  schema::walk(schema::content(condition), [&](const schema::Message* message) {
    found = found || as<PgQuery__ColumnRef>(message) != nullptr;
    return !found;
  });
  return found;
}

// WHEN MATCHED; where nothing is compared, update_without_where says more.
Taken taken_by(const Context& context, const PgQuery__MergeStmt& merge) {
  bool changes = false;
  for (std::size_t i = 0; i < merge.n_merge_when_clauses; ++i) {
    const auto* when = as<PgQuery__MergeWhenClause>(merge.merge_when_clauses[i]);
    changes = changes || (when != nullptr && when->matched && when->condition == nullptr &&
                          (when->command_type == PG_QUERY__CMD_TYPE__CMD_UPDATE ||
                           when->command_type == PG_QUERY__CMD_TYPE__CMD_DELETE));
  }
  if (!changes || !has_column(merge.join_condition)) return {};
  PgQuery__Node* const from[] = {merge.source_relation};
  return {merge.relation, merge.join_condition, merge.with_clause != nullptr || joins_bind(context, from, 1)};
}

// INSERT ... SELECT ... ON CONFLICT DO UPDATE: each row that is there already is one that it changes.
bool upserts_many(const Context& context, const PgQuery__InsertStmt& insert) {
  const auto* select = as<PgQuery__SelectStmt>(insert.select_stmt);
  if (insert.on_conflict_clause == nullptr ||
      insert.on_conflict_clause->action != PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_UPDATE ||
      select == nullptr || select->limit_count != nullptr || select->with_clause != nullptr ||
      insert.with_clause != nullptr || joins_bind(context, select->from_clause, select->n_from_clause))
    return false;
  std::vector<std::string> columns;
  bound_columns(select->where_clause, false, columns);
  return columns.empty();
}

// Of one table; with another beside it, or a LIMIT, it is a query that looks for its rows.
Taken taken_by(const PgQuery__SelectStmt& select) {
  if (select.n_locking_clause == 0 || select.limit_count != nullptr || select.n_from_clause != 1) return {};
  return {as<PgQuery__RangeVar>(select.from_clause[0]), select.where_clause, true};
}

std::vector<Match> check(const Context& context) {
  Taken taken;
  const PgQuery__Node* node = context.statement.node();
  bool all = false;
  if (const auto* update = as<PgQuery__UpdateStmt>(node)) {
    taken = {
        update->relation, update->where_clause,
        update->with_clause != nullptr || joins_bind(context, update->from_clause, update->n_from_clause)};
  } else if (const auto* remove = as<PgQuery__DeleteStmt>(node)) {
    taken = {
        remove->relation, remove->where_clause,
        remove->with_clause != nullptr || joins_bind(context, remove->using_clause, remove->n_using_clause)};
  } else if (const auto* merge = as<PgQuery__MergeStmt>(node)) {
    taken = taken_by(context, *merge);
  } else if (const auto* insert = as<PgQuery__InsertStmt>(node)) {
    all = upserts_many(context, *insert);
    if (all) taken.target = insert->relation;
  } else if (const auto* select = as<PgQuery__SelectStmt>(node)) {
    taken = taken_by(*select);
    all = taken.where == nullptr;
  }
  // Of an UPDATE or DELETE without any condition update_without_where says more.
  if (taken.target == nullptr || (taken.where == nullptr && !all)) return {};
  const schema::QualifiedName table = schema::name_of(*taken.target);
  if (context.is_new(table) || context.is_small(table)) return {};
  std::vector<std::string> columns;
  if (!all) bound_columns(taken.where, taken.few_joined, columns);
  const std::string why = all ? "nothing holds it to a few rows" : many(context, table, columns);
  if (why.empty()) return {};
  return {{{0, context.statement.text().size()}, fmt::format("{}: {}", table_text(table), why), ""}};
}

}  // namespace

const Rule& update_many_rows() {
  static const Rule rule{
      .id = "update_many_rows",
      .severity = Severity::kWarning,
      .title = "a statement that may change or lock very many rows",
      .reason =
          "Each row stays locked until the statement ends, so that the application's writes wait for all of "
          "it; all new row versions are written at once and the replicas fall behind.",
      .fix =
          "Work in batches by key, each in its own transaction with a short lock_timeout; a backfill step "
          "does that and watches replicas and waiters.",
      .bad = {"UPDATE orders SET new_status = legacy_status WHERE new_status IS NULL;",
              "DELETE FROM orders WHERE status <> 'paid';",
              "UPDATE orders o SET a = c.b FROM child c WHERE c.id = o.id;",
              "UPDATE orders SET code = upper(code) WHERE code LIKE '%x' OR total > 3;",
              "UPDATE orders SET note = 'x' WHERE id > 0;",
              "MERGE INTO orders o USING child c ON o.id = c.id WHEN MATCHED THEN UPDATE SET a = c.b;",
              "INSERT INTO orders SELECT * FROM child ON CONFLICT (id) DO UPDATE SET a = excluded.a;",
              "SELECT id FROM orders FOR UPDATE;"},
      .good =
          {"UPDATE orders SET new_status = legacy_status WHERE new_status IS NULL AND id BETWEEN 1 AND 1000;",
           "DELETE FROM orders WHERE id = 7;", "SELECT id FROM orders WHERE id = 7 FOR UPDATE;",
           "SELECT id FROM orders ORDER BY id LIMIT 10 FOR UPDATE SKIP LOCKED;",
           "INSERT INTO orders (id, a) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET a = excluded.a;",
           "MERGE INTO orders o USING (VALUES (1, 2)) v (id, a) ON o.id = v.id\n"
           "WHEN MATCHED THEN UPDATE SET a = v.a;",
           "WITH batch AS (SELECT id FROM orders WHERE status IS NULL LIMIT 1000)\n"
           "UPDATE orders o SET status = 'new' FROM batch WHERE batch.id = o.id;",
           "DELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE status IS NULL LIMIT 1000);",
           "CREATE TABLE notes (id bigint); UPDATE notes SET id = 1 WHERE id IS NULL;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
