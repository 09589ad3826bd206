#include <fmt/format.h>

#include "lint/rule.h"
#include "lint/types.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// USING column or USING column::type is what PostgreSQL does by itself.
bool converts(const PgQuery__Node* expression, std::string_view column) {
  if (expression == nullptr) return false;
  if (const auto* cast = schema::as<PgQuery__TypeCast>(expression)) return converts(cast->arg, column);
  const auto* ref = schema::as<PgQuery__ColumnRef>(expression);
  return ref == nullptr || schema::strings(ref->fields, ref->n_fields).back() != column;
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    const auto* target = schema::as<PgQuery__ColumnDef>(action.command.def);
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType || target == nullptr) return;
    std::string from;
    if (const schema::Column* known = context.column(action.table, action.name)) {
      const auto old_type = type_spec(known->type);
      const bool plain = target->coll_clause == nullptr && !converts(target->raw_default, action.name);
      if (old_type && plain && changes_without_rewrite(*old_type, type_spec(*target->type_name))) return;
      from = fmt::format(" from {}", known->type);
    }
    const auto begin = static_cast<std::size_t>(std::max(0, target->type_name->location));
    matches.push_back({{begin, std::max(begin, action.range.end)},
                       fmt::format("column {} of {}{}", schema::quote_identifier(action.name),
                                   table_text(action.table), from),
                       ""});
  });
  return matches;
}

}  // namespace

const Rule& unsafe_type_change() {
  static const Rule rule{
      .id = "unsafe_type_change",
      .title = "a change of a column's type that may rewrite the table",
      .reason =
          "Except for a few pairs (a longer varchar, varchar to text, a wider numeric of the same scale), "
          "PostgreSQL rewrites the table and its indexes under ACCESS EXCLUSIVE. And the running version of "
          "the application still sends and expects the old type.",
      .fix =
          "Expand and contract: add a column of the new type, keep both in step by a trigger, backfill, move "
          "readers over, drop the old one; a change_column rollout does that. With a database at hand the "
          "lint "
          "knows the old type and lets the safe pairs pass.",
      .bad = {"ALTER TABLE orders ALTER COLUMN id TYPE bigint;",
              "ALTER TABLE orders ALTER COLUMN status SET DATA TYPE int USING status::int;",
              "ALTER TABLE orders ADD COLUMN a int, ALTER total TYPE numeric(12, 4);"},
      .good = {"ALTER TABLE orders ADD COLUMN id_new bigint;",
               "CREATE TABLE notes (id int); ALTER TABLE notes ALTER COLUMN id TYPE bigint;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
