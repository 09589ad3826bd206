#include "engine/doctor_facts.h"

#include <fmt/format.h>

#include <algorithm>

#include "ports/cells.h"

namespace poundlock::engine::doctor {
namespace {

constexpr const char* kFacts = R"(
SELECT current_database(), current_setting('server_version'), current_setting('server_version_num')::int,
       current_user, pg_get_userbyid(d.datdba), r.rolsuper, r.rolcreatedb, pg_is_in_recovery(),
       current_setting('transaction_read_only') = 'on',
       has_database_privilege(current_database(), 'CREATE'),
       n.oid IS NOT NULL,
       COALESCE(pg_has_role(n.nspowner, 'USAGE'), false),
       pg_has_role('pg_read_all_stats', 'USAGE'), pg_has_role('pg_read_all_settings', 'USAGE'),
       current_setting('wal_level'), current_setting('track_activities'), current_setting('track_counts'),
       (SELECT s.setting FROM pg_settings s WHERE s.name = 'track_activity_query_size'),
       (SELECT COALESCE(jsonb_agg(p.rolname), '[]') FROM pg_roles p
         WHERE p.rolname IN ('rds_superuser', 'cloudsqlsuperuser', 'alloydbsuperuser', 'azure_pg_admin',
                             'supabase_admin', 'neon_superuser')),
       EXISTS (SELECT FROM pg_proc f WHERE f.proname = 'aurora_version'),
       (SELECT s.setting FROM pg_settings s WHERE s.name = 'shared_preload_libraries'),
       (SELECT s.setting FROM pg_settings s WHERE s.name = 'pg_stat_statements.track')
  FROM pg_roles r
  JOIN pg_database d ON d.datname = current_database()
  LEFT JOIN pg_namespace n ON n.nspname = 'poundlock'
 WHERE r.rolname = current_user)";

// The schema poundlock and what is in it, as far as another role owns it. Sequences of an identity column go
// with their table.
constexpr const char* kHelperObjects = R"(
SELECT o.shown, pg_get_userbyid(o.owner), COALESCE(r.rolsuper, false)
  FROM (SELECT 1 AS place, 'SCHEMA poundlock' AS shown, n.nspowner AS owner
          FROM pg_namespace n WHERE n.nspname = 'poundlock'
        UNION ALL
        SELECT 2, CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass::text,
               c.relowner
          FROM pg_class c
         WHERE c.relnamespace = to_regnamespace('poundlock') AND c.relkind IN ('r', 'S')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                                                     AND d.deptype IN ('a', 'i'))
        UNION ALL
        SELECT 3, 'FUNCTION ' || f.oid::regprocedure::text, f.proowner
          FROM pg_proc f WHERE f.pronamespace = to_regnamespace('poundlock')) o
  LEFT JOIN pg_roles r ON r.oid = o.owner
 WHERE NOT pg_has_role(o.owner, 'USAGE')
 ORDER BY o.place, o.shown LIMIT 1000)";

// Extensions bring tables of their own, which no rollout changes.
constexpr const char* kTables = R"(
SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner), COALESCE(o.rolsuper, false),
       pg_has_role(c.relowner, 'USAGE'), has_schema_privilege(n.oid, 'CREATE')
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_roles o ON o.oid = c.relowner
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\_%'
   AND n.nspname NOT IN ('information_schema', 'poundlock')
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid
                                             AND e.deptype = 'e')
 ORDER BY n.nspname <> 'public', 1, 2 LIMIT 100000)";

// nullopt: the server refused the statement, and `trouble` says why.
Result<std::optional<ports::Rows>> attempt(ports::Session& session, const std::string& sql,
                                           std::string* trouble) {
  auto rows = session.run(sql);
  if (rows) return std::optional<ports::Rows>(std::move(*rows));
  if (session.broken()) return fail(std::move(rows).error());
  if (trouble) *trouble = rows.error().message;
  return std::optional<ports::Rows>();
}

Status read_server(ports::Session& session, Facts& facts) {
  PL_TRY(const auto rows, session.run(kFacts));
  if (rows.rows.empty()) return fail(internal_error("pg_roles does not show the role of this session"));
  const auto& row = rows.rows.front();
  facts.database = ports::to_text(row[0]);
  facts.version = ports::to_text(row[1]);
  facts.version_num = static_cast<int>(ports::to_int(row[2]));
  facts.role = ports::to_text(row[3]);
  facts.database_owner = ports::to_text(row[4]);
  facts.superuser = ports::to_bool(row[5]);
  facts.createdb = ports::to_bool(row[6]) || facts.superuser;
  facts.standby = ports::to_bool(row[7]);
  facts.read_only = ports::to_bool(row[8]);
  facts.may_create_schema = ports::to_bool(row[9]);
  facts.helper_schema = ports::to_bool(row[10]);
  facts.helper_schema_owned = ports::to_bool(row[11]);
  facts.reads_all_stats = ports::to_bool(row[12]);
  facts.reads_all_settings = ports::to_bool(row[13]);
  facts.wal_level = ports::to_text(row[14]);
  facts.track_activities = ports::to_text(row[15]);
  facts.track_counts = ports::to_text(row[16]);
  facts.activity_query_size = static_cast<long>(ports::to_int(row[17]));
  facts.provider_roles = ports::to_names(row[18]);
  facts.aurora = ports::to_bool(row[19]);
  facts.preloaded = row[20];
  facts.statements_track = ports::to_text(row[21]);
  return {};
}

