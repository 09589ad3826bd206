#include "postgres/catalog_loader.h"

#include <fmt/format.h>

#include <cstdlib>
#include <unordered_map>

#include "ports/cells.h"
#include "postgres/catalog_parts.h"

namespace poundlock::postgres {
namespace {

using ports::array_literal;
using ports::Sql;
using ports::to_bool;
using ports::to_char;
using ports::to_double;
using ports::to_int;
using ports::to_names;
using ports::to_oid;
using ports::to_text;
using Row = std::vector<ports::Cell>;

// $2 holds schema and table joined by chr(1): a dot or a quote may be part of either name.
constexpr std::string_view kTableFilter =
    "AND (pg_catalog.cardinality($2::text[]) = 0 OR n.nspname || E'\\x01' || c.relname = ANY ($2::text[]))";

// Tables, columns, indexes, constraints and triggers share one choice of relations.
std::string relations(std::string_view kinds) {
  return fmt::format(
      "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ({}) AND "
      "{} {} {}",
      kinds, kSchemaFilter, kTableFilter, no_extension("pg_class", "c.oid"));
}

constexpr std::size_t kPlainQueries = 11;  // those of every catalog; parts come behind them

constexpr std::string_view kKinds = "'r','p','v','m','f'";

std::string tables_query() {
  return "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, pg_get_userbyid(c.relowner), "
         "c.relispartition, CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END, c.relrowsecurity, "
         "c.relreplident, coalesce(pg_catalog.to_json(c.reloptions)::text, '[]'), "
         "CASE WHEN c.relkind IN ('v','m') THEN pg_get_viewdef(c.oid) END, c.reltuples, "
         "CASE WHEN c.relkind IN ('r','m') THEN pg_table_size(c.oid) ELSE 0 END, "
         "coalesce((SELECT pg_catalog.json_agg(a.attname ORDER BY k.place) FROM pg_index i, "
         "pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place), pg_attribute a "
         "WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts AND a.attrelid = c.oid "
         "AND a.attnum = k.attnum)::text, '[]'), c.relkind IN ('r','p') AND row_security_active(c.oid), "
         "EXISTS (SELECT FROM pg_inherits h WHERE (h.inhrelid = c.oid AND NOT c.relispartition) OR "
         "(h.inhparent = c.oid AND c.relkind <> 'p')), "
         "coalesce((SELECT pg_catalog.json_agg(g.part ORDER BY a.attnum, x.grantee, x.privilege_type, "
         "g.place) FROM pg_attribute a, pg_catalog.aclexplode(a.attacl) x, "
         "pg_catalog.unnest(ARRAY[a.attname::text, x.privilege_type, "
         "CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE "
         "pg_catalog.quote_ident(pg_get_userbyid(x.grantee)) END || CASE WHEN x.is_grantable THEN "
         "' WITH GRANT OPTION' ELSE '' END]) WITH ORDINALITY AS g(part, place) WHERE a.attrelid = c.oid "
         "AND a.attnum > 0 AND NOT a.attisdropped)::text, '[]'), "
         "CASE WHEN c.relispartition THEN (SELECT pg_catalog.json_build_array(pn.nspname, p.relname)::text "
         "FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent JOIN pg_namespace pn ON pn.oid = "
         "p.relnamespace WHERE h.inhrelid = c.oid) ELSE '[]' END " +
         relations(kKinds) + " ORDER BY n.nspname, c.relname";
}

std::string columns_query() {
  return "SELECT a.attrelid, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, "
         "pg_get_expr(d.adbin, d.adrelid), a.attgenerated, a.attidentity, "
         "CASE WHEN a.attcollation <> 0 AND a.attcollation <> t.typcollation THEN (SELECT "
         "pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(co.collname) FROM pg_collation "
         "co "
         "JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) END "
         "FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = "
         "a.attrelid AND d.adnum = a.attnum WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid IN "
         "(SELECT c.oid " +
         relations(kKinds) + ") ORDER BY a.attrelid, a.attnum";
}

std::string indexes_query() {
  return "SELECT i.indrelid, x.oid, x.relname, pg_get_indexdef(x.oid), coalesce((SELECT pg_catalog.json_agg("
         "coalesce(a.attname, '') ORDER BY k.place) FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY "
         "AS "
         "k(attnum, place) LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND "
         "k.attnum > 0)::text, '[]'), i.indisunique, i.indisprimary, i.indisvalid AND i.indislive, "
         "i.indisready, "
         "pg_get_expr(i.indpred, i.indrelid), CASE WHEN x.relkind = 'i' THEN pg_relation_size(x.oid) ELSE 0 "
         "END "
         "FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid IN (SELECT c.oid " +
         relations(kKinds) + ") ORDER BY i.indrelid, x.relname";
}

std::string constraints_query() {
  return "SELECT k.conrelid, k.oid, k.conname, k.contype, pg_get_constraintdef(k.oid), coalesce((SELECT "
         "pg_catalog.json_agg(a.attname ORDER BY u.place) FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY "
         "AS "
         "u(attnum, place) JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum)::text, "
         "'[]'), "
         "k.convalidated, CASE WHEN k.confrelid <> 0 THEN (SELECT pg_catalog.quote_ident(fn.nspname) || '.' "
         "|| "
         "pg_catalog.quote_ident(f.relname) FROM pg_class f JOIN pg_namespace fn ON fn.oid = f.relnamespace "
         "WHERE f.oid = k.confrelid) END FROM pg_constraint k WHERE k.conrelid IN (SELECT c.oid " +
         relations(kKinds) + ") ORDER BY k.conrelid, k.conname";
}

std::string triggers_query() {
  return "SELECT t.tgrelid, t.oid, t.tgname, pg_get_triggerdef(t.oid), (SELECT "
         "pg_catalog.quote_ident(fn.nspname) "
         "|| '.' || pg_catalog.quote_ident(p.proname) FROM pg_proc p JOIN pg_namespace fn ON fn.oid = "
         "p.pronamespace WHERE p.oid = t.tgfoid), t.tgenabled FROM pg_trigger t WHERE NOT t.tgisinternal AND "
         "t.tgrelid IN (SELECT c.oid " +
         relations(kKinds) + ") ORDER BY t.tgrelid, t.tgname";
}

std::string sequences_query() {
  return fmt::format(
      "SELECT n.nspname, c.relname, format_type(s.seqtypid, NULL), s.seqincrement, s.seqcycle, (SELECT "
      "pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.relname) || '.' || "
      "pg_catalog.quote_ident(a.attname) FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid JOIN "
      "pg_namespace "
      "tn ON tn.oid = t.relnamespace JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid "
      "WHERE "
      "d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND "
      "d.deptype "
      "IN ('a','i') LIMIT 1), nullif(s.seqmin, CASE WHEN s.seqincrement > 0 THEN 1 ELSE k.lowest END), "
      "nullif(s.seqmax, CASE WHEN s.seqincrement > 0 THEN k.highest ELSE -1 END), nullif(s.seqstart, CASE "
      "WHEN "
      "s.seqincrement > 0 THEN s.seqmin ELSE s.seqmax END) FROM pg_sequence s CROSS JOIN LATERAL (SELECT "
      "CASE "
      "s.seqtypid WHEN 'int2'::regtype THEN -32768 WHEN 'int4'::regtype THEN -2147483648 ELSE "
      "-9223372036854775808 END, CASE s.seqtypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN "
      "2147483647 ELSE 9223372036854775807 END) k(lowest, highest) JOIN pg_class c ON c.oid = s.seqrelid "
      "JOIN pg_namespace n ON "
      "n.oid "
      "= c.relnamespace WHERE {} {} ORDER BY 1, 2",
      kSchemaFilter, no_extension("pg_class", "c.oid"));
}

std::string functions_query() {
  return fmt::format(
      "SELECT p.oid, n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), p.prokind, CASE WHEN "
      "p.prokind IN ('f','p','w') THEN pg_get_functiondef(p.oid) ELSE '' END FROM pg_proc p JOIN "
      "pg_namespace n "
      "ON n.oid = p.pronamespace WHERE {} {} ORDER BY 2, 3, 4",
      kSchemaFilter, no_extension("pg_proc", "p.oid"));
}

// Names alone, of extensions' too: what only a search_path finds.
std::string unqualified_query() {
  return "SELECT proname FROM pg_proc WHERE pronamespace NOT IN ('pg_catalog'::regnamespace, "
         "'information_schema'::regnamespace) UNION SELECT typname FROM pg_type WHERE typtype <> 'c' AND "
         "typnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, "
         "'pg_toast'::regnamespace)";
}

std::string types_query() {
  return fmt::format(
      "SELECT n.nspname, t.typname, t.typtype, CASE t.typtype WHEN 'e' THEN (SELECT pg_catalog.string_agg("
      "pg_catalog.quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE "
      "e.enumtypid = "
      "t.oid) WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) || CASE WHEN t.typnotnull THEN ' NOT "
      "NULL' "
      "ELSE '' END || coalesce(' DEFAULT ' || t.typdefault, '') || coalesce((SELECT ' ' || "
      "pg_catalog.string_agg("
      "pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname) FROM pg_constraint k WHERE k.contypid = t.oid), "
      "'') "
      "WHEN 'r' THEN (SELECT format_type(r.rngsubtype, NULL) FROM pg_range r WHERE r.rngtypid = t.oid) ELSE "
      "(SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname) || ' ' || format_type(a.atttypid, "
      "a.atttypmod), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum "
      "> 0 "
      "AND NOT a.attisdropped) END FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE "
      "(t.typtype "
      "IN ('e','d','r') OR (t.typtype = 'c' AND (SELECT c.relkind FROM pg_class c WHERE c.oid = t.typrelid) "
      "= 'c'))"
      " AND {} {} ORDER BY 1, 2",
      kSchemaFilter, no_extension("pg_type", "t.oid"));
}

schema::Table read_table(const Row& r) {
  schema::Table table;
  table.oid = to_oid(r[0]);
  table.schema = to_text(r[1]);
  table.name = to_text(r[2]);
  table.kind = to_char(r[3], 'r');
  table.persistence = to_char(r[4], 'p');
  table.owner = to_text(r[5]);
  table.is_partition = to_bool(r[6]);
  table.partition_key = to_text(r[7]);
  table.row_security = to_bool(r[8]);
  table.replica_identity = to_char(r[9], 'd');
  table.options = to_names(r[10]);
  table.view_definition = to_text(r[11]);
  table.estimated_rows = to_double(r[12]);
  table.bytes = to_int(r[13]);
  table.primary_key = to_names(r[14]);
  table.policies_apply = to_bool(r[15]);
  table.inherits = to_bool(r[16]);
  const auto grants = to_names(r[17]);
  for (std::size_t i = 0; i + 2 < grants.size(); i += 3)
    table.column_grants.push_back({grants[i], grants[i + 1], grants[i + 2]});
  if (const auto parent = to_names(r[18]); parent.size() == 2) table.partition_of = {parent[0], parent[1]};
  return table;
}

schema::Column read_column(const Row& r) {
  schema::Column column;
  column.attnum = static_cast<int>(to_int(r[1]));
  column.name = to_text(r[2]);
  column.type = to_text(r[3]);
  column.not_null = to_bool(r[4]);
  if (r[5]) column.default_expr = *r[5];
  column.generated = to_text(r[6]);
  column.identity = to_text(r[7]);
  column.collation = to_text(r[8]);
  return column;
}

schema::Index read_index(const Row& r) {
  schema::Index index;
  index.oid = to_oid(r[1]);
  index.name = to_text(r[2]);
  index.definition = to_text(r[3]);
  index.columns = to_names(r[4]);
  index.unique = to_bool(r[5]);
  index.primary = to_bool(r[6]);
  index.valid = to_bool(r[7]);
  index.ready = to_bool(r[8]);
  index.predicate = to_text(r[9]);
  index.bytes = to_int(r[10]);
  return index;
}

schema::Constraint read_constraint(const Row& r) {
  schema::Constraint constraint;
  constraint.oid = to_oid(r[1]);
  constraint.name = to_text(r[2]);
  constraint.kind = to_char(r[3], 'c');
  constraint.definition = to_text(r[4]);
  constraint.columns = to_names(r[5]);
  constraint.validated = to_bool(r[6]);
  constraint.references = to_text(r[7]);
  return constraint;
}

// Hangs each row below the table whose oid is in its first cell. A table that vanished between two
// queries has no entry; its rows are dropped.
template <typename Item, typename Read>
void attach(schema::Catalog& catalog, const std::unordered_map<std::uint32_t, std::size_t>& by_oid,
            const ports::Rows& rows, std::vector<Item> schema::Table::*list, Read read) {
  for (const auto& row : rows.rows) {
    auto found = by_oid.find(to_oid(row[0]));
    if (found != by_oid.end()) (catalog.tables[found->second].*list).push_back(read(row));
  }
}

void read_loose_objects(schema::Catalog& catalog, const std::vector<ports::Rows>& answers) {
  for (const auto& r : answers[6].rows) {
    const auto bound = [&](std::size_t at) {
      return r[at] ? std::optional<std::int64_t>(to_int(r[at])) : std::nullopt;
    };
    catalog.sequences.push_back({to_text(r[0]), to_text(r[1]), to_text(r[2]), to_int(r[3]), to_bool(r[4]),
                                 to_text(r[5]), bound(6), bound(7), bound(8)});
  }
  for (const auto& r : answers[7].rows) {
    catalog.functions.push_back(
        {to_oid(r[0]), to_text(r[1]), to_text(r[2]), to_text(r[3]), to_char(r[4], 'f'), to_text(r[5])});
  }
  for (const auto& r : answers[8].rows) {
    catalog.types.push_back({to_text(r[0]), to_text(r[1]), to_char(r[2], 'e'), to_text(r[3])});
  }
  for (const auto& r : answers[9].rows) catalog.extensions.push_back({to_text(r[0]), to_text(r[1])});
  for (const auto& r : answers[10].rows) catalog.beyond_pg_catalog.insert(to_text(r[0]));
}

}  // namespace

Result<schema::Catalog> load_catalog(ports::Session& session, const CatalogFilter& filter) {
  std::vector<std::string> tables;
  for (const auto& name : filter.tables) tables.push_back(name.schema + "\x01" + name.name);
  const ports::Cell schemas = array_literal(filter.schemas);
  const ports::Cell names = array_literal(tables);
  std::vector<Sql> queries{{"SELECT current_setting('server_version_num'), current_database()", {}},
                           {tables_query(), {schemas, names}},
                           {columns_query(), {schemas, names}},
                           {indexes_query(), {schemas, names}},
                           {constraints_query(), {schemas, names}},
                           {triggers_query(), {schemas, names}},
                           {sequences_query(), {schemas}},
                           {functions_query(), {schemas}},
                           {types_query(), {schemas}},
                           {"SELECT extname, extversion FROM pg_extension ORDER BY 1", {}},
                           {unqualified_query(), {}}};
  if (filter.whole)
    for (auto& query : part_queries()) queries.push_back({std::move(query), {schemas}});
  else if (filter.bounds)
    queries.push_back({partition_query(), {schemas}});
  PL_TRY(const auto answers, session.pipeline(queries));

  schema::Catalog catalog;
  catalog.server_version_num = static_cast<int>(to_int(answers[0].rows.at(0)[0]));
  catalog.database = to_text(answers[0].rows.at(0)[1]);
  std::unordered_map<std::uint32_t, std::size_t> by_oid;
  for (const auto& row : answers[1].rows) {
    catalog.tables.push_back(read_table(row));
    by_oid[catalog.tables.back().oid] = catalog.tables.size() - 1;
  }
  attach(catalog, by_oid, answers[2], &schema::Table::columns, read_column);
  attach(catalog, by_oid, answers[3], &schema::Table::indexes, read_index);
  attach(catalog, by_oid, answers[4], &schema::Table::constraints, read_constraint);
  attach(catalog, by_oid, answers[5], &schema::Table::triggers, [](const Row& r) {
    return schema::Trigger{to_oid(r[1]), to_text(r[2]), to_text(r[3]), to_text(r[4]), to_char(r[5], 'O')};
  });
  read_loose_objects(catalog, answers);
  for (std::size_t i = kPlainQueries; i < answers.size(); ++i)
    for (const auto& r : answers[i].rows)
      catalog.parts.push_back({to_text(r[0]), to_text(r[1]), to_text(r[2]), to_text(r[3]), to_text(r[4])});
  return catalog;
}

}  // namespace poundlock::postgres
