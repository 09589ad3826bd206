#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  const auto* create = schema::as<PgQuery__CreateEnumStmt>(context.statement.node());
  if (create == nullptr) return {};
  return {{context.statement.words({"ENUM"}),
           "type " + schema::name_of(create->type_name, create->n_type_name).to_sql(), ""}};
}

}  // namespace

const Rule& new_enum() {
  static const Rule rule{
      .id = "new_enum",
      .severity = Severity::kWarning,
      .title = "a new enum type",
      .reason =
          "A value of an enum can never be removed, only added and renamed, and a rename breaks the running "
          "application at that moment; to get rid of one takes a new type and a rewrite of each table that "
          "uses it.",
      .fix =
          "A lookup table with a foreign key, or text with a CHECK that can be replaced by NOT VALID and "
          "VALIDATE.",
      .bad = {"CREATE TYPE mood AS ENUM ('sad', 'calm');"},
      .good = {"CREATE TABLE moods (name text PRIMARY KEY);", "CREATE TYPE point3 AS (x int, y int, z int);"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
