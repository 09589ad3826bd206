#include <algorithm>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  const auto* refresh = schema::as<PgQuery__RefreshMatViewStmt>(context.statement.node());
  if (refresh == nullptr || refresh->concurrent || refresh->relation == nullptr) return {};
  const schema::QualifiedName view = schema::name_of(*refresh->relation);
  if (context.is_new(view)) return {};
  const schema::Table* known = context.table(view);
  const bool keyed = known == nullptr || std::ranges::any_of(known->indexes, [](const schema::Index& index) {
                       return index.unique && index.valid && index.predicate.empty() &&
                              std::ranges::find(index.columns, "") == index.columns.end();
                     });
  const schema::ByteRange words = context.statement.words({"REFRESH", "MATERIALIZED", "VIEW"});
  std::string rewrite;
  if (keyed && !refresh->skip_data) {
    rewrite = context.statement.text() + ";";
    rewrite.insert(words.end, " CONCURRENTLY");
  }
  return {{words, view.to_sql() + (keyed ? "" : ", which has no unique index"), rewrite}};
}

}  // namespace

const Rule& refresh_not_concurrent() {
  static const Rule rule{
      .id = "refresh_not_concurrent",
      .title = "a materialised view is refreshed while its readers wait",
      .reason = "It is filled anew under ACCESS EXCLUSIVE: for as long as its query runs nobody reads it.",
      .fix =
          "REFRESH MATERIALIZED VIEW CONCURRENTLY, which lets readers work. It needs a unique index on plain "
          "columns over all rows, and a view that has been filled once.",
      .bad = {"REFRESH MATERIALIZED VIEW totals;",
              "REFRESH MATERIALIZED VIEW app.\"Monthly Totals\" WITH DATA;"},
      .good =
          {"REFRESH MATERIALIZED VIEW CONCURRENTLY totals;",
           "CREATE MATERIALIZED VIEW fresh AS SELECT 1 AS a WITH NO DATA; REFRESH MATERIALIZED VIEW fresh;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
