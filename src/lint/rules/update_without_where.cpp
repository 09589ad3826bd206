#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// WHERE true and WHERE 1 = 1 leave out nothing either.
bool always_true(const PgQuery__Node* condition) {
  if (condition == nullptr) return true;
  if (const auto* constant = schema::as<PgQuery__AConst>(condition))
    return constant->val_case == PG_QUERY__A__CONST__VAL_BOOLVAL && constant->boolval->boolval;
  const auto* comparison = schema::as<PgQuery__AExpr>(condition);
  if (comparison == nullptr || comparison->kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP) return false;
  const auto* left = schema::as<PgQuery__AConst>(comparison->lexpr);
  const auto* right = schema::as<PgQuery__AConst>(comparison->rexpr);
  return left != nullptr && right != nullptr && left->val_case == PG_QUERY__A__CONST__VAL_IVAL &&
         right->val_case == PG_QUERY__A__CONST__VAL_IVAL && left->ival->ival == right->ival->ival &&
         schema::strings(comparison->name, comparison->n_name).back() == "=";
}

// EXPLAIN plans the statement and runs it with ANALYZE alone.
bool explains_only(const schema::Statement& statement) {
  return statement.kind() == schema::StatementKind::kExplain &&
         statement.words({"ANALYZE"}).size() == statement.text().size();
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  if (explains_only(context.statement)) return matches;
  // An UPDATE inside a WITH works on all rows as well.
  schema::walk(schema::content(context.statement.node()), [&](const schema::Message* message) {
    const PgQuery__RangeVar* table = nullptr;
    if (const auto* update = schema::as<PgQuery__UpdateStmt>(message);
        update != nullptr && always_true(update->where_clause) && update->n_from_clause == 0)
      table = update->relation;
    if (const auto* remove = schema::as<PgQuery__DeleteStmt>(message);
        remove != nullptr && always_true(remove->where_clause) && remove->n_using_clause == 0)
      table = remove->relation;
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
              "UPDATE orders SET status = 'paid' WHERE true;", "EXPLAIN (ANALYZE) DELETE FROM orders;",
              "WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone;"},
      .good = {"UPDATE orders SET new_status = legacy_status WHERE id BETWEEN 1 AND 1000;",
               "EXPLAIN UPDATE orders SET new_status = legacy_status;",
               "CREATE TABLE notes (id bigint); UPDATE notes SET id = id + 1;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
