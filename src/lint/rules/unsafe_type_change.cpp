#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "lint/rule.h"
#include "lint/script_facts.h"
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

bool mentions(const std::string& expression, const std::string& column) {
  return expression.find(column) != std::string::npos;
}

// What PostgreSQL does under the lock although the rows stay as they are; "" when nothing. Its indexes are
// kept only where collation and meaning are the same and they are plain: "rebuilds index i".
std::string hidden_work(const schema::Table& table, const std::string& column, bool new_order) {
  for (const schema::Index& index : table.indexes) {
    const bool key = std::ranges::find(index.columns, column) != index.columns.end();
    const bool expression = std::ranges::find(index.columns, "") != index.columns.end();
    const bool uncertain = (expression || !index.predicate.empty()) && mentions(index.definition, column);
    if (uncertain || (key && new_order))
      return "builds index " + schema::quote_identifier(index.name) + " anew under the lock";
  }
  for (const schema::Constraint& constraint : table.constraints)
    if (constraint.kind == 'c' && constraint.validated &&
        std::ranges::find(constraint.columns, column) != constraint.columns.end())
      return "reads all rows for CHECK " + schema::quote_identifier(constraint.name);
  return "";
}

// timestamp and timestamptz hold the same where the session's time zone is UTC, up to their precision.
bool same_instant(const Context& context, TypeSpec from, const TypeSpec& to) {
  const bool both = (from.name == "timestamp" && to.name == "timestamptz") ||
                    (from.name == "timestamptz" && to.name == "timestamp");
  from.name = to.name;
  return both && context.facts->utc_at(context.index()) && changes_without_rewrite(from, to);
}

// Why it hurts: nullopt when it does not; "" when the old type is not known.
std::optional<std::string> harm(const Context& context, const Action& action,
                                const PgQuery__ColumnDef& target) {
  const schema::Table* table = context.table(action.table);
  const schema::Column* known = table == nullptr ? nullptr : table->column(action.name);
  if (known == nullptr) return "";
  const auto from = type_spec(known->type);
  const TypeSpec to = type_spec(*target.type_name);
  if (!from || converts(target.raw_default, action.name)) return " from " + known->type;
  const bool instant = same_instant(context, *from, to);
  if (!instant && !changes_without_rewrite(*from, to)) return " from " + known->type;
  const std::string work = hidden_work(*table, action.name, instant || target.coll_clause != nullptr);
  if (work.empty()) return std::nullopt;
  return fmt::format(" from {}, which {}", known->type, work);
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    const auto* target = schema::as<PgQuery__ColumnDef>(action.command.def);
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType || target == nullptr) return;
    const auto why = harm(context, action, *target);
    if (!why) return;
    const auto begin = static_cast<std::size_t>(std::max(0, target->type_name->location));
    matches.push_back({.range = {begin, std::max(begin, action.range.end)},
                       .detail = fmt::format("column {} of {}{}", schema::quote_identifier(action.name),
                                             table_text(action.table), *why),
                       .rewrite = "",
                       .lesser = context.is_small(action.table)});
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
          "the application still sends and expects the old type. Where the rows may stay as they are, "
          "another "
          "collation, or timestamp to timestamptz in time zone UTC, still builds the column's indexes anew "
          "under the lock, any change those with expressions or conditions on it, and each CHECK on the "
          "column reads all rows.",
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
