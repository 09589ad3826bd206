#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// The place of the string constant in the statement, if it has it.
std::optional<std::size_t> place_of(const schema::Statement& statement, std::string_view value) {
  std::optional<std::size_t> place;
  schema::walk(schema::content(statement.node()), [&](const schema::Message* message) {
    const auto* constant = schema::as<PgQuery__AConst>(message);
    if (!place && constant != nullptr && constant->val_case == PG_QUERY__A__CONST__VAL_SVAL &&
        schema::text_of(constant->sval->sval) == value)
      place = static_cast<std::size_t>(std::max(0, constant->location));
    return !place;
  });
  return place;
}

// Reported at the ADD VALUE, so that each is looked for once in what follows.
std::vector<Match> check(const Context& context) {
  const auto* alter = schema::as<PgQuery__AlterEnumStmt>(context.statement.node());
  if (alter == nullptr || !context.in_transaction || !schema::text_of(alter->old_val).empty()) return {};
  const schema::QualifiedName type = schema::name_of(alter->type_name, alter->n_type_name);
  for (const schema::Statement& later : context.following) {
    if (later.kind() == schema::StatementKind::kCommit || later.kind() == schema::StatementKind::kRollback)
      break;
    if (schema::as<PgQuery__AlterEnumStmt>(later.node()) != nullptr) continue;
    if (!place_of(later, schema::text_of(alter->new_val))) continue;
    return {{context.statement.words({"ADD", "VALUE"}),
             fmt::format("{} of type {} is used in line {}",
                         schema::quote_literal(schema::text_of(alter->new_val)), type.to_sql(),
                         later.position().line),
             context.begun ? context.statement.text() + ";\nCOMMIT;\nBEGIN;" : ""}};
  }
  return {};
}

}  // namespace

const Rule& enum_value_in_transaction() {
  static const Rule rule{
      .id = "enum_value_in_transaction",
      .title = "a new value of an enum is used in the transaction that adds it",
      .reason =
          "PostgreSQL refuses it (55P04) and rolls the whole transaction back: a new value may be used after "
          "its commit only.",
      .fix = "Commit between the two.",
      .bad = {"BEGIN; ALTER TYPE mood ADD VALUE 'happy' AFTER 'calm';\n"
              "UPDATE people SET feels = 'happy' WHERE id = 1; COMMIT;"},
      .good = {"BEGIN; ALTER TYPE mood ADD VALUE 'happy' AFTER 'calm'; COMMIT;\n"
               "UPDATE people SET feels = 'happy' WHERE id = 1;",
               "BEGIN; CREATE TYPE size AS ENUM ('s', 'l'); SELECT 'l'::size; COMMIT;",
               "BEGIN; ALTER TYPE mood ADD VALUE 'happy' AFTER 'calm';\n"
               "UPDATE people SET feels = 'calm' WHERE id = 1; COMMIT;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
