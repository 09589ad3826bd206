#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

using schema::as;
using schema::text_of;

void look(PgQuery__Node* const* targets, std::size_t count, const schema::Statement& statement,
          std::vector<Match>& matches) {
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < count; ++i) {
    const auto* target = as<PgQuery__ResTarget>(targets[i]);
    // An element of an array or a field of a row may be set beside another.
    if (target == nullptr || target->n_indirection > 0) continue;
    const std::string_view name = text_of(target->name);
    if (seen.insert(name).second) continue;
    const auto begin = static_cast<std::size_t>(std::max(0, target->location));
    matches.push_back({statement.name_at(begin), "column " + schema::quote_identifier(name), ""});
  }
}

// The same setting twice in a row of SETs: one of the two was meant otherwise.
void look_at_settings(const Context& context, std::vector<Match>& matches) {
  const auto* own = as<PgQuery__VariableSetStmt>(context.statement.node());
  if (own == nullptr || own->kind != PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE) return;
  const auto earlier = context.earlier();
  constexpr std::size_t kLookBack = 16;
  for (std::size_t back = 1; back <= std::min(kLookBack, earlier.size()); ++back) {
    const auto* before = as<PgQuery__VariableSetStmt>(earlier[earlier.size() - back].node());
    if (before == nullptr) return;
    if (before->kind != PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE) continue;
    if (before->is_local != own->is_local || text_of(before->name) != text_of(own->name)) continue;
    matches.push_back({{0, context.statement.text().size()},
                       fmt::format("setting {} is set twice", text_of(own->name)),
                       "",
                       true});
    return;
  }
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  schema::walk(schema::content(context.statement.node()), [&](const schema::Message* message) {
    if (const auto* update = as<PgQuery__UpdateStmt>(message))
      look(update->target_list, update->n_target_list, context.statement, matches);
    if (const auto* conflict = as<PgQuery__OnConflictClause>(message))
      look(conflict->target_list, conflict->n_target_list, context.statement, matches);
    if (const auto* when = as<PgQuery__MergeWhenClause>(message))
      if (when->command_type == PG_QUERY__CMD_TYPE__CMD_UPDATE)
        look(when->target_list, when->n_target_list, context.statement, matches);
    return true;
  });
  look_at_settings(context, matches);
  return matches;
}

}  // namespace

const Rule& duplicate_set() {
  static const Rule rule{
      .id = "duplicate_set",
      .title = "a column is set twice in one statement",
      .reason =
          "PostgreSQL refuses it (42601) when the statement runs, in the middle of the migration. Of a "
          "setting that is set twice in a row only the second holds, and one of them was meant otherwise.",
      .fix = "Keep one of the two.",
      .bad = {"UPDATE orders SET status = 'paid', status = 'sent' WHERE id = 1;",
              "INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET code = 'a', code = 'b';",
              "SET lock_timeout = '50ms'; SET lock_timeout = '5s';"},
      .good = {"UPDATE orders SET status = 'paid', code = 'a' WHERE id = 1;",
               "UPDATE orders SET tags[1] = 'a', tags[2] = 'b' WHERE id = 1;",
               "SET lock_timeout = '50ms'; SELECT 1; SET lock_timeout = '5s';"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
