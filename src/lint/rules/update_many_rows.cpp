#include <fmt/format.h>

#include <algorithm>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;

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

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  const PgQuery__RangeVar* target = nullptr;
  const PgQuery__Node* where = nullptr;
  bool few_joined = true;
  if (const auto* update = as<PgQuery__UpdateStmt>(context.statement.node())) {
    target = update->relation;
    where = update->where_clause;
    few_joined =
        update->with_clause != nullptr || joins_bind(context, update->from_clause, update->n_from_clause);
  } else if (const auto* remove = as<PgQuery__DeleteStmt>(context.statement.node())) {
    target = remove->relation;
    where = remove->where_clause;
    few_joined =
        remove->with_clause != nullptr || joins_bind(context, remove->using_clause, remove->n_using_clause);
  }
  if (target == nullptr || where == nullptr) return {};  // update_without_where says more
  const schema::QualifiedName table = schema::name_of(*target);
  if (context.is_new(table) || context.is_small(table)) return {};
  std::vector<std::string> columns;
  bound_columns(where, few_joined, columns);
  const std::string why = many(context, table, columns);
  if (why.empty()) return {};
  return {{{0, context.statement.text().size()}, fmt::format("{}: {}", table_text(table), why), ""}};
}

}  // namespace

const Rule& update_many_rows() {
  static const Rule rule{
      .id = "update_many_rows",
      .severity = Severity::kWarning,
      .title = "an UPDATE or DELETE that may take very many rows",
      .reason =
          "Each row stays locked until the statement ends, so that the application's writes wait for all of "
          "it; all new row versions are written at once and the replicas fall behind.",
      .fix =
          "Work in batches by key, each in its own transaction with a short lock_timeout; a backfill step "
          "does that and watches replicas and waiters.",
      .bad = {"UPDATE orders SET new_status = legacy_status WHERE new_status IS NULL;",
              "DELETE FROM orders WHERE status <> 'paid';",
              "UPDATE orders o SET a = c.b FROM child c WHERE c.id = o.id;",
              "UPDATE orders SET code = upper(code) WHERE code LIKE '%x' OR total > 3;"},
      .good =
          {"UPDATE orders SET new_status = legacy_status WHERE new_status IS NULL AND id BETWEEN 1 AND 1000;",
           "DELETE FROM orders WHERE id = 7;",
           "WITH batch AS (SELECT id FROM orders WHERE status IS NULL LIMIT 1000)\n"
           "UPDATE orders o SET status = 'new' FROM batch WHERE batch.id = o.id;",
           "DELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE status IS NULL LIMIT 1000);",
           "CREATE TABLE notes (id bigint); UPDATE notes SET id = 1 WHERE id IS NULL;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
