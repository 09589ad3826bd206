#include "lint/context.h"

#include <algorithm>

#include "schema/tree.h"

namespace poundlock::lint {

bool same_table(const schema::QualifiedName& a, const schema::QualifiedName& b) {
  return a.name == b.name && (a.schema.empty() || b.schema.empty() || a.schema == b.schema);
}

bool Context::is_new(const schema::QualifiedName& table) const {
  return std::ranges::any_of(created, [&](const auto& name) { return same_table(name, table); });
}

const schema::Column* Context::column(const schema::QualifiedName& table, std::string_view name) const {
  const schema::Table* found = options.catalog == nullptr ? nullptr : options.catalog->table(table);
  return found == nullptr ? nullptr : found->column(name);
}

void each_action(const schema::Statement& statement, const std::function<void(const Action&)>& visit) {
  const auto* alter = schema::as<PgQuery__AlterTableStmt>(statement.node());
  if (alter == nullptr || alter->relation == nullptr) return;
  const schema::QualifiedName table = schema::name_of(*alter->relation);
  const auto ranges = statement.actions();
  for (std::size_t i = 0; i < alter->n_cmds; ++i) {
    const auto* command = schema::as<PgQuery__AlterTableCmd>(alter->cmds[i]);
    if (command != nullptr) visit({*command, table, ranges[i], std::string(schema::text_of(command->name))});
  }
}

void each_action(const Context& context, const std::function<void(const Action&)>& visit) {
  each_action(context.statement, [&](const Action& action) {
    if (!context.is_new(action.table)) visit(action);
  });
}

std::string table_text(const schema::QualifiedName& table) {
  return "table " + table.to_sql();
}

}  // namespace poundlock::lint
