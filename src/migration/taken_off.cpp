#include "migration/taken_off.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "lint/context.h"
#include "migration/name_book.h"
#include "migration/words.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using schema::as;
using schema::QualifiedName;
using schema::Statement;
using schema::text_of;
using Kind = Protection::Kind;

struct Change {
  std::vector<Protection> off;
  std::vector<Protection> on;
};

char type_of(const PgQuery__Constraint& constraint) {
  switch (constraint.contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY: return 'p';
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE: return 'u';
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN: return 'f';
    case PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION: return 'x';
    default: return 'c';
  }
}

// The name that PostgreSQL gives where the script gives none, as long as that is free.
std::string usual_name(const QualifiedName& table, const PgQuery__Constraint& constraint) {
  if (const auto given = text_of(constraint.conname); !given.empty()) return std::string(given);
  const auto keys = schema::strings(constraint.keys, constraint.n_keys);
  const auto references = schema::strings(constraint.fk_attrs, constraint.n_fk_attrs);
  switch (type_of(constraint)) {
    case 'p': return object_name(table.name, "", "pkey");
    case 'u': return object_name(table.name, joined_columns(keys), "key");
    case 'f': return object_name(table.name, joined_columns(references), "fkey");
    case 'c': return object_name(table.name, checked_column(constraint), "check");
    default: return "";
  }
}

// nullopt where the catalog knows the table and no such constraint: then the DROP takes nothing off.
std::optional<Protection> dropped(const lint::Action& action, const QualifiedName& table,
                                  const Names& names) {
  Protection out{.kind = Kind::kConstraint, .table = table, .name = action.name};
  out.maybe = action.command.missing_ok;
  const auto* known = names.table(table);
  if (known == nullptr) return out;
  const auto* constraint = known->constraint(action.name);
  if (constraint == nullptr) return std::nullopt;
  out.type = constraint->kind;
  out.columns = constraint->columns;
  return out;
}

void added(const lint::Action& action, const QualifiedName& table, Change& change) {
  const auto* constraint = as<PgQuery__Constraint>(action.command.def);
  if (constraint == nullptr) return;
  Protection out{.kind = Kind::kConstraint, .table = table, .name = usual_name(table, *constraint)};
  out.type = type_of(*constraint);
  out.columns = schema::strings(constraint->keys, constraint->n_keys);
  if (out.type == 'f') out.columns = schema::strings(constraint->fk_attrs, constraint->n_fk_attrs);
  change.on.push_back(std::move(out));
}

void of_action(const lint::Action& action, const Names& names, Change& change) {
  const QualifiedName table = names.resolve(action.table);
  const auto one = [&](Kind kind, const std::string& name) {
    return Protection{.kind = kind, .table = table, .name = name};
  };
  const bool drops_value = action.command.def == nullptr;
  switch (action.command.subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrig:
      return change.off.push_back(one(Kind::kTrigger, action.name));
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrigAll:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableTrigUser: return change.off.push_back(one(Kind::kTrigger, ""));
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableTrig:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableAlwaysTrig:
      return change.on.push_back(one(Kind::kTrigger, action.name));
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableTrigAll:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableTrigUser: return change.on.push_back(one(Kind::kTrigger, ""));
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableRule:
      return change.off.push_back(one(Kind::kRule, action.name));
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableRule:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableAlwaysRule:
      return change.on.push_back(one(Kind::kRule, action.name));
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableRowSecurity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_NoForceRowSecurity:
      return change.off.push_back(one(Kind::kRowSecurity, ""));
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableRowSecurity:
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ForceRowSecurity:
      return change.on.push_back(one(Kind::kRowSecurity, ""));
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull:
      return change.off.push_back(one(Kind::kNotNull, action.name));
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull:
      return change.on.push_back(one(Kind::kNotNull, action.name));
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault:
      return (drops_value ? change.off : change.on).push_back(one(Kind::kDefault, action.name));
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint:
      if (auto gone = dropped(action, table, names)) change.off.push_back(*std::move(gone));
      return;
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint: return added(action, table, change);
    default: return;
  }
}

void of_drop(const PgQuery__DropStmt& drop, const Names& names, Change& change) {
  for (std::size_t i = 0; i < drop.n_objects; ++i) {
    const auto* list = as<PgQuery__List>(drop.objects[i]);
    if (list == nullptr || list->n_items == 0) continue;
    const QualifiedName name = schema::name_of(list->items, list->n_items);
    Protection one;
    one.maybe = drop.missing_ok;
    switch (drop.remove_type) {
      case PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER: one.kind = Kind::kTrigger; break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_RULE: one.kind = Kind::kRule; break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_POLICY: one.kind = Kind::kPolicy; break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX:
        one.kind = Kind::kIndex;
        one.table = names.resolve_index(name);
        // IF EXISTS, and the whole database has none: nothing is taken off.
        if (names.catalog() == nullptr || names.book().relation_taken(one.table)) change.off.push_back(one);
        continue;
      default: continue;
    }
    one.table = names.resolve(schema::name_of(list->items, list->n_items - 1));
    one.name = name.name;
    change.off.push_back(one);
  }
}

