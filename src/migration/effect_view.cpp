// CREATE OR REPLACE VIEW, and its way back: PostgreSQL lets it add columns, and takes none away again.
#include <fmt/format.h>

#include <algorithm>

#include "change/table_sql.h"
#include "migration/do_block.h"
#include "migration/effect.h"
#include "migration/words.h"
#include "schema/tree.h"

namespace poundlock::migration {
namespace {

using change::quoted_table;
using schema::as;
using schema::quote_literal;

// How many columns the text gives the view; nullopt where it does not say so by itself.
std::optional<std::size_t> columns_of(const PgQuery__ViewStmt& create) {
  const auto* select = as<PgQuery__SelectStmt>(create.query);
  while (select != nullptr && select->larg != nullptr) select = select->larg;
  if (select == nullptr) return std::nullopt;
  if (select->n_values_lists > 0) {
    const auto* row = as<PgQuery__List>(select->values_lists[0]);
    return row == nullptr ? std::nullopt : std::optional(row->n_items);
  }
  for (std::size_t i = 0; i < select->n_target_list; ++i) {
    const auto* target = as<PgQuery__ResTarget>(select->target_list[i]);
    if (target == nullptr || target->val == nullptr) return std::nullopt;
    bool star = false;  // of count(*) it is none
    if (const auto* column = as<PgQuery__ColumnRef>(target->val))
      for (std::size_t k = 0; k < column->n_fields; ++k)
        star = star || as<PgQuery__AStar>(column->fields[k]) != nullptr;
    if (const auto* part = as<PgQuery__AIndirection>(target->val))
      for (std::size_t k = 0; k < part->n_indirection; ++k)
        star = star || as<PgQuery__AStar>(part->indirection[k]) != nullptr;
    if (star) return std::nullopt;
  }
  return select->n_target_list;
}

std::string create_again(const schema::Table& view, std::string_view how) {
  std::string options;
  for (const auto& one : view.options) options += (options.empty() ? " WITH (" : ", ") + one;
  std::string text = view.view_definition;
  while (!text.empty() && (text.back() == ';' || text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return fmt::format("{} {}{} AS {}", how, quoted_table(view.qualified()),
                     options.empty() ? "" : options + ")", text);
}

// By the words of the other views: one that rests on it does not let it go.
bool is_read(const schema::Table& view, const schema::Catalog& catalog) {
  return std::ranges::any_of(catalog.tables, [&](const schema::Table& other) {
    if (other.view_definition.empty() || other.qualified() == view.qualified()) return false;
    const auto statement = schema::parse_statement(other.view_definition);
    return !statement || words_of(*statement).contains(view.name);
  });
}

// Dropped and made again, with what goes along: owner, rights, comments and defaults. What default privileges
// give the new one is taken from it first. Rules and triggers have a text that may name the new columns.
std::string dropped_and_made(const schema::Table& view) {
  const std::string name = quoted_table(view.qualified());
  const std::string to =
      "CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(g.grantee::regrole::text) END";
  return do_block(fmt::format(
      "\nDECLARE\n  old_one CONSTANT oid := {1}::regclass;\n  columns CONSTANT int := {2};\n  again text;\n"
      "  given record;\nBEGIN\n"
      "  IF (SELECT count(*) FROM pg_catalog.pg_attribute WHERE attrelid = old_one AND attnum > 0) = columns "
      "THEN\n    {3};\n    RETURN;\n  END IF;\n"
      "  IF EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = old_one) OR EXISTS (SELECT FROM "
      "pg_catalog.pg_rewrite WHERE ev_class = old_one AND rulename <> '_RETURN') THEN\n"
      "    RAISE EXCEPTION USING MESSAGE = {5};\n  END IF;\n"
      "  SELECT pg_catalog.string_agg(one, '; ' ORDER BY place) INTO again FROM (\n"
      "    SELECT 1, pg_catalog.format('ALTER VIEW %s OWNER TO %s', {1}, c.relowner::regrole) FROM "
      "pg_catalog.pg_class c WHERE c.oid = old_one\n"
      "    UNION ALL SELECT 2, pg_catalog.format('GRANT %s ON %s TO %s', g.privilege_type, {1}, {6}) || CASE "
      "WHEN "
      "g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END FROM pg_catalog.pg_class c, "
      "pg_catalog.aclexplode(c.relacl) g WHERE c.oid = old_one\n"
      "    UNION ALL SELECT 2, pg_catalog.format('GRANT %s (%I) ON %s TO %s', g.privilege_type, a.attname, "
      "{1}, "
      "{6}) || CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END FROM pg_catalog.pg_attribute "
      "a, "
      "pg_catalog.aclexplode(a.attacl) g WHERE a.attrelid = old_one AND a.attnum BETWEEN 1 AND columns\n"
      "    UNION ALL SELECT 3, pg_catalog.format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', {1}, "
      "a.attname, "
      "pg_catalog.pg_get_expr(d.adbin, d.adrelid)) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_attrdef "
      "d "
      "ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attrelid = old_one AND a.attnum <= columns\n"
      "    UNION ALL SELECT 4, pg_catalog.format('COMMENT ON VIEW %s IS %L', {1}, "
      "pg_catalog.obj_description(old_one, 'pg_class'))\n"
      "    UNION ALL SELECT 4, pg_catalog.format('COMMENT ON COLUMN %s.%I IS %L', {1}, a.attname, "
      "pg_catalog.col_description(old_one, a.attnum)) FROM pg_catalog.pg_attribute a WHERE a.attrelid = "
      "old_one "
      "AND a.attnum BETWEEN 1 AND columns) made(place, one);\n"
      "  DROP VIEW {0};\n  {4};\n"
      "  FOR given IN SELECT DISTINCT {6} AS grantee FROM pg_catalog.pg_class c, "
      "pg_catalog.aclexplode(c.relacl) g WHERE c.oid = {1}::regclass AND g.grantee <> c.relowner LOOP\n"
      "    EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM %s', {1}, given.grantee);\n  END LOOP;\n"
      "  EXECUTE again;\nEND ",
      name, quote_literal(name), view.columns.size(), create_again(view, "CREATE OR REPLACE VIEW"),
      create_again(view, "CREATE VIEW"),
      quote_literal(
          "the view has columns that its old text has not, and triggers or rules that would go with "
          "it: take them away first"),
      to));
}

}  // namespace

Effect effect_of_replaced_view(const PgQuery__ViewStmt& create, const schema::Table& before,
                               const Names& names) {
  Effect effect;
  if (before.kind != 'v' || before.view_definition.empty()) return effect;
  const auto columns = columns_of(create);
  if (columns && *columns <= before.columns.size())
    effect.undo = {create_again(before, "CREATE OR REPLACE VIEW")};
  else if (!is_read(before, *names.catalog()))
    effect.undo = {dropped_and_made(before)};
  return effect;
}

}  // namespace poundlock::migration
