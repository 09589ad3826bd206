// What decides how a schema behaves and is no relation: rights that come by default, where foreign data comes
// from, what acts for foreign keys. The same answers as the other queries of catalog_parts.
#include <fmt/format.h>

#include "postgres/catalog_parts.h"

namespace poundlock::postgres {
namespace {

constexpr std::string_view kTable =
    "CASE c.relkind WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' WHEN 'p' THEN "
    "'partitioned table' ELSE 'table' END, pg_catalog.format('%I.%I', n.nspname, c.relname)";
constexpr std::string_view kGrantee =
    "CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_get_userbyid(x.grantee)) END";
constexpr std::string_view kPrivileges =
    "pg_catalog.string_agg(x.privilege_type || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' "
    "END, ', ' ORDER BY x.privilege_type, x.is_grantable)";

// ALTER DEFAULT PRIVILEGES: a table that the next migration makes is open to other roles. Functions and types
// are open to everybody by themselves: there it is told where they are not.
std::string default_privileges() {
  constexpr std::string_view kWhat =
      "' on ' || CASE a.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN "
      "'functions' WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE a.defaclobjtype::text END || ' of ' || "
      "pg_catalog.quote_ident(pg_get_userbyid(a.defaclrole))";
  return fmt::format(
      "SELECT 'default privileges', {0} || {1}, CASE WHEN n.oid IS NULL THEN '' ELSE 'schema' END, "
      "coalesce(pg_catalog.quote_ident(n.nspname), ''), {2} FROM pg_default_acl a LEFT JOIN pg_namespace n "
      "ON "
      "n.oid = a.defaclnamespace, pg_catalog.aclexplode(a.defaclacl) x WHERE x.grantee <> a.defaclrole AND "
      "(n.oid IS NULL OR ({3})) AND NOT (x.grantee = 0 AND n.oid IS NULL AND a.defaclobjtype IN ('f', 'T')) "
      "GROUP BY n.oid, n.nspname, a.defaclobjtype, a.defaclrole, x.grantee UNION ALL SELECT 'default "
      "privileges', 'PUBLIC' || {1}, '', '', 'nothing' FROM pg_default_acl a WHERE a.defaclnamespace = 0 AND "
      "a.defaclobjtype IN ('f', 'T') AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(a.defaclacl) x WHERE "
      "x.grantee = 0)",
      kGrantee, kWhat, kPrivileges, kSchemaFilter);
}

// The database itself bears another name in each environment. Types are open to everybody unless revoked.
std::string rights() {
  constexpr std::string_view kDatabase =
      "pg_database d WHERE d.datname = pg_catalog.current_database() AND $1::text[] IS NOT NULL";
  const std::string types = fmt::format(
      "pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE (t.typtype IN ('e','d','r') OR "
      "(t.typtype "
      "= 'c' AND (SELECT c.relkind FROM pg_class c WHERE c.oid = t.typrelid) = 'c')) AND {} {}",
      kSchemaFilter, no_extension("pg_type", "t.oid"));
  return fmt::format(
      "SELECT 'owner', '', 'database', 'the database', pg_catalog.quote_ident(pg_get_userbyid(d.datdba)) "
      "FROM "
      "{0} UNION ALL SELECT 'grant', {1}, 'database', 'the database', {2} FROM (SELECT d.datdba AS owner, "
      "coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba)) AS acl FROM {0}) o, "
      "pg_catalog.aclexplode(o.acl) x WHERE x.grantee <> o.owner GROUP BY x.grantee UNION ALL SELECT "
      "'owner', "
      "'', 'type', pg_catalog.format('%I.%I', n.nspname, t.typname), "
      "pg_catalog.quote_ident(pg_get_userbyid(t.typowner)) FROM {3} UNION ALL SELECT 'grant', {1}, 'type', "
      "pg_catalog.format('%I.%I', o.nspname, o.typname), {2} FROM (SELECT n.nspname, t.typname, t.typowner, "
      "coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner)) AS acl FROM {3}) o, "
      "pg_catalog.aclexplode(o.acl) x WHERE x.grantee <> o.typowner GROUP BY o.nspname, o.typname, x.grantee "
      "UNION ALL SELECT 'grant', {1}, 'foreign server', pg_catalog.quote_ident(o.srvname), {2} FROM (SELECT "
      "s.srvname, s.srvowner, s.srvacl AS acl FROM pg_foreign_server s WHERE $1::text[] IS NOT NULL) o, "
      "pg_catalog.aclexplode(o.acl) x WHERE x.grantee <> o.srvowner GROUP BY o.srvname, x.grantee",
      kDatabase, kGrantee, kPrivileges, types);
}

// Where a server is differs by nature, and options may be secrets: of most, the name alone is told.
std::string foreign_data() {
  return fmt::format(
      "SELECT 'foreign server', pg_catalog.quote_ident(s.srvname), '', '', pg_catalog.concat_ws(' ', "
      "pg_catalog.quote_ident(w.fdwname), s.srvtype, s.srvversion, 'with ' || (SELECT "
      "pg_catalog.string_agg(CASE WHEN o.option_name IN ('use_remote_estimate', 'extensions', 'updatable', "
      "'truncatable', 'async_capable', 'keep_connections', 'parallel_commit', 'parallel_abort', "
      "'analyze_sampling') THEN o.option_name || '=' || o.option_value ELSE o.option_name END, ', ' ORDER BY "
      "o.option_name COLLATE \"C\") FROM pg_catalog.pg_options_to_table(s.srvoptions) o)) FROM "
      "pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE $1::text[] IS NOT NULL "
      "UNION ALL SELECT 'user mapping', CASE WHEN m.umuser = 0 THEN 'PUBLIC' ELSE "
      "pg_catalog.quote_ident(pg_get_userbyid(m.umuser)) END, 'foreign server', "
      "pg_catalog.quote_ident(m.srvname), 'is there' FROM pg_user_mappings m UNION ALL SELECT 'foreign "
      "data', "
      "'', {}, pg_catalog.concat_ws(' ', 'of ' || pg_catalog.quote_ident(s.srvname), 'with ' || (SELECT "
      "pg_catalog.string_agg(o.option_name || '=' || CASE WHEN o.option_name ~* 'pass|secret|token|key' THEN "
      "'...' ELSE o.option_value END, ', ' ORDER BY o.option_name COLLATE \"C\") FROM "
      "pg_catalog.pg_options_to_table(f.ftoptions) o)) FROM pg_foreign_table f JOIN pg_foreign_server s ON "
      "s.oid = f.ftserver JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
      "WHERE {} {}",
      kTable, kSchemaFilter, no_extension("pg_class", "c.oid"));
}

// DISABLE TRIGGER ALL turns foreign keys off, whose triggers nobody sees: the constraint looks validated.
std::string silent_triggers() {
  return fmt::format(
      "SELECT 'trigger', 'foreign key ' || pg_catalog.quote_ident(k.conname), {}, 'does not act as usual "
      "(enabled: ' || pg_catalog.string_agg(DISTINCT t.tgenabled::text, ' ' ORDER BY t.tgenabled::text) || "
      "')' FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint JOIN pg_class c ON c.oid = "
      "t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.tgisinternal AND t.tgenabled <> 'O' "
      "AND "
      "k.contype = 'f' AND {} GROUP BY k.conname, c.relkind, c.relname, n.nspname UNION ALL SELECT 'replica "
      "identity', '', {}, 'by ' || pg_catalog.quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON "
      "x.oid "
      "= i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
      "WHERE i.indisreplident AND c.relreplident = 'i' AND {}",
      kTable, kSchemaFilter, kTable, kSchemaFilter);
}

// From JSON where columns came or were renamed from version to version.
std::string loose_objects() {
  return fmt::format(
      "SELECT 'collation', pg_catalog.format('%I.%I', n.nspname, o.collname), '', '', "
      "pg_catalog.concat_ws(' ', o.collprovider::text, o.collcollate, nullif(o.collctype, o.collcollate), "
      "coalesce(pg_catalog.to_jsonb(o) ->> 'colllocale', pg_catalog.to_jsonb(o) ->> 'colliculocale'), "
      "'version ' || o.collversion, CASE WHEN NOT o.collisdeterministic THEN 'not deterministic' END) FROM "
      "pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace WHERE {0} {1} UNION ALL SELECT "
      "'aggregate', '', 'function', pg_catalog.format('%I.%I(%s)', n.nspname, p.proname, "
      "pg_get_function_identity_arguments(p.oid)), pg_catalog.concat_ws(' ', g.aggtransfn::text, "
      "format_type(g.aggtranstype, NULL), 'final ' || nullif(g.aggfinalfn::text, '-'), 'combine ' || "
      "nullif(g.aggcombinefn::text, '-'), 'moving ' || nullif(g.aggmtransfn::text, '-'), 'from ' || "
      "g.agginitval) FROM pg_aggregate g JOIN pg_proc p ON p.oid = g.aggfnoid JOIN pg_namespace n ON n.oid = "
      "p.pronamespace WHERE {0} {2} UNION ALL SELECT 'extension schema', '', 'extension', "
      "pg_catalog.quote_ident(x.extname), pg_catalog.quote_ident(n.nspname) FROM pg_extension x JOIN "
      "pg_namespace n ON n.oid = x.extnamespace UNION ALL SELECT 'subscription', "
      "pg_catalog.quote_ident(s.subname), '', '', 'to ' || pg_catalog.array_to_string(s.subpublications, ', "
      "') "
      "|| CASE WHEN s.subenabled THEN '' ELSE ' (disabled)' END FROM pg_subscription s WHERE s.subdbid = "
      "(SELECT d.oid FROM pg_database d WHERE d.datname = pg_catalog.current_database())",
      kSchemaFilter, no_extension("pg_collation", "o.oid"), no_extension("pg_proc", "p.oid"));
}

}  // namespace

std::vector<std::string> environment_queries() {
  return {default_privileges(), rights(), foreign_data(), silent_triggers(), loose_objects()};
}

}  // namespace poundlock::postgres
