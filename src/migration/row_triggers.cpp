#include "migration/row_triggers.h"

#include <algorithm>
#include <cctype>

#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;

// pg_trigger.tgtype
constexpr int kBefore = 1 << 1;
constexpr int kUpdate = 1 << 4;

// May the function change the row? Only PL/pgSQL can be read, by the assignments to NEW that it holds.
bool may_write(const Names& names, const std::string& function) {
  const auto name = schema::parse_qualified_name(function);
  if (!name || names.catalog() == nullptr) return true;
  for (const auto& one : names.catalog()->functions) {
    if (one.name != name->name || one.schema != name->schema) continue;
    std::string text = one.definition;
    std::ranges::transform(text, text.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (text.find("language plpgsql") == text.npos) return true;
    // NEW.a := 1, NEW.a = 1, SELECT ... INTO NEW.a, NEW := ...; without NEW the row stays as it is.
    return text.find("new.") != text.npos || text.find("new :=") != text.npos;
  }
  return true;
}

}  // namespace

RowTriggers row_triggers(const Names& names, const schema::QualifiedName& table,
                         const std::set<std::string>& assigned) {
  RowTriggers out;
  const auto* known = names.table(table);
  if (known == nullptr) return out;
  const auto add = [](std::string& list, const std::string& name) {
    list += (list.empty() ? "trigger " : ", ") + schema::quote_identifier(name);
  };
  for (const auto& trigger : known->triggers) {
    if (trigger.enabled == 'D' || trigger.enabled == 'R') continue;
    const auto statement = schema::parse_statement(trigger.definition);
    const auto* create = statement ? as<PgQuery__CreateTrigStmt>(statement->node()) : nullptr;
    if (create == nullptr || !create->row || (create->events & kUpdate) == 0) continue;
    const auto columns = schema::strings(create->columns, create->n_columns);
    if (!columns.empty() &&
        std::ranges::none_of(columns, [&](const auto& one) { return assigned.contains(one); }))
      continue;
    add(out.all, trigger.name);
    if ((create->timing & kBefore) != 0 && may_write(names, trigger.function)) add(out.writing, trigger.name);
  }
  return out;
}

}  // namespace poundlock::migration
