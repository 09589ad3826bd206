// ALTER TABLE, action by action.
#include <fmt/format.h>

#include <tuple>

#include "change/table_sql.h"
#include "change/type_facts.h"
#include "lint/columns.h"
#include "migration/check_text.h"
#include "migration/effect.h"
#include "migration/effect_probe.h"
#include "migration/effect_same.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using change::attribute_probe;
using change::constraint_probe;
using change::quoted_table;
using schema::as;
using schema::force_quote_identifier;
using schema::QualifiedName;
using schema::quote_literal;
using schema::text_of;

struct Site {
  const lint::Action& action;
  const schema::Statement& statement;
  const Names& names;
  QualifiedName table;
  std::string alter() const { return "ALTER TABLE " + quoted_table(table); }
  std::string column() const { return force_quote_identifier(action.name); }
};

Effect add_column(const Site& site) {
  const auto* column = as<PgQuery__ColumnDef>(site.action.command.def);
  if (column == nullptr) return {};
  const std::string name(text_of(column->colname));
  std::string condition = "true";
  if (column->type_name != nullptr && !site.action.command.missing_ok) condition = same_column(*column);
  Effect effect;
  effect.probe = attribute_probe(site.table, name, condition);
  const bool may_be_older =
      site.action.command.missing_ok && !site.names.is_new(site.table) &&
      (site.names.catalog() == nullptr || site.names.column(site.table, name) != nullptr);
  if (!may_be_older)
    effect.undo = {fmt::format("{} DROP COLUMN IF EXISTS {}", site.alter(), force_quote_identifier(name))};
  effect.leaves_nothing = may_be_older && site.names.catalog() != nullptr;
  return effect;
}

