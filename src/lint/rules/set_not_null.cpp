#include <fmt/format.h>

#include <algorithm>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// CHECK (column IS NOT NULL), alone or as a term of AND.
bool proves_not_null(const PgQuery__Node* expression, std::string_view column) {
  bool found = false;
  schema::walk(schema::content(expression), [&](const schema::Message* message) {
    if (message->descriptor != &pg_query__null_test__descriptor) {
      const auto* junction = reinterpret_cast<const PgQuery__BoolExpr*>(message);
      return message->descriptor == &pg_query__bool_expr__descriptor &&
             junction->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR;
    }
    const auto* test = reinterpret_cast<const PgQuery__NullTest*>(message);
    const auto* ref = schema::as<PgQuery__ColumnRef>(test->arg);
    found = found || (test->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NOT_NULL && ref != nullptr &&
                      schema::strings(ref->fields, ref->n_fields).back() == column);
    return false;
  });
  return found;
}

// Did the script before this statement add such a CHECK and validate it?
bool validated_earlier(const Context& context, const Action& action) {
  std::vector<std::string> proofs;
  bool validated = false;
  for (const schema::Statement& statement : context.script.statements) {
    if (&statement == &context.statement) break;
    each_action(statement, [&](const Action& earlier) {
      if (!same_table(earlier.table, action.table)) return;
      const auto* constraint = schema::as<PgQuery__Constraint>(earlier.command.def);
      if (constraint != nullptr && constraint->contype == PG_QUERY__CONSTR_TYPE__CONSTR_CHECK &&
          proves_not_null(constraint->raw_expr, action.name)) {
        proofs.emplace_back(schema::text_of(constraint->conname));
        validated = validated || !constraint->skip_validation;
      }
      const bool validates = earlier.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint;
      if (validates && std::ranges::find(proofs, earlier.name) != proofs.end()) validated = true;
    });
  }
  return validated;
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull) return;
    if (const schema::Column* known = context.column(action.table, action.name); known && known->not_null)
      return;
    if (validated_earlier(context, action)) return;
    const std::string column = schema::quote_identifier(action.name);
    const std::string name =
        schema::quote_identifier(schema::derive_name(action.table.name, action.name, "not_null"));
    matches.push_back(
        {context.statement.words({"SET", "NOT", "NULL"}, action.range.begin),
         fmt::format("column {} of {}", column, table_text(action.table)),
         fmt::format(
             "ALTER TABLE {0} ADD CONSTRAINT {1} CHECK ({2} IS NOT NULL) NOT VALID;\n"
             "ALTER TABLE {0} VALIDATE CONSTRAINT {1};\nALTER TABLE {0} ALTER COLUMN {2} SET NOT NULL;\n"
             "ALTER TABLE {0} DROP CONSTRAINT {1};",
             action.table.to_sql(), name, column)});
  });
  return matches;
}

}  // namespace

const Rule& set_not_null() {
  static const Rule rule{
      .id = "set_not_null",
      .title = "SET NOT NULL without a validated CHECK",
      .reason =
          "PostgreSQL reads the whole table under ACCESS EXCLUSIVE: nobody reads or writes it meanwhile.",
      .fix =
          "Add CHECK (column IS NOT NULL) NOT VALID, commit, VALIDATE it (which lets everybody work), then "
          "SET "
          "NOT NULL, which believes the CHECK and reads nothing, and drop the CHECK.",
      .bad = {"ALTER TABLE orders ALTER COLUMN status SET NOT NULL;",
              "ALTER TABLE orders ADD CONSTRAINT c CHECK (status IS NOT NULL) NOT VALID;\n"
              "ALTER TABLE orders ALTER COLUMN status SET NOT NULL;",
              "ALTER TABLE orders ADD CONSTRAINT c CHECK (status IS NOT NULL OR old) NOT VALID;\n"
              "ALTER TABLE orders VALIDATE CONSTRAINT c; ALTER TABLE orders ALTER status SET NOT NULL;"},
      .good = {"ALTER TABLE orders ADD CONSTRAINT c CHECK (status IS NOT NULL) NOT VALID;\n"
               "ALTER TABLE orders VALIDATE CONSTRAINT c;\n"
               "ALTER TABLE orders ALTER COLUMN status SET NOT NULL; ALTER TABLE orders DROP CONSTRAINT c;",
               "CREATE TABLE notes (id bigint); ALTER TABLE notes ALTER COLUMN id SET NOT NULL;",
               "ALTER TABLE orders ALTER COLUMN status DROP NOT NULL;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
