#include "lint/rule.h"
#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

std::vector<Match> check(const Context& context) {
  const auto* alter = schema::as<PgQuery__AlterEnumStmt>(context.statement.node());
  if (alter == nullptr || !schema::text_of(alter->old_val).empty()) return {};
  if (!schema::text_of(alter->new_val_neighbor).empty()) return {};
  const schema::QualifiedName type = schema::name_of(alter->type_name, alter->n_type_name);
  if (context.facts->makes_type(type, context.index())) return {};
  return {{context.statement.words({"ADD", "VALUE"}), "type " + type.to_sql(), ""}};
}

}  // namespace

const Rule& enum_value_without_place() {
  static const Rule rule{
      .id = "enum_value_without_place",
      .severity = Severity::kWarning,
      .title = "a new value of an enum, without its place among the others",
      .reason =
          "It goes to the end, and ORDER BY, < and > follow that order. Where migrations ran in another "
          "order, the same type then sorts differently in staging and production.",
      .fix = "Say BEFORE or AFTER which value it stands. To remove a value is not possible: think twice.",
      .bad = {"ALTER TYPE mood ADD VALUE 'happy';", "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'happy';"},
      .good = {"ALTER TYPE mood ADD VALUE 'happy' AFTER 'calm';",
               "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'gloomy' BEFORE 'sad';"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
