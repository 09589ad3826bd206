#include <fmt/format.h>

#include <algorithm>

#include "lint/rule.h"
#include "lint/script_facts.h"
#include "schema/tree.h"

namespace poundlock::lint {
namespace {

const char* kind_text(char kind) {
  switch (kind) {
    case 'f': return "foreign key ";
    case 'p': return "primary key ";
    case 'u': return "unique key ";
    case 'x': return "exclusion constraint ";
    default: return "constraint ";
  }
}

// A CHECK that helps another step comes and goes: by the catalog, by the script, or by a name that says so.
bool is_scaffolding(const Context& context, const Action& action) {
  const schema::Table* table = context.table(action.table);
  if (table != nullptr) {
    const schema::Constraint* known = table->constraint(action.name);
    if (known != nullptr) return known->kind == 'c';
  }
  for (const ScriptFacts::Added& added : context.facts->added_to(action.table.name))
    if (added.name == action.name && added.added < context.index() && same_table(added.table, action.table))
      return true;
  return action.name.ends_with("_not_null") || action.name.ends_with("_check");
}

std::vector<Match> check(const Context& context) {
  std::vector<Match> matches;
  each_action(context, [&](const Action& action) {
    if (action.command.subtype != PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint) return;
    if (is_scaffolding(context, action)) return;
    const schema::Table* table = context.table(action.table);
    const schema::Constraint* known = table == nullptr ? nullptr : table->constraint(action.name);
    matches.push_back({action.range,
                       fmt::format("{}{} of {}", kind_text(known == nullptr ? ' ' : known->kind),
                                   schema::quote_identifier(action.name), table_text(action.table)),
                       ""});
  });
  return matches;
}

}  // namespace

const Rule& drop_constraint() {
  static const Rule rule{
      .id = "drop_constraint",
      .severity = Severity::kWarning,
      .title = "a constraint is given up",
      .reason =
          "What it kept out comes in from that moment, and to have it again takes a scan and a repair of "
          "every row that breaks it. A foreign key's drop locks both tables with ACCESS EXCLUSIVE; a unique "
          "or primary key takes its index along, and with it ON CONFLICT and logical replication.",
      .fix =
          "Let a person approve it: say why nothing relies on it any more, -- poundlock: ignore "
          "drop_constraint REASON.",
      .bad = {"ALTER TABLE orders DROP CONSTRAINT orders_customer_fkey;",
              "ALTER TABLE orders DROP CONSTRAINT IF EXISTS orders_code_key;"},
      .good = {"ALTER TABLE orders ADD CONSTRAINT c CHECK (status IS NOT NULL) NOT VALID;\n"
               "ALTER TABLE orders VALIDATE CONSTRAINT c; ALTER TABLE orders ALTER status SET NOT NULL;\n"
               "ALTER TABLE orders DROP CONSTRAINT c;",
               "ALTER TABLE orders DROP CONSTRAINT IF EXISTS orders_status_not_null;"},
      .check = check};
  return rule;
}

}  // namespace poundlock::lint
