#include <fmt/format.h>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// The same columns in the same order: rows of one kind, as seed data has them, and no dual write.
bool same_columns(const PgQuery__InsertStmt& a, const PgQuery__InsertStmt& b) {
  if (a.n_cols != b.n_cols) return false;
  for (std::size_t i = 0; i < a.n_cols; ++i) {
    const auto* one = schema::as<PgQuery__ResTarget>(a.cols[i]);
    const auto* other = schema::as<PgQuery__ResTarget>(b.cols[i]);
    if (one == nullptr || other == nullptr || schema::text_of(one->name) != schema::text_of(other->name))
      return false;
  }
  return true;
}

std::vector<Match> check(const Context& context) {
  const auto* insert = schema::as<PgQuery__InsertStmt>(context.statement.node());
  if (insert == nullptr || insert->on_conflict_clause == nullptr ||
      insert->on_conflict_clause->action != PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_NOTHING)
    return {};
  const schema::QualifiedName table = schema::name_of(*insert->relation);
  for (const schema::Statement* earlier : context.transaction) {
    const auto* first = schema::as<PgQuery__InsertStmt>(earlier->node());
    if (first == nullptr || !same_table(schema::name_of(*first->relation), table)) continue;
    if (same_columns(*first, *insert)) continue;
    return {{context.statement.words({"ON", "CONFLICT"}),
             fmt::format("a second INSERT into {} in the same transaction", table_text(table)), ""}};
  }
  return {};
}

}  // namespace

const Rule& double_insert() {
  static const Rule rule{
      .id = "double_insert",
      .title = "a dual write by a second INSERT that does nothing",
      .reason =
          "The first INSERT has made the row, so that the second meets a conflict and does nothing (INSERT 0 "
          "0): "
          "the new column keeps its default, and old and new part ways without an error.",
      .fix = "Write both columns in one INSERT, or let the sync trigger derive the new one.",
      .bad = {"BEGIN; INSERT INTO orders (id, legacy_status) VALUES (1, 'paid');\n"
              "INSERT INTO orders (id, new_status) VALUES (1, 'paid') ON CONFLICT DO NOTHING; COMMIT;"},
      .good =
          {"BEGIN; INSERT INTO orders (id, legacy_status, new_status) VALUES (1, 'paid', 'paid'); COMMIT;",
           "INSERT INTO orders (id) VALUES (1) ON CONFLICT DO NOTHING;",
           "BEGIN; INSERT INTO tags (id, name) VALUES (1, 'a') ON CONFLICT DO NOTHING;\n"
           "INSERT INTO tags (id, name) VALUES (2, 'b') ON CONFLICT DO NOTHING; COMMIT;",
           "BEGIN; INSERT INTO orders (id) VALUES (1); INSERT INTO tags (id) VALUES (1) ON CONFLICT DO "
           "NOTHING; "
           "COMMIT;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
