#include "postgres/catalog_parts.h"

#include <fmt/format.h>

namespace poundlock::postgres {
namespace {

// What schema/catalog_lines calls a relation of pg_class `c`, and its quoted qualified name.
constexpr std::string_view kRelation =
    "CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' "
    "WHEN 'p' THEN 'partitioned table' WHEN 'S' THEN 'sequence' ELSE 'table' END, "
    "pg_catalog.format('%I.%I', n.nspname, c.relname)";
constexpr std::string_view kFunction =
    "'function', pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, "
    "pg_get_function_identity_arguments(p.oid))";
constexpr std::string_view kGrantee =
    "CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_get_userbyid(x.grantee)) END";
constexpr std::string_view kPrivileges =
    "pg_catalog.string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' "
    "END, ', ' ORDER BY x.privilege_type, x.is_grantable)";

std::string from_relations(std::string_view kinds) {
  return fmt::format(
      "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ({}) "
      "AND {} {}",
      kinds, kSchemaFilter, no_extension("pg_class", "c.oid"));
}

constexpr std::string_view kOwned = "'r','p','v','m','f','S'";

// A partition tree is its parents and bounds; a table that inherits may have several parents.
std::string partitions() {
  return fmt::format(
      "SELECT CASE WHEN t.relispartition THEN 'partition' ELSE 'inheritance' END, t.parent, t.kind, t.name, "
      "CASE WHEN t.relispartition THEN 'of ' || t.parent || ' ' || t.bound ELSE 'inherits' END FROM (SELECT "
      "{}, c.relispartition, pg_get_expr(c.relpartbound, c.oid), pg_catalog.format('%I.%I', pn.nspname, "
      "pc.relname) FROM pg_inherits h JOIN pg_class pc ON pc.oid = h.inhparent JOIN pg_namespace pn ON "
      "pn.oid = pc.relnamespace JOIN pg_class c ON c.oid = h.inhrelid JOIN pg_namespace n ON n.oid = "
      "c.relnamespace WHERE c.relkind IN ('r','p','f') AND {} {}) t(kind, name, relispartition, bound, "
      "parent)",
      kRelation, kSchemaFilter, no_extension("pg_class", "c.oid"));
}

// Which extensions a table cannot do without: the types of its columns, its defaults, its indexes.
std::string extension_uses() {
  return fmt::format(
      "SELECT DISTINCT 'extension', pg_catalog.quote_ident(x.extname), {}, 'used' FROM pg_depend d JOIN "
      "pg_depend m ON m.classid = d.refclassid AND m.objid = d.refobjid AND m.deptype = 'e' AND m.refclassid "
      "= 'pg_extension'::regclass JOIN pg_extension x ON x.oid = m.refobjid LEFT JOIN pg_index i ON "
      "d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid LEFT JOIN pg_attrdef f ON d.classid = "
      "'pg_attrdef'::regclass AND f.oid = d.objid JOIN pg_class c ON c.oid = coalesce(i.indrelid, "
      "f.adrelid, d.objid) JOIN pg_namespace n ON n.oid = c.relnamespace WHERE d.classid IN "
      "('pg_class'::regclass, 'pg_attrdef'::regclass) AND c.relkind IN ('r','p','m','f') AND {} {}",
      kRelation, kSchemaFilter, no_extension("pg_class", "c.oid"));
}

// Row security that its owner does not escape is no policy, and decides as one.
std::string policies() {
  return fmt::format(
      "SELECT 'policy', pg_catalog.quote_ident(o.polname), {}, CASE WHEN o.polpermissive THEN 'PERMISSIVE' "
      "ELSE 'RESTRICTIVE' END || CASE o.polcmd WHEN 'r' THEN ' FOR SELECT' WHEN 'a' THEN ' FOR INSERT' WHEN "
      "'w' THEN ' FOR UPDATE' WHEN 'd' THEN ' FOR DELETE' ELSE '' END || ' TO ' || (SELECT "
      "pg_catalog.string_agg(CASE WHEN r.oid = 0 THEN 'PUBLIC' ELSE "
      "pg_catalog.quote_ident(pg_get_userbyid(r.oid)) END, ', ' ORDER BY pg_get_userbyid(r.oid)) FROM "
      "pg_catalog.unnest(o.polroles) r(oid)) || coalesce(' USING ' || pg_get_expr(o.polqual, o.polrelid), "
      "'') || "
      "coalesce(' WITH CHECK ' || pg_get_expr(o.polwithcheck, o.polrelid), '') FROM "
      "pg_policy o JOIN pg_class c ON c.oid = o.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
      "{} UNION ALL SELECT 'policy', 'forced row security', {}, 'also for the owner' {} AND "
      "c.relforcerowsecurity",
      kRelation, kSchemaFilter, kRelation, from_relations("'r','p'"));
}

std::string owners() {
  return fmt::format(
      "SELECT 'owner', '', {}, pg_catalog.quote_ident(pg_get_userbyid(c.relowner)) {} UNION ALL SELECT "
      "'owner', '', {}, pg_catalog.quote_ident(pg_get_userbyid(p.proowner)) FROM pg_proc p JOIN "
      "pg_namespace n ON n.oid = p.pronamespace WHERE {} {} UNION ALL SELECT 'schema', "
      "pg_catalog.quote_ident(n.nspname), '', '', 'owner ' || "
      "pg_catalog.quote_ident(pg_get_userbyid(n.nspowner)) FROM pg_namespace n WHERE {} {}",
      kRelation, from_relations(kOwned), kFunction, kSchemaFilter, no_extension("pg_proc", "p.oid"),
      kSchemaFilter, no_extension("pg_namespace", "n.oid"));
}

// What the owner may do comes with owning; rights on a column stand beside the table's.
std::string grants() {
  return fmt::format(
      "SELECT 'grant', g.grantee, g.kind, g.name, g.privileges FROM (SELECT {}, {}, {} FROM pg_class c JOIN "
      "pg_namespace n ON n.oid = c.relnamespace, pg_catalog.aclexplode(c.relacl) x WHERE c.relkind IN ({}) "
      "AND x.grantee <> c.relowner AND {} {} GROUP BY 1, 2, x.grantee UNION ALL SELECT {}, {} || ' (' || "
      "pg_catalog.quote_ident(a.attname) || ')', {} FROM pg_attribute a JOIN pg_class c ON c.oid = "
      "a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace, pg_catalog.aclexplode(a.attacl) x WHERE "
      "a.attnum > 0 AND NOT a.attisdropped AND x.grantee <> c.relowner AND {} GROUP BY 1, 2, x.grantee, "
      "a.attname UNION ALL SELECT {}, {}, {} FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, "
      "pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) x WHERE x.grantee "
      "<> p.proowner AND {} {} GROUP BY 1, 2, x.grantee UNION ALL SELECT 'schema', "
      "pg_catalog.quote_ident(n.nspname), {}, {} FROM pg_namespace n, pg_catalog.aclexplode(n.nspacl) x "
      "WHERE x.grantee <> n.nspowner AND {} GROUP BY 1, 2, x.grantee) g(kind, name, grantee, privileges)",
      kRelation, kGrantee, kPrivileges, kOwned, kSchemaFilter, no_extension("pg_class", "c.oid"), kRelation,
      kGrantee, kPrivileges, kSchemaFilter, kFunction, kGrantee, kPrivileges, kSchemaFilter,
      no_extension("pg_proc", "p.oid"), kGrantee, kPrivileges, kSchemaFilter);
}

// pg_publication_tables tells rows and columns from PostgreSQL 15 on: through JSON, so that 12 is asked
// alike.
std::string publications() {
  return fmt::format(
      "SELECT 'publication', pg_catalog.quote_ident(b.pubname), '', '', pg_catalog.concat_ws(', ', CASE WHEN "
      "b.puballtables THEN 'all tables' END, CASE WHEN b.pubinsert THEN 'insert' END, CASE WHEN b.pubupdate "
      "THEN 'update' END, CASE WHEN b.pubdelete THEN 'delete' END, CASE WHEN b.pubtruncate THEN 'truncate' "
      "END, CASE WHEN pg_catalog.to_jsonb(b) ->> 'pubviaroot' = 'true' THEN 'via root' END) FROM "
      "pg_publication b WHERE $1::text[] IS NOT NULL UNION ALL SELECT 'publication', "
      "pg_catalog.quote_ident(t.pubname), {}, pg_catalog.concat_ws(' ', 'published', CASE WHEN "
      "pg_catalog.jsonb_array_length(coalesce(pg_catalog.to_jsonb(t) -> 'attnames', '[]')) NOT IN (0, "
      "(SELECT pg_catalog.count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT "
      "a.attisdropped AND a.attgenerated = '')) THEN (pg_catalog.to_jsonb(t) -> 'attnames')::text END, "
      "'WHERE ' || (pg_catalog.to_jsonb(t) ->> 'rowfilter')) FROM pg_publication_tables t JOIN pg_namespace "
      "n ON n.nspname = t.schemaname JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename "
      "WHERE {} AND NOT EXISTS (SELECT FROM pg_publication b WHERE b.pubname = t.pubname AND "
      "b.puballtables)",
      kRelation, kSchemaFilter);
}

// What runs or plans differently, and has no place of its own in the catalog's model.
std::string others() {
  return fmt::format(
      "SELECT 'rule', pg_catalog.quote_ident(r.rulename), {}, pg_get_ruledef(r.oid) || CASE r.ev_enabled "
      "WHEN "
      "'O' THEN '' ELSE ' (enabled: ' || r.ev_enabled::text || ')' END FROM pg_rewrite r JOIN "
      "pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.rulename <> "
      "'_RETURN' AND {} UNION ALL SELECT 'statistics', pg_catalog.quote_ident(s.stxname), {}, "
      "pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s JOIN pg_class c ON c.oid = s.stxrelid JOIN "
      "pg_namespace n ON n.oid = c.relnamespace WHERE {} UNION ALL SELECT 'event trigger', "
      "pg_catalog.quote_ident(v.evtname), '', '', v.evtevent || coalesce(' ' || v.evttags::text, '') || ' ' "
      "|| v.evtfoid::pg_catalog.regprocedure::text || CASE v.evtenabled WHEN 'O' THEN '' ELSE ' (enabled: ' "
      "|| v.evtenabled::text || ')' END FROM pg_event_trigger v WHERE true {}",
      kRelation, kSchemaFilter, kRelation, kSchemaFilter, no_extension("pg_event_trigger", "v.oid"));
}

// Roles that own something here, are granted something or are named by a policy, and those that are members
// of one: an application often logs in as a member, and is granted nothing itself. The others of the server
// as "other role": where the other environment uses one of them, it is here all the same. How many
// connections a role may have is a size.
std::string roles() {
  return "WITH RECURSIVE used(oid) AS (SELECT d.refobjid FROM pg_shdepend d, pg_database b WHERE b.datname = "
         "current_database() AND d.refclassid = 'pg_authid'::regclass AND (d.dbid = b.oid OR (d.dbid = 0 AND "
         "d.classid = 'pg_database'::regclass AND d.objid = b.oid)) UNION SELECT p.oid FROM pg_roles p WHERE "
         "p.rolname IN ('pg_read_all_data', 'pg_write_all_data') UNION SELECT m.member FROM used u JOIN "
         "pg_auth_members m ON m.roleid = u.oid) SELECT CASE WHEN u.oid IS NULL THEN 'other role' ELSE "
         "'role' END, "
         "pg_catalog.quote_ident(r.rolname), '', '', "
         "pg_catalog.concat_ws(', ', CASE WHEN r.rolcanlogin THEN 'login' END, CASE WHEN r.rolsuper THEN "
         "'superuser' END, CASE WHEN NOT r.rolinherit THEN 'no inherit' END, CASE WHEN r.rolcreaterole THEN "
         "'create role' END, CASE WHEN r.rolcreatedb THEN 'create database' END, CASE WHEN r.rolreplication "
         "THEN 'replication' END, CASE WHEN r.rolbypassrls THEN 'bypass row security' END, 'member of ' || "
         "(SELECT pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(g.rolname) COLLATE \"C\", ' ' ORDER "
         "BY pg_catalog.quote_ident(g.rolname) COLLATE \"C\") FROM pg_auth_members m JOIN pg_roles g ON "
         "g.oid "
         "= m.roleid WHERE m.member = r.oid)) FROM pg_roles r LEFT JOIN used u ON u.oid = r.oid WHERE "
         "$1::text[] IS NOT NULL AND (u.oid IS NOT NULL OR r.rolname !~ '^pg_')";
}

}  // namespace

std::string no_extension(std::string_view catalog, std::string_view oid) {
  return fmt::format(
      "AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{}'::regclass AND "
      "e.objid = {} AND e.deptype = 'e')",
      catalog, oid);
}

std::string partition_query() {
  return partitions();
}

std::vector<std::string> part_queries() {
  std::vector<std::string> all{partitions(), extension_uses(), policies(), owners(),
                               grants(),     publications(),   others(),   roles()};
  for (auto& query : environment_queries()) all.push_back(std::move(query));
  return all;
}

}  // namespace poundlock::postgres