Change change_of(const Statement& statement, const Names& names) {
  Change out;
  const PgQuery__Node* node = statement.node();
  lint::each_action(statement, [&](const lint::Action& action) { of_action(action, names, out); });
  if (const auto* drop = as<PgQuery__DropStmt>(node)) of_drop(*drop, names, out);
  if (const auto* trigger = as<PgQuery__CreateTrigStmt>(node); trigger != nullptr && trigger->relation)
    out.on.push_back({.kind = Kind::kTrigger,
                      .table = names.resolve(schema::name_of(*trigger->relation)),
                      .name = std::string(text_of(trigger->trigname))});
  if (node->node_case == PG_QUERY__NODE__NODE_CREATE_POLICY_STMT)
    out.on.push_back({.kind = Kind::kPolicy,
                      .table = names.resolve(schema::name_of(*node->create_policy_stmt->table)),
                      .name = std::string(text_of(node->create_policy_stmt->policy_name))});
  if (node->node_case == PG_QUERY__NODE__NODE_RULE_STMT)
    out.on.push_back({.kind = Kind::kRule,
                      .table = names.resolve(schema::name_of(*node->rule_stmt->relation)),
                      .name = std::string(text_of(node->rule_stmt->rulename))});
  if (const auto* index = as<PgQuery__IndexStmt>(node); index != nullptr && index->relation != nullptr)
    if (const auto name = text_of(index->idxname); !name.empty())
      out.on.push_back(
          {.kind = Kind::kIndex,
           .table = {names.resolve(schema::name_of(*index->relation)).schema, std::string(name)}});
  return out;
}

bool is_same(const Protection& off, const Protection& on) {
  if (off.kind == Kind::kTrigger && (off.name.empty() || on.name.empty())) return true;
  if (off.name == on.name) return true;
  if (off.kind != Kind::kConstraint) return false;
  if (on.type == 'p') return off.type == 'p';
  return off.type == on.type && !on.columns.empty() && off.columns == on.columns;
}

// Overlapping ones become one: half of it kept together would tear the other.
void merge(std::map<std::size_t, Span>& spans, std::vector<TakenOff> pairs) {
  std::ranges::stable_sort(pairs, {}, &TakenOff::off);
  Span* last = nullptr;
  for (auto& pair : pairs) {
    if (last == nullptr || pair.off > last->last) {
      last = &spans[pair.off];
      last->first = pair.off;
      last->last = pair.on;
    }
    last->last = std::max(last->last, pair.on);
    last->pairs.push_back(std::move(pair));
  }
}

void find_about(const schema::Script& script, const Names& names, Span& span) {
  std::set<std::string> tables;
  for (const auto& pair : span.pairs) {
    tables.insert(pair.what.table.name);
    if (pair.what.kind != Kind::kIndex) continue;
    if (const auto* table = names.table_of_index(pair.what.table)) tables.insert(table->name);
  }
  for (std::size_t i = span.first; i <= span.last; ++i) {
    const Words words = words_of(script.statements[i]);
    const bool part =
        std::ranges::any_of(span.pairs, [&](const TakenOff& pair) { return pair.off == i || pair.on == i; });
    if (part || std::ranges::any_of(tables, [&](const auto& table) { return words.contains(table); }))
      span.about.push_back(i);
  }
}

}  // namespace

std::string to_text(const Protection& one) {
  const std::string table = one.table.to_sql();
  const std::string name = schema::quote_identifier(one.name);
  switch (one.kind) {
    case Kind::kTrigger:
      return one.name.empty() ? "the triggers of " + table : fmt::format("trigger {} of {}", name, table);
    case Kind::kRule: return fmt::format("rule {} of {}", name, table);
    case Kind::kPolicy: return fmt::format("policy {} of {}", name, table);
    case Kind::kRowSecurity: return "row security of " + table;
    case Kind::kNotNull: return fmt::format("NOT NULL of {}.{}", table, name);
    case Kind::kDefault: return fmt::format("the default of {}.{}", table, name);
    case Kind::kConstraint: return fmt::format("constraint {} of {}", name, table);
    case Kind::kIndex: return "index " + table;
  }
  return "";
}

std::map<std::size_t, Span> taken_off(const schema::Script& script, const Names& names) {
  using Key = std::pair<Kind, QualifiedName>;
  std::map<Key, std::vector<std::pair<std::size_t, Protection>>> open;
  std::set<QualifiedName> made;  // by the script: nobody else writes there
  std::vector<TakenOff> pairs;
  for (std::size_t i = 0; i < script.statements.size(); ++i) {
    const Statement& statement = script.statements[i];
    if (const auto* create = as<PgQuery__CreateStmt>(statement.node()); create && !create->if_not_exists)
      made.insert(names.resolve_new(schema::name_of(*create->relation)));
    Change change = change_of(statement, names);
    for (auto& one : change.off)
      if (!made.contains(one.table) && !names.is_new(one.table))
        open[{one.kind, one.table}].emplace_back(i, std::move(one));
    for (const auto& on : change.on) {
      const auto found = open.find({on.kind, on.table});
      if (found == open.end()) continue;
      for (const auto& [off, what] : found->second)
        if (is_same(what, on)) pairs.push_back({what, off, i});
      std::erase_if(found->second, [&](const auto& one) { return is_same(one.second, on); });
    }
  }
  std::map<std::size_t, Span> out;
  merge(out, std::move(pairs));
  for (auto& [first, span] : out) find_about(script, names, span);
  return out;
}

}  // namespace poundlock::migration
