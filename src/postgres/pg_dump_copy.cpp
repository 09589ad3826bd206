#include "postgres/pg_dump_copy.h"

#include <fmt/format.h>

#include <algorithm>

#include "ports/cells.h"
#include "postgres/catalog_loader.h"
#include "postgres/subprocess.h"

namespace poundlock::postgres {
namespace {

using schema::force_quote_identifier;
using schema::quote_literal;

// The application's, by the database's settings.
constexpr const char* kUnhindered =
    "SET statement_timeout = 0; SET lock_timeout = 0; SET default_transaction_read_only = off";

std::string quoted(const schema::QualifiedName& name) {
  return force_quote_identifier(name.schema) + "." + force_quote_identifier(name.name);
}

Program program(const PgDatabase& database, std::vector<std::string> command) {
  command[0] = find_program(command[0]);
  return {std::move(command), libpq_environment(database)};
}

// pg_dump locks what it reads, for which it takes a right on every table.
Error without_right(Error error) {
  if (error.message.find("row-level security") != std::string::npos && error.hint.empty())
    error.hint =
        "policies hide rows of it from this role, and a sample of the others would look complete: take a "
        "role "
        "with BYPASSRLS on both sides, or give a clone with --shadow";
  const bool right =
      error.code == "pg.program_failed" && error.message.find("permission denied for") != std::string::npos;
  if (right && error.hint.empty())
    error.hint =
        "the role of the database that is copied needs USAGE on each schema and SELECT on all tables: GRANT "
        "pg_read_all_data TO that role, or give a clone with --shadow";
  return error;
}

// Each comes back as it was: one that was off fires no more than before, one that always fires does so again.
// A partition may have triggers that its table has not.
Status silence_triggers(ports::Session& session, const std::string& table, std::vector<std::string>& before,
                        std::vector<std::string>& after) {
  PL_TRY(
      const auto found,
      session.run("SELECT pg_catalog.format('ALTER TABLE ONLY %I.%I', n.nspname, c.relname), "
                  "pg_catalog.quote_ident(t.tgname), t.tgenabled FROM pg_catalog.pg_trigger t JOIN "
                  "pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = "
                  "c.relnamespace WHERE NOT t.tgisinternal AND (t.tgrelid = $1::pg_catalog.regclass OR "
                  "t.tgrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree($1::pg_catalog.regclass)))",
                  {table}));
  for (const auto& row : found.rows) {
    const std::string alter = ports::to_text(row[0]), name = ports::to_text(row[1]);
    const std::string state = ports::to_text(row[2]);
    if (state == "D") continue;
    before.push_back(fmt::format("{} DISABLE TRIGGER {}", alter, name));
    after.push_back(fmt::format("{} ENABLE {}TRIGGER {}", alter,
                                state == "A"   ? "ALWAYS "
                                : state == "R" ? "REPLICA "
                                               : "",
                                name));
  }
  return {};
}

// What a superuser's event triggers forbid is forbidden to the change, and not to what makes the shadow.
Status silence_event_triggers(ports::Session& session) {
  PL_CHECK(
      session.run("SELECT pg_catalog.set_config('session_replication_role', 'replica', false) WHERE EXISTS "
                  "(SELECT FROM pg_catalog.pg_event_trigger) AND (SELECT rolsuper FROM "
                  "pg_catalog.pg_roles WHERE rolname = current_user)"));
  return {};
}

// Those that only a superuser creates, or that the shadow's server does not have.
Status add_missing_extensions(ports::Session& source, ports::Session& shadow, std::vector<std::string>& out) {
  const char* all = "SELECT extname FROM pg_catalog.pg_extension ORDER BY 1";
  PL_TRY(const auto wanted, source.run(all));
  PL_TRY(const auto there, shadow.run(all));
  for (const auto& row : wanted.rows)
    if (std::find(there.rows.begin(), there.rows.end(), row) == there.rows.end())
      out.push_back("the extension " + ports::to_text(row[0]));
  return {};
}

}  // namespace

Status PgDumpCopy::schema(ports::Session& session, const schema::Catalog& source,
                          const std::vector<schema::QualifiedName>& tables) {
  // Errors of single statements (an extension that only a superuser may create) do not matter unless the
  // tables concerned differ afterwards.
  auto dumped = run_pipe(program(source_, {"pg_dump", "--schema-only", "--no-owner", "--no-privileges",
                                           "--no-tablespaces", "--no-publications", "--no-subscriptions",
                                           "--no-security-labels", "--lock-wait-timeout=5000"}),
                         program(target_, {"psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=0",
                                           "--command", kUnhindered, "--file=-"}),
                         clock_, options_.limit, options_.stopped);
  if (!dumped) return fail(without_right(std::move(dumped).error()));
  const PipeResult copied = std::move(*dumped);
  PL_CHECK(silence_event_triggers(session));
  PL_TRY(const auto reading, const_cast<PgDatabase&>(source_).connect());
  PL_CHECK(add_missing_extensions(*reading, session, left_out_));
  PL_TRY(const auto shadow, load_catalog(session, {.schemas = {}, .tables = tables}));
  for (const auto& name : tables) {
    const schema::Table* wanted = source.table(name);
    const schema::Table* there = shadow.table(name);
    if (wanted == nullptr)
      return fail(user_error("shadow.no_table", fmt::format("there is no table {}", name.to_sql())));
    const bool same = there != nullptr && there->columns == wanted->columns &&
                      there->indexes.size() == wanted->indexes.size();
    if (same) continue;
    return fail(make_error(Disposition::kRefused, "shadow.differs",
                           fmt::format("table {} could not be copied to the shadow: {}", name.to_sql(),
                                       copied.errors))
                    .with_hint("give a clone of the database as shadow"));
  }
  return {};
}

// Through COPY | COPY. Foreign keys of the table are dropped first and come back NOT VALID: not all rows that
// they point to are copied. Triggers of the application stay silent meanwhile.
Result<RowSample> PgDumpCopy::rows(ports::Session& session, const schema::Table& table,
                                   const std::string& from) {
  const std::string name = quoted(table.qualified());
  std::vector<std::string> before, after;
  PL_CHECK(silence_triggers(session, name, before, after));
  after.push_back("ANALYZE " + name);
  for (const auto& constraint : table.constraints) {
    if (constraint.kind != 'f') continue;
    const std::string key = force_quote_identifier(constraint.name);
    before.push_back(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", name, key));
    const bool not_valid = constraint.definition.ends_with("NOT VALID");
    // NOT VALID foreign keys of partitioned tables are refused before PostgreSQL 18: such a key stays away.
    if (table.kind != 'p')
      after.push_back(fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {}{}", name, key, constraint.definition,
                                  not_valid ? "" : " NOT VALID"));
    else
      left_out_.push_back(
          fmt::format("the foreign key {} of {}", constraint.name, table.qualified().to_sql()));
  }
  std::string columns;
  for (const auto& column : table.columns) {
    if (column.generated.empty())
      columns += (columns.empty() ? "" : ", ") + force_quote_identifier(column.name);
  }
  const double rows = static_cast<double>(options_.rows_max);
  for (const auto& sql : before) PL_CHECK(session.run(sql));
  // Without row security, as all our sessions: a sample that a policy has thinned out would look complete.
  auto sampled = run_pipe(
      program(source_,
              {"psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command",
               "SET row_security = off", "--command", "SET synchronize_seqscans = off", "--command",
               kUnhindered, "--command", fmt::format("COPY (SELECT {} {}) TO STDOUT", columns, from)}),
      program(target_, {"psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command", kUnhindered,
                        "--command", fmt::format("COPY {} ({}) FROM STDIN", name, columns)}),
      clock_, options_.limit, options_.stopped);
  if (!sampled && (sampled.error().code == "pg.program_stopped" || session.broken()))
    return fail(std::move(sampled).error());
  for (const auto& sql : after) PL_CHECK(session.run(sql));
  if (!sampled) return fail(without_right(std::move(sampled).error()));
  PL_TRY(const auto count, session.run(fmt::format("SELECT count(*) FROM {}", name)));
  const double copied = ports::to_double(count.rows.at(0)[0]);
  double real = std::max(copied, table.estimated_rows);
  if (table.estimated_rows < 0 && copied >= rows && table.kind != 'p') {
    // Never analysed: only its bytes tell by how much it is larger than the sample.
    PL_TRY(const auto bytes, session.run("SELECT pg_catalog.pg_table_size($1::regclass)", {name}));
    real *= std::max(1.0, static_cast<double>(table.bytes) / ports::to_double(bytes.rows.at(0)[0], 1));
  }
  return RowSample{real, copied};
}

// What only belongs to these may be missing, which is told: another role's table, say, whose rows a policy
// hides.
Result<RowSample> PgDumpCopy::rows(ports::Session& session, const schema::Catalog& catalog,
                                   const ShadowTables& wanted,
                                   const std::vector<schema::QualifiedName>& tables) {
  RowSample given, any;
  for (const auto& name : wanted.sampled) {
    const schema::Table* table = catalog.table(name);
    if (table == nullptr) continue;  // an extension's
    const bool named = std::find(tables.begin(), tables.end(), name) != tables.end();
    auto sample = rows(session, *table, sample_from(catalog, wanted.references, *table, options_.rows_max));
    const bool over = !sample && (session.broken() || sample.error().code == "pg.program_stopped");
    if (!sample && (named || over)) return fail(std::move(sample).error());
    if (!sample) left_out_.push_back(fmt::format("rows of {}: {}", name.to_sql(), sample.error().message));
    if (!sample) continue;
    PL_CHECK(advance_sequences(session, catalog, *table));
    auto& largest = named ? given : any;
    if (sample->real > largest.real) largest = *sample;
  }
  for (const auto& name : wanted.refreshed) {
    const auto done = session.run("REFRESH MATERIALIZED VIEW " + name.to_sql());
    if (!done && session.broken()) return fail(done.error());
    if (!done) left_out_.push_back(fmt::format("rows of {}: {}", name.to_sql(), done.error().message));
    if (done) PL_CHECK(session.run("ANALYZE " + name.to_sql()));
  }
  return given.copied > 0 ? given : any;
}

Status PgDumpCopy::advance_sequences(ports::Session& session, const schema::Catalog& catalog,
                                     const schema::Table& table) {
  const std::string name = quoted(table.qualified());
  for (const auto& column : table.columns) {
    for (const auto& sequence : catalog.sequences) {
      const std::string owner =
          fmt::format("{}.{}", table.qualified().to_sql(), schema::quote_identifier(column.name));
      if (sequence.owned_by != owner || sequence.increment <= 0) continue;
      PL_CHECK(session.run(
          fmt::format("SELECT pg_catalog.setval({}, (SELECT coalesce(max({}), 0) + 1 FROM {}), false)",
                      quote_literal(quoted({sequence.schema, sequence.name})),
                      force_quote_identifier(column.name), name)));
    }
  }
  return {};
}

}  // namespace poundlock::postgres
