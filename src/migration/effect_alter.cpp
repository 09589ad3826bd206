// ALTER TABLE, action by action.
#include <fmt/format.h>

#include "change/table_sql.h"
#include "change/type_facts.h"
#include "lint/columns.h"
#include "migration/effect.h"
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

// A user's own type is found through search_path, which a probe must not depend on: there the name decides.
Effect add_column(const Site& site) {
  const auto* column = as<PgQuery__ColumnDef>(site.action.command.def);
  if (column == nullptr) return {};
  const std::string name(text_of(column->colname));
  std::string condition = "true";
  if (column->type_name != nullptr) {
    const auto type = lint::type_spec(*column->type_name);
    condition = fmt::format(
        "a.atttypid = COALESCE(pg_catalog.to_regtype({}), a.atttypid)",
        quote_literal("pg_catalog." + schema::quote_identifier(type.name) + (type.array ? "[]" : "")));
  }
  Effect effect;
  effect.probe = attribute_probe(site.table, name, condition);
  const bool may_be_older =
      site.action.command.missing_ok && !site.names.is_new(site.table) &&
      (site.names.catalog() == nullptr || site.names.column(site.table, name) != nullptr);
  if (!may_be_older)
    effect.undo = {fmt::format("{} DROP COLUMN IF EXISTS {}", site.alter(), force_quote_identifier(name))};
  return effect;
}

// Backslashes stay as they are in what pg_get_expr() prints.
std::string expression_literal(std::string_view value) {
  std::string out = "'";
  for (const char c : value) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

// pg_get_expr() prints 'x' as 'x'::text, and 5 as 5 or '5'::bigint.
std::string constant_default(const PgQuery__AConst& value, std::string_view text) {
  std::string literal(text);
  if (value.val_case == PG_QUERY__A__CONST__VAL_SVAL) literal = expression_literal(text_of(value.sval->sval));
  const std::string quoted = literal.starts_with('\'') ? literal : "'" + literal + "'";
  return fmt::format(
      "EXISTS (SELECT FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND "
      "(pg_catalog.pg_get_expr(d.adbin, d.adrelid) IN ({0}, {1}) OR "
      "pg_catalog.starts_with(pg_catalog.pg_get_expr(d.adbin, d.adrelid), {2})))",
      quote_literal(literal), quote_literal(quoted), quote_literal(quoted + "::"));
}

Effect column_default(const Site& site) {
  const schema::Column* before = site.names.column(site.table, site.action.name);
  Effect effect;
  if (site.action.command.def == nullptr) {
    effect.probe = attribute_probe(site.table, site.action.name, "NOT a.atthasdef");
  } else if (const auto* constant = as<PgQuery__AConst>(site.action.command.def);
             constant && !constant->isnull) {
    const std::string_view action = site.statement.slice(site.action.range);
    const auto at = action.rfind(' ');
    effect.probe =
        attribute_probe(site.table, site.action.name,
                        constant_default(*constant, action.substr(at == action.npos ? 0 : at + 1)));
  } else if (site.names.is_new_column(site.table, site.action.name) || (before && !before->default_expr)) {
    effect.probe = attribute_probe(site.table, site.action.name, "a.atthasdef");
  }
  const std::string column = fmt::format("{} ALTER COLUMN {}", site.alter(), site.column());
  if (before != nullptr && before->default_expr)
    effect.undo = {fmt::format("{} SET DEFAULT {}", column, *before->default_expr)};
  else if (before != nullptr || site.names.is_new_column(site.table, site.action.name))
    effect.undo = {column + " DROP DEFAULT"};
  return effect;
}

Effect add_constraint(const Site& site) {
  const auto* constraint = as<PgQuery__Constraint>(site.action.command.def);
  const std::string name(constraint == nullptr ? "" : text_of(constraint->conname));
  if (name.empty()) return {};
  Effect effect;
  effect.probe = constraint_probe(site.table, name, constraint->skip_validation ? "true" : "k.convalidated");
  effect.undo = {fmt::format("{} DROP CONSTRAINT IF EXISTS {}", site.alter(), force_quote_identifier(name))};
  return effect;
}

Effect drop_constraint(const Site& site) {
  Effect effect;
  effect.probe = fmt::format("SELECT NOT ({})", constraint_probe(site.table, site.action.name, "true"));
  const schema::Table* table = site.names.table(site.table);
  const schema::Constraint* before = table == nullptr ? nullptr : table->constraint(site.action.name);
  if (before != nullptr && (before->kind == 'c' || before->kind == 'f'))
    effect.undo = {fmt::format("{} ADD CONSTRAINT {} {}{}", site.alter(), site.column(), before->definition,
                               before->validated ? " NOT VALID" : "")};
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
      "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relname = {} AND NOT "
      "h.inhdetachpending)",
      quote_literal(child.schema), quote_literal(child.name));
  Effect effect;
  effect.probe = (attach ? "SELECT " : "SELECT NOT ") + there;
  if (attach) effect.undo = {fmt::format("{} DETACH PARTITION {}", site.alter(), quoted_table(child))};
  return effect;
}

Effect row_security(const Site& site, bool on) {
  return {.probe =
              fmt::format("SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                          "ON n.oid = c.relnamespace WHERE n.nspname = {} AND c.relname = {} AND {}"
                          "c.relrowsecurity)",
                          quote_literal(site.table.schema), quote_literal(site.table.name), on ? "" : "NOT "),
          .undo = {fmt::format("{} {} ROW LEVEL SECURITY", site.alter(), on ? "DISABLE" : "ENABLE")}};
}

Effect of_action(const Site& site) {
  const std::string& name = site.action.name;
  switch (site.action.command.subtype) {
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn: return add_column(site);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ColumnDefault: return column_default(site);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_SetNotNull:
      return {.probe = attribute_probe(site.table, name, "a.attnotnull"),
              .undo = {fmt::format("{} ALTER COLUMN {} DROP NOT NULL", site.alter(), site.column())}};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropNotNull:
      return {.probe = attribute_probe(site.table, name, "NOT a.attnotnull"), .undo = {}};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropColumn:
      return {.probe = change::column_absent_probe(site.table, name), .undo = {}, .destructive = true};
    case PG_QUERY__ALTER_TABLE_TYPE__AT_AddConstraint: return add_constraint(site);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_DropConstraint: return drop_constraint(site);
    case PG_QUERY__ALTER_TABLE_TYPE__AT_ValidateConstraint:
      return {.probe = constraint_probe(site.table, name, "k.convalidated"), .undo = {}};
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
  bool known = true;  // one action that the catalog does not tell of leaves the whole statement to the ledger
  lint::each_action(statement, [&](const lint::Action& action) {
    Effect one = of_action({action, statement, names, names.resolve(action.table)});
    known = known && !one.probe.empty();
    all.probe = both(all.probe, one.probe);
    all.undo.insert(all.undo.begin(), one.undo.begin(), one.undo.end());
    all.destructive = all.destructive || one.destructive;
  });
  if (!known) all.probe.clear();
  return all;
}

}  // namespace poundlock::migration
