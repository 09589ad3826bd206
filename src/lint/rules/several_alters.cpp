#include <fmt/format.h>

#include <algorithm>

#include "lint/locks.h"
#include "lint/rule.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

// The columns and constraints that the statement's actions are about; empty when one of them must not be
// put together with others: what scans would do so under the others' lock, and what drops a constraint
// would do so before another action could use it.
std::vector<std::string> subjects(const schema::Statement& statement) {
  std::vector<std::string> names;
  bool simple = true;
  each_action(statement, [&](const Action& action) {
    const LockInfo lock = action_lock(action.command);
    simple = simple && lock.work == Work::kCatalogOnly && lock.blocks_reads();
    switch (action.command.subtype) {
      case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn: {
        const auto* column = schema::as<PgQuery__ColumnDef>(action.command.def);
        names.emplace_back(column == nullptr ? "" : schema::text_of(column->colname));
        return;
      }
      case PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault:
      case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn:
      case PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull:
      case PG_QUERY__ALTER_TABLE_TYPE__AT_SetStorage: names.push_back(action.name); return;
      default: simple = false;
    }
  });
  return simple ? names : std::vector<std::string>();
}

std::vector<Match> check(const Context& context) {
  const auto earlier = context.earlier();
  const auto* alter = schema::as<PgQuery__AlterTableStmt>(context.statement.node());
  if (alter == nullptr || alter->relation == nullptr || earlier.empty()) return {};
  const auto* before = schema::as<PgQuery__AlterTableStmt>(earlier.back().node());
  if (before == nullptr || before->relation == nullptr) return {};
  const schema::QualifiedName table = schema::name_of(*alter->relation);
  if (schema::name_of(*before->relation) != table || context.is_new(table)) return {};
  const auto own = subjects(context.statement);
  const auto others = subjects(earlier.back());
  if (own.empty() || others.empty()) return {};
  // A second change of the same column may rest on the first.
  for (const std::string& name : own)
    if (std::ranges::find(others, name) != others.end()) return {};
  return {{context.statement.words({"ALTER", "TABLE"}), table_text(table), ""}};
}

}  // namespace

const Rule& several_alters() {
  static const Rule rule{
      .id = "several_alters",
      .severity = Severity::kWarning,
      .title = "a second ALTER TABLE where one would do",
      .reason =
          "Each waits for ACCESS EXCLUSIVE by itself, and everybody who comes meanwhile waits behind it: the "
          "application stalls once for each statement.",
      .fix = "Put the changes into one ALTER TABLE as actions with commas between them.",
      .bad = {"ALTER TABLE orders ADD COLUMN note text; ALTER TABLE orders ADD COLUMN colour text;"},
      .good =
          {"ALTER TABLE orders ADD COLUMN note text, ADD COLUMN colour text;",
           "ALTER TABLE orders ADD COLUMN note text; ALTER TABLE customers ADD COLUMN note text;",
           "ALTER TABLE orders ADD COLUMN note text; ALTER TABLE orders ALTER COLUMN note SET DEFAULT '';",
           "ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0) NOT VALID;\n"
           "ALTER TABLE orders VALIDATE CONSTRAINT c;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