// Backslashes stay as they are in what pg_get_expr() prints.
std::string expression_literal(std::string_view value) {
  std::string out = "'";
  for (const char c : value) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

// pg_get_expr() prints 'x' as 'x'::text, and 5 as 5 or '5'::bigint.
std::string constant_default(const PgQuery__AConst& value) {
  const std::string literal = value.val_case == PG_QUERY__A__CONST__VAL_SVAL
                                  ? expression_literal(text_of(value.sval->sval))
                                  : std::to_string(value.ival->ival);
  const std::string quoted = literal.starts_with('\'') ? literal : "'" + literal + "'";
  return fmt::format(
      "EXISTS (SELECT FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND "
      "(pg_catalog.pg_get_expr(d.adbin, d.adrelid) IN ({0}, {1}) OR "
      "pg_catalog.starts_with(pg_catalog.pg_get_expr(d.adbin, d.adrelid), {2})))",
      quote_literal(literal), quote_literal(quoted), quote_literal(quoted + "::"));
}

bool is_null(const PgQuery__Node* value) {
  while (const auto* cast = as<PgQuery__TypeCast>(value)) value = cast->arg;
  const auto* constant = as<PgQuery__AConst>(value);
  return constant != nullptr && constant->isnull;
}

// Most types print a constant as they keep it: 'epoch' as '1970-01-01'::date, 1.239 as 1.24. Who looks for
// what was written finds it never.
bool kept_as_written(const PgQuery__AConst& value, std::string_view type) {
  if (value.val_case == PG_QUERY__A__CONST__VAL_IVAL)
    return type == "integer" || type == "bigint" || type == "smallint";
  return value.val_case == PG_QUERY__A__CONST__VAL_SVAL &&
         (type == "text" || type.starts_with("character varying"));
}

Effect column_default(const Site& site) {
  const schema::Column* before = site.names.column(site.table, site.action.name);
  Effect effect;
  if (site.action.command.def == nullptr) {
    effect.probe = attribute_probe(site.table, site.action.name, "NOT a.atthasdef");
  } else if (is_null(site.action.command.def)) {
    // NULL is mostly kept as no default at all, and of a domain as one: the ledger tells.
  } else if (site.names.is_new_column(site.table, site.action.name) || (before && !before->default_expr)) {
    effect.probe = attribute_probe(
        site.table, site.action.name,
        "EXISTS (SELECT FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum "
        "AND " +
            printed_as("pg_catalog.pg_get_expr(d.adbin, d.adrelid)", site.action.command.def) + ")");
  } else if (const auto* constant = as<PgQuery__AConst>(site.action.command.def);
             constant && before && kept_as_written(*constant, before->type)) {
    effect.probe = attribute_probe(site.table, site.action.name, constant_default(*constant));
  }
  const std::string column = fmt::format("{} ALTER COLUMN {}", site.alter(), site.column());
  const auto earlier = site.names.default_set(site.table, site.action.name);
  const bool fresh = site.names.is_new_column(site.table, site.action.name);
  if (earlier && !earlier->empty())
    effect.undo = {fmt::format("{} SET DEFAULT {}", column, *earlier)};
  else if (!earlier && before != nullptr && before->default_expr)
    effect.undo = {fmt::format("{} SET DEFAULT {}", column, *before->default_expr)};
  else if (site.action.command.def != nullptr && (earlier || before != nullptr || fresh))
    effect.undo = {column + " DROP DEFAULT"};
  effect.leaves_nothing = effect.undo.empty() && (earlier || before != nullptr);
  return effect;
}

std::string names_array(PgQuery__Node* const* nodes, std::size_t count) {
  std::string out;
  for (const auto& one : schema::strings(nodes, count)) out += (out.empty() ? "" : ", ") + quote_literal(one);
  return "ARRAY[" + out + "]::text[]";
}

// What tells the wanted constraint from another one of its name, so far as the catalog tells it.
std::string constraint_traits(const PgQuery__Constraint& constraint, const Site& site) {
  const auto over = [](const std::string& columns) {
    return fmt::format(
        " AND ARRAY(SELECT (SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = k.conrelid "
        "AND "
        "a.attnum = key.attnum)::text FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY key(attnum, place) "
        "ORDER BY key.place) = {}",
        columns);
  };
  switch (constraint.contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK: return " AND " + check_condition(constraint, site.table.name);
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN: return same_foreign_key(constraint, site.names);
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY:
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE: {
      const bool primary = constraint.contype == PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY;
      const std::string kind = fmt::format(
          " AND k.contype = '{}' AND k.condeferrable = {} AND k.condeferred = {}", primary ? 'p' : 'u',
          constraint.deferrable ? "true" : "false", constraint.initdeferred ? "true" : "false");
      return constraint.n_keys == 0 ? kind : kind + over(names_array(constraint.keys, constraint.n_keys));
    }
    default: return "";
  }
}

Effect add_constraint(const Site& site) {
  const auto* constraint = as<PgQuery__Constraint>(site.action.command.def);
  const std::string name(constraint == nullptr ? "" : text_of(constraint->conname));
  if (name.empty()) return {};
  Effect effect;
  effect.probe = constraint_probe(
      site.table, name,
      (constraint->skip_validation ? "true" : "k.convalidated") + constraint_traits(*constraint, site));
  effect.undo = {fmt::format("{} DROP CONSTRAINT IF EXISTS {}", site.alter(), force_quote_identifier(name))};
  return effect;
}

Effect drop_constraint(const Site& site) {
  Effect effect;
  effect.probe = fmt::format("SELECT NOT ({})", constraint_probe(site.table, site.action.name, "true"));
  const schema::Table* table = site.names.table(site.table);
  const schema::Constraint* before = table == nullptr ? nullptr : table->constraint(site.action.name);
  if (before != nullptr && (before->kind == 'c' || before->kind == 'f'))
    effect.undo = {fmt::format("{} DROP CONSTRAINT IF EXISTS {}", site.alter(), site.column()),
                   fmt::format("{} ADD CONSTRAINT {} {}{}", site.alter(), site.column(), before->definition,
                               before->validated ? " NOT VALID" : "")};
  // Proved behind it, and by itself: the rows are read while writers go on.
  if (!effect.undo.empty() && before->validated) {
    effect.undo.push_back(fmt::format("{} VALIDATE CONSTRAINT {}", site.alter(), site.column()));
    effect.undo_standalone = true;
  }
  return effect;
}

Effect type_change(const Site& site) {
  const auto* column = as<PgQuery__ColumnDef>(site.action.command.def);
  if (column == nullptr || column->type_name == nullptr) return {};
  const auto type = lint::type_spec(*column->type_name);
  std::string name = type.name;
  for (std::size_t i = 0; i < type.mods.size(); ++i)
    name += fmt::format("{}{}", i == 0 ? "(" : ",", type.mods[i]);
  if (!type.mods.empty()) name += ")";
  if (type.array) name += "[]";
  return {.probe = attribute_probe(site.table, site.action.name,
                                   fmt::format("pg_catalog.format_type(a.atttypid, a.atttypmod) = {}",
                                               quote_literal(change::canonical_type(name)))),
          .undo = {}};
}

Effect partition(const Site& site, bool attach) {
  const auto* command = as<PgQuery__PartitionCmd>(site.action.command.def);
  if (command == nullptr || command->name == nullptr) return {};
  const QualifiedName child = site.names.resolve(schema::name_of(*command->name));
  const std::string there = fmt::format(
      "EXISTS (SELECT FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid JOIN "
      "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relname = {}{})",
      quote_literal(child.schema), quote_literal(child.name),
      attach ? " AND NOT h.inhdetachpending" : "");  // a DETACH that was interrupted is not done
  Effect effect;
  effect.probe = (attach ? "SELECT " : "SELECT NOT ") + there;
  // What CONCURRENTLY left half-way cannot be begun again, and can only be finished.
  if (!attach && command->concurrent) {
    effect.repair = fmt::format("{} DETACH PARTITION {} FINALIZE", site.alter(), quoted_table(child));
    effect.repair_when = "SELECT " + there.substr(0, there.size() - 1) + " AND h.inhdetachpending)";
  }
  // An index stays attached as long as there is its parent's.
  const auto* alter = as<PgQuery__AlterTableStmt>(site.statement.node());
  const bool index = alter != nullptr && alter->objtype == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX;
  if (attach && !index)
    effect.undo = {fmt::format("{} DETACH PARTITION {}", site.alter(), quoted_table(child))};
  return effect;
}

Effect row_security(const Site& site, bool on) {
  // Taken back where it was so before, every row would lie open, or none be seen.
  const schema::Table* before = site.names.table(site.table);
  const bool changes = site.names.is_new(site.table) || (before != nullptr && before->row_security != on);
  Effect effect{.probe = fmt::format(
                    "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                    "ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relname = {} AND {}"
                    "c.relrowsecurity)",
                    quote_literal(site.table.schema), quote_literal(site.table.name), on ? "" : "NOT "),
                .undo = {}};
  if (changes)
    effect.undo = {fmt::format("{} {} ROW LEVEL SECURITY", site.alter(), on ? "DISABLE" : "ENABLE")};
  effect.leaves_nothing = before != nullptr && !changes;
  return effect;
}

Effect set_not_null(const Site& site) {
  Effect effect{.probe = attribute_probe(site.table, site.action.name, "a.attnotnull"), .undo = {}};
  const schema::Column* before = site.names.column(site.table, site.action.name);
  const bool was =
      before != nullptr && before->not_null && !site.names.is_dropped_column(site.table, site.action.name);
  if (!was) effect.undo = {fmt::format("{} ALTER COLUMN {} DROP NOT NULL", site.alter(), site.column())};
  effect.leaves_nothing = was;
  return effect;
}

Effect of_action(const Site& site) {
  const std::string& name = site.action.name;
  switch (site.action.command.subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn: return add_column(site);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault: return column_default(site);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull: return set_not_null(site);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull:
      return {.probe = attribute_probe(site.table, name, "NOT a.attnotnull"), .undo = {}};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn:
      return {.probe = change::column_absent_probe(site.table, name), .undo = {}, .destructive = true};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint: return add_constraint(site);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint: return drop_constraint(site);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint:
      return {
          .probe = constraint_probe(site.table, name, "k.convalidated"), .undo = {}, .leaves_nothing = true};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AlterColumnType: return type_change(site);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AttachPartition: return partition(site, true);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DetachPartition: return partition(site, false);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_EnableRowSecurity: return row_security(site, true);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DisableRowSecurity: return row_security(site, false);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddIdentity:
      return {
          .probe = attribute_probe(site.table, name, "a.attidentity <> ''"),
          .undo = {fmt::format("{} ALTER COLUMN {} DROP IDENTITY IF EXISTS", site.alter(), site.column())}};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropIdentity:
      return {.probe = attribute_probe(site.table, name, "a.attidentity = ''"), .undo = {}};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropExpression:
      return {.probe = attribute_probe(site.table, name, "a.attgenerated = ''"), .undo = {}};
    default: return {};
  }
}

}  // namespace

Effect effect_of_alter(const schema::Statement& statement, const Names& names) {
  Effect all;
  bool whole = true;  // half of it taken back would be neither the one nor the other
  bool known = true;  // one action that the catalog does not tell of leaves the whole statement to the ledger
  lint::each_action(statement, [&](const lint::Action& action) {
    Effect one = of_action({action, statement, names, names.resolve(action.table)});
    known = known && !one.probe.empty();
    whole = whole && (!one.undo.empty() || one.leaves_nothing);
    all.probe = both(all.probe, one.probe);
    all.undo.insert(all.undo.begin(), one.undo.begin(), one.undo.end());
    all.undo_standalone = all.undo_standalone || one.undo_standalone;
    all.destructive = all.destructive || one.destructive;
    if (!one.repair.empty()) std::tie(all.repair, all.repair_when) = std::tie(one.repair, one.repair_when);
  });
  if (!known) all.probe.clear();
  if (!whole) all.undo.clear();
  all.leaves_nothing = whole && all.undo.empty();
  return all;
}

}  // namespace poundlock::migration