Status read_helpers(ports::Session& session, Facts& facts) {
  PL_TRY(const auto rows, session.run(kHelperObjects));
  for (const auto& row : rows.rows)
    facts.foreign_helpers.push_back({ports::to_text(row[0]), ports::to_text(row[1]), ports::to_bool(row[2])});
  return {};
}

// A name without a schema means the one in public, else any of that name: as the catalog finds it.
bool is_meant(const schema::QualifiedName& wanted, const schema::QualifiedName& table) {
  return wanted.name == table.name && (wanted.schema.empty() || wanted.schema == table.schema);
}

Status read_tables(ports::Session& session, const ExaminationOptions& options, Facts& facts) {
  PL_TRY(const auto rows, session.run(kTables));
  std::vector<TableFact> all;
  for (const auto& row : rows.rows) {
    all.push_back({{ports::to_text(row[0]), ports::to_text(row[1])},
                   ports::to_text(row[2]),
                   ports::to_bool(row[3]),
                   ports::to_bool(row[4]),
                   ports::to_bool(row[5])});
  }
  if (options.tables.empty()) {
    facts.tables = std::move(all);
    return {};
  }
  for (const auto& wanted : options.tables) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const auto& one) { return is_meant(wanted, one.name); });
    if (found == all.end()) {
      facts.missing_tables.push_back(wanted.to_sql());
    } else {
      facts.tables.push_back(*found);
    }
  }
  return {};
}

Status read_statements(ports::Session& session, Facts& facts) {
  PL_TRY(
      const auto installed,
      session.run(
          "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
          "WHERE e.extname = 'pg_stat_statements'"));
  if (installed.rows.empty()) return {};
  facts.statements_installed = true;
  facts.statements_schema = ports::to_text(installed.rows.front()[0]);
  // Not preloaded is told only by an attempt: the setting itself is hidden from ordinary roles.
  PL_TRY(const auto rows,
         attempt(session,
                 fmt::format("SELECT count(*) FILTER (WHERE s.query = '<insufficient privilege>') "
                             "FROM (SELECT query FROM {}.pg_stat_statements LIMIT 10000) s",
                             facts.statements_schema),
                 &facts.statements_trouble));
  if (!rows) return {};
  facts.statements_answer = true;
  facts.statements_hidden = static_cast<long>(ports::to_int(rows->rows.front()[0]));
  return {};
}

Status read_replication(ports::Session& session, Facts& facts) {
  PL_TRY(const auto rows,
         attempt(session, "SELECT count(*), count(state) FROM pg_stat_replication", nullptr));
  if (!rows) return {};
  facts.standbys = static_cast<long>(ports::to_int(rows->rows.front()[0]));
  facts.standbys_visible = static_cast<long>(ports::to_int(rows->rows.front()[1]));
  return {};
}

// In a transaction that is rolled back: nothing of it outlives the probe, behind a pooler neither.
Result<bool> settable(ports::Session& session, const std::string& assignment) {
  PL_CHECK(session.run("BEGIN"));
  auto rows = attempt(session, "SET LOCAL " + assignment, nullptr);
  if (!rows) return fail(std::move(rows).error());
  PL_CHECK(session.run("ROLLBACK"));
  return rows->has_value();
}

}  // namespace

Result<Facts> read_facts(ports::Session& session, const ExaminationOptions& options) {
  Facts facts;
  PL_CHECK(read_server(session, facts));
  PL_CHECK(read_helpers(session, facts));
  PL_CHECK(read_tables(session, options, facts));
  PL_CHECK(read_statements(session, facts));
  PL_CHECK(read_replication(session, facts));
  PL_TRY(facts.lock_timeout_settable, settable(session, "lock_timeout = '50ms'"));
  PL_TRY(facts.statement_timeout_settable, settable(session, "statement_timeout = '1min'"));
  PL_TRY(facts.deadlock_timeout_settable, settable(session, "deadlock_timeout = '5s'"));
  PL_TRY(facts.connection_check_settable, settable(session, "client_connection_check_interval = '100ms'"));
  return facts;
}

}  // namespace poundlock::engine::doctor
