#include "lint/context.h"

#include <algorithm>

#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

constexpr std::size_t kRewrittenActionsMax = 100;

}  // namespace

bool same_table(const schema::QualifiedName& a, const schema::QualifiedName& b) {
  return a.name == b.name && (a.schema.empty() || b.schema.empty() || a.schema == b.schema);
}

schema::QualifiedName made_name(const PgQuery__RangeVar& relation, bool if_not_exists,
                                const schema::Catalog* catalog) {
  schema::QualifiedName name = schema::name_of(relation);
  if (schema::text_of(relation.relpersistence) == "t") name.schema = "pg_temp";
  const bool temporary = name.schema == "pg_temp";
  if (if_not_exists && !temporary && (catalog == nullptr || catalog->table(name) != nullptr)) return {};
  return name;
}

bool Context::is_new(const schema::QualifiedName& table) const {
  return facts != nullptr && facts->makes_table_before(table, index());
}

bool chains(const schema::Statement& statement) {
  const auto* transaction = schema::as<PgQuery__TransactionStmt>(statement.node());
  return transaction != nullptr && transaction->chain;
}

std::size_t Context::index() const {
  return script.statements.size() - following.size() - 1;
}

std::span<const schema::Statement> Context::earlier() const {
  return std::span(script.statements).first(index());
}

const schema::Table* Context::table(const schema::QualifiedName& name) const {
  return options.catalog == nullptr ? nullptr : options.catalog->table(name);
}

bool Context::is_small(const schema::QualifiedName& name) const {
  const schema::Table* known = table(name);
  // Never analysed (-1 rows) says nothing, but an empty file has no rows.
  if (known == nullptr || known->kind != 'r') return false;
  const bool few = known->estimated_rows >= 0 && known->estimated_rows <= kSmallTableRows;
  return known->bytes <= kSmallTableBytes && (few || known->bytes == 0);
}

const schema::Column* Context::column(const schema::QualifiedName& table, std::string_view name) const {
  const schema::Table* found = this->table(table);
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

std::string in_place_of(const schema::Statement& statement, const Action& action, const std::string& safe) {
  const auto ranges = statement.actions();
  if (safe.empty() || ranges.size() < 2) return safe;
  // Each of thousands of actions would get the text of all of them.
  if (ranges.size() > kRewrittenActionsMax) return "";
  const auto own = std::ranges::find(ranges, action.range);
  if (own == ranges.end()) return "";
  const std::string head(statement.slice({0, ranges.front().begin}));
  std::string text;
  if (own != ranges.begin())
    text = head + std::string(statement.slice({ranges.front().begin, std::prev(own)->end})) + ";\n";
  text += safe;
  if (std::next(own) != ranges.end())
    text += "\n" + head + std::string(statement.slice({std::next(own)->begin, ranges.back().end})) + ";";
  return text;
}

std::string table_text(const schema::QualifiedName& table) {
  return "table " + table.to_sql();
}

}  // namespace poundlock::lint
