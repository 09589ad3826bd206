#include <optional>

#include "lint/rule.h"
#include "lint/statement_options.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// true, 't'::boolean or 1 = 1, which say the same of each row; nullopt: it takes a row to tell.
std::optional<bool> constant(const PgQuery__Node* condition) {
  if (const auto* cast = schema::as<PgQuery__TypeCast>(condition)) return constant(cast->arg);
  if (const auto* value = schema::as<PgQuery__AConst>(condition)) {
    if (value->val_case == PG_QUERY__A__CONST__VAL_BOOLVAL) return value->boolval->boolval;
    if (value->val_case != PG_QUERY__A__CONST__VAL_SVAL) return std::nullopt;
    const std::string_view text = schema::text_of(value->sval->sval);
    if (text == "t" || text == "true" || text == "on" || text == "1") return true;
    return text == "f" || text == "false" || text == "off" || text == "0" ? std::optional(false)
                                                                          : std::nullopt;
  }
  if (const auto* junction = schema::as<PgQuery__BoolExpr>(condition)) {
    const bool all = junction->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR;
    bool known = true;
    for (std::size_t i = 0; i < junction->n_args; ++i) {
      const auto part = constant(junction->args[i]);
      if (junction->boolop == PG_QUERY__BOOL_EXPR_TYPE__NOT_EXPR)
        return part ? std::optional(!*part) : std::nullopt;
      if (part && *part != all) return !all;  // one false decides an AND, one true an OR
      known = known && part.has_value();
    }
    return known ? std::optional(all) : std::nullopt;
  }
  const auto* comparison = schema::as<PgQuery__AExpr>(condition);
  if (comparison == nullptr || comparison->kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP) return std::nullopt;
  const auto* left = schema::as<PgQuery__AConst>(comparison->lexpr);
  const auto* right = schema::as<PgQuery__AConst>(comparison->rexpr);
  if (left == nullptr || right == nullptr || left->val_case != right->val_case) return std::nullopt;
  if (schema::strings(comparison->name, comparison->n_name).back() != "=") return std::nullopt;
  if (left->val_case == PG_QUERY__A__CONST__VAL_IVAL) return left->ival->ival == right->ival->ival;
  if (left->val_case != PG_QUERY__A__CONST__VAL_SVAL) return std::nullopt;
  return schema::text_of(left->sval->sval) == schema::text_of(right->sval->sval);
}

// WHERE true and WHERE 1 = 1 leave out nothing either.
bool always_true(const PgQuery__Node* condition) {
  return condition == nullptr || constant(condition) == true;
}

// MERGE ... ON true WHEN MATCHED THEN DELETE: each row of the target has a match.
bool merges_every_row(const PgQuery__MergeStmt& merge) {
  if (!always_true(merge.join_condition)) return false;
  for (std::size_t i = 0; i < merge.n_merge_when_clauses; ++i) {
    const auto* when = schema::as<PgQuery__MergeWhenClause>(merge.merge_when_clauses[i]);
    if (when != nullptr && when->matched && always_true(when->condition) &&
        (when->command_type == PG_QUERY__CMD_TYPE__CMD_UPDATE ||
         when->command_type == PG_QUERY__CMD_TYPE__CMD_DELETE))
      return true;
  }
  return false;
}

// EXPLAIN plans the statement and runs it with ANALYZE alone.
bool explains_only(const schema::Statement& statement) {
  if (statement.kind() != schema::StatementKind::kExplain) return false;
  const PgQuery__ExplainStmt& explain = *statement.node()->explain_stmt;
  return !has_option(explain.options, explain.n_options, "analyze");
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  if (explains_only(context.statement)) return matches;
  // An UPDATE inside a WITH works on all rows as well.
  schema::walk(schema::content(context.statement.node()), [&](const schema::Message* message) {
    const PgQuery__RangeVar* table = nullptr;
    if (const auto* update = schema::as<PgQuery__UpdateStmt>(message);
        update != nullptr && always_true(update->where_clause))
      table = update->relation;
    if (const auto* remove = schema::as<PgQuery__DeleteStmt>(message);
        remove != nullptr && always_true(remove->where_clause))
      table = remove->relation;
    if (const auto* merge = schema::as<PgQuery__MergeStmt>(message);
        merge != nullptr && merges_every_row(*merge))
      table = merge->relation;
    if (table == nullptr || context.is_new(schema::name_of(*table))) return true;
    matches.push_back({.range = {0, context.statement.text().size()},
                       .detail = table_text(schema::name_of(*table)),
                       .rewrite = "",
                       .lesser = context.is_small(schema::name_of(*table))});
    return true;
  });
  return matches;
}

}  // namespace

const Rule& update_without_where() {
  static const Rule rule{
      .id = "update_without_where",
      .title = "every row is changed in one statement",
      .reason =
          "It locks every row until it ends, so that the application's writes wait for all of it; it writes "
          "a "
          "new version of each row at once, doubles the table and makes the replicas fall behind.",
      .fix =
          "Change the rows in batches by key, each in its own transaction with a short lock_timeout; a "
          "backfill "
          "step does that and watches replicas and waiters.",
      .bad = {"UPDATE orders SET new_status = legacy_status;", "DELETE FROM orders;",
              "DELETE FROM orders USING customers;", "UPDATE orders SET status = 'paid' WHERE true;",
              "EXPLAIN (ANALYZE) DELETE FROM orders;",
              "WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone;",
              "MERGE INTO orders USING customers c ON true WHEN MATCHED THEN UPDATE SET note = c.name;"},
      .good = {"UPDATE orders SET new_status = legacy_status WHERE id BETWEEN 1 AND 1000;",
               "EXPLAIN UPDATE orders SET new_status = legacy_status;",
               "EXPLAIN (ANALYZE off) DELETE FROM orders;",
               "MERGE INTO orders o USING customers c ON o.customer = c.id AND c.id = 7\n"
               "WHEN MATCHED THEN UPDATE SET note = c.name;",
               "CREATE TABLE notes (id bigint); UPDATE notes SET id = id + 1;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
