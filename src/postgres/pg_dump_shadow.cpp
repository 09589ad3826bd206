#include "postgres/pg_dump_shadow.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ports/cells.h"
#include "postgres/catalog_loader.h"
#include "postgres/shadow_database.h"
#include "postgres/shadow_statistics.h"
#include "postgres/subprocess.h"

namespace poundlock::postgres {
namespace {

using schema::force_quote_identifier;
using schema::quote_literal;

constexpr int kBesideMax = 8;  // shadows of one database at the same time
constexpr Millis kPoll{50};
constexpr int kLooks = 20;             // a second
constexpr int kPartitionsMax = 500;    // of a table, whose sizes are read one by one
constexpr std::size_t kOthersMax = 5;  // told by name
constexpr std::int64_t kSmallTableBytes = 64 << 20;

std::string quoted(const schema::QualifiedName& name) {
  return force_quote_identifier(name.schema) + "." + force_quote_identifier(name.name);
}

// Which database on which running server: a clone shares system identifier and oid with its source, but not
// the moment when its server was started.
Result<std::string> identity(ports::Session& session) {
  PL_TRY(const auto rows,
         session.run("SELECT (SELECT system_identifier FROM pg_catalog.pg_control_system()), d.oid, "
                     "pg_catalog.pg_postmaster_start_time() FROM pg_catalog.pg_database d WHERE d.datname = "
                     "pg_catalog.current_database()"));
  const auto& r = rows.rows.at(0);
  return fmt::format("{}/{}/{}", ports::to_text(r[0]), ports::to_text(r[1]), ports::to_text(r[2]));
}

// In a given database: what is beside it was put there by us, and goes with it.
constexpr std::string_view kFilledSchema = "poundlock_filled";

Error too_large(const std::string& name, std::int64_t bytes, std::int64_t most) {
  return make_error(Disposition::kRefused, "shadow.too_large",
                    fmt::format("the database {} has {} bytes, and at most {} are copied as a whole: all of "
                                "it would go to the server's disk once more, and through its WAL",
                                name, bytes, most))
      .with_hint(
          "leave out --template: a sample of the rows is taken then (--rows); or give a shadow of your own, "
          "such as a clone or a restored snapshot (--shadow)");
}

Error not_idle(const std::string& others) {
  return make_error(Disposition::kRefused, "shadow.not_idle",
                    "the database can be copied as a whole only while nobody is in it: " + others)
      .with_hint(
          "end these sessions yourself, or leave out --template: pg_dump and a sample of the rows do "
          "not mind them");
}

// Where the server or a program cannot go on, what a person can do.
Error with_way_on(Error error) {
  if (error.sqlstate == "53100" || error.message.find("No space left on device") != std::string::npos) {
    error.code = "shadow.disk_full";
    error.disposition = Disposition::kUser;
    error.hint = "what was made of the shadow is dropped again; fewer rows (--rows) need less disk";
  }
  if (error.message.find("server version mismatch") != std::string::npos)
    error.hint = "install the client programs of that version, or give a clone of the database as shadow";
  return error;
}

class PgDumpShadow final : public ports::Shadow {
 public:
  // `source` may be null where a database is given.
  PgDumpShadow(const PgDatabase* source, Clock& clock, ShadowOptions options)
      : source_(source), clock_(clock), options_(std::move(options)) {
    if (options_.given) target_ = std::make_unique<PgDatabase>(*options_.given);
  }
  ~PgDumpShadow() override { (void)drop(); }

  Result<ports::ShadowInfo> create(const std::vector<schema::QualifiedName>& tables) override;
  Result<std::unique_ptr<ports::Session>> connect() override;
  Status drop() override;
  Result<ports::StatisticsCopied> copy_statistics(ports::Session& session) override;

 private:
  struct Sample {
    double real = 0;
    double copied = 0;
  };

  Status claim();
  Result<ports::ShadowInfo> prepare_and_fill(const std::vector<schema::QualifiedName>& tables);
  Status prepare_beside();
  Status prepare_given();
  Status copy_given();
  Status prepare_whole();
  Status copy_whole(const std::string& name, std::unique_ptr<PgDatabase> beside);
  Result<std::string> others_inside();
  Result<std::vector<ports::TableSize>> sizes(const std::vector<schema::QualifiedName>& tables);
  Status refuse_environments(ports::Session& session);
  Status copy_schema(const schema::Catalog& source, const std::vector<schema::QualifiedName>& tables);
  Status empty_given();
  Result<Sample> copy_rows(ports::Session& session, const schema::Table& table);
  Status advance_sequences(ports::Session& session, const schema::Catalog& catalog,
                           const schema::Table& table);
  Result<ports::StatisticsCopied> write(ports::Session& session, bool rows);
  Result<ports::ShadowInfo> fill(const std::vector<schema::QualifiedName>& tables);
  Program program(const PgDatabase& database, std::vector<std::string> command) const {
    command[0] = find_program(command[0]);
    return {std::move(command), libpq_environment(database)};
  }

  const PgDatabase* source_;
  Clock& clock_;
  ShadowOptions options_;
  std::unique_ptr<PgDatabase> target_;
  std::unique_ptr<ports::Session> lock_;  // holds the shadow against others until drop()
  bool made_ = false;                     // the database is ours to drop
  bool copied_ = false;                   // it is a whole copy,
  std::string copy_of_;                   // of this one
  std::string not_copied_;                // why it is not; "": nobody asked for a copy
  bool filled_ = false;                   // a given database's content is ours to drop
  bool ready_ = false;
  std::vector<RelationStatistics> statistics_;  // of the source, where this is a sample of it
};

Status PgDumpShadow::refuse_environments(ports::Session& session) {
  PL_TRY(const std::string here, identity(session));
  std::vector<const PgDatabase*> all = options_.environments;
  if (source_) all.push_back(source_);
  for (const PgDatabase* environment : all) {
    auto other = const_cast<PgDatabase*>(environment)->connect();
    if (!other) continue;  // what cannot be reached now is not what we are connected to
    PL_TRY(const std::string there, identity(**other));
    if (here != there) continue;
    return fail(make_error(Disposition::kRefused, "shadow.is_production",
                           fmt::format("the shadow {} is the database {} of a configured environment",
                                       target_->describe(), environment->describe()))
                    .with_hint("give another database as shadow"));
  }
  return {};
}

// Which shadow is ours until drop(): a rollout that began meanwhile must not drop it under us. The lock is a
// session's, so that a killed run leaves none. Beside the source the next name serves as well; a given
// database is waited for.
Status PgDumpShadow::claim() {
  if (options_.given)
    target_ = std::make_unique<PgDatabase>(*options_.given);  // a copy took its place before
  PL_TRY(lock_, options_.given ? target_->connect() : const_cast<PgDatabase*>(source_)->connect());
  PL_CHECK(
      lock_->run("SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = "
                 "'idle_session_timeout'"));
  const TimePoint begin = clock_.steady();
  for (int number = 1;; ++number) {
    const std::string base =
        options_.given ? target_->name() : schema::derive_name({source_->name(), "poundlock_shadow"});
    const std::string name =
        options_.given || number == 1 ? base : schema::derive_name({base, std::to_string(number)});
    PL_TRY(const auto got,
           lock_->run("SELECT pg_catalog.pg_try_advisory_lock(727277, pg_catalog.hashtext($1))", {name}));
    if (ports::to_bool(got.rows.at(0)[0])) {
      if (!options_.given) target_ = source_->sibling(name);
      return {};
    }
    const bool waited = options_.given && clock_.steady() - begin > options_.program_limit;
    if (waited || (!options_.given && number >= kBesideMax)) {
      lock_.reset();
      return fail(
          make_error(Disposition::kRetry, "shadow.busy",
                     fmt::format("other rollouts are using the shadow {}", name))
              .with_hint("wait until their checks are over, or give each database a shadow of its own"));
    }
    if (options_.given) clock_.sleep(Millis{200});
  }
}

// Drops what a killed run left, and makes the database anew with the source's encoding and locale.
Status PgDumpShadow::prepare_beside() {
  if (options_.whole) return prepare_whole();
  ports::Session* admin = lock_.get();
  const std::string name = target_->name();
  PL_CHECK(remove_left(*admin, *target_, nullptr));
  PL_TRY(const auto locale,
         admin->run("SELECT pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype FROM "
                    "pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"));
  const auto& r = locale.rows.at(0);
  auto made =
      admin->run(fmt::format("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
                             force_quote_identifier(name), quote_literal(ports::to_text(r[0])),
                             quote_literal(ports::to_text(r[1])), quote_literal(ports::to_text(r[2]))));
  if (!made) {
    Error error = std::move(made).error();
    if (error.code == "pg.privilege")
      error.hint = "ALTER ROLE ... CREATEDB, or name an empty database of this role as shadow";
    return fail(std::move(error));
  }
  made_ = true;
  return set_mark(*admin, name);
}

Status PgDumpShadow::prepare_given() {
  ports::Session* session = lock_.get();  // the only one: a copy needs that nobody else is in it
  PL_TRY(const bool marked, bears_shadow_mark(*session));
  if (!marked) return fail(unmarked_shadow(target_->name()));
  PL_CHECK(refuse_environments(*session));
  PL_TRY(const auto filled,
         session->run("SELECT pg_catalog.to_regnamespace($1) IS NOT NULL", {std::string(kFilledSchema)}));
  const bool left = ports::to_bool(filled.rows.at(0)[0]);
  PL_TRY(const auto tables, session->run(fmt::format("SELECT count(*) FROM {}", kUserTables)));
  const bool empty = ports::to_int(tables.rows.at(0)[0]) == 0;
  if (!left && !empty) return copy_given();
  if (!source_)
    return fail(user_error("shadow.empty", fmt::format("the shadow {} holds no table", target_->describe()))
                    .with_hint("name the database that it stands for with --database-url: its schema and a "
                               "sample of its rows are then copied"));
  if (left) PL_CHECK(empty_given());
  PL_CHECK(session->run(fmt::format("CREATE SCHEMA {}", kFilledSchema)));
  filled_ = true;
  return {};
}

// The given database is left as it is, and what is done is done to a copy of it. What does not allow that is
// no error: the database is then worked on itself.
Status PgDumpShadow::copy_given() {
  ports::Session& session = *lock_;
  PL_TRY(
      const auto facts,
      session.run("SELECT pg_catalog.pg_database_size(d.oid), (SELECT rolcreatedb OR rolsuper FROM "
                  "pg_catalog.pg_roles WHERE rolname = current_user) AND (pg_catalog.pg_has_role(d.datdba, "
                  "'USAGE') OR d.datistemplate), (SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE "
                  "a.datid = d.oid AND a.pid <> pg_catalog.pg_backend_pid()) FROM pg_catalog.pg_database d "
                  "WHERE d.datname = pg_catalog.current_database()"));
  const auto& r = facts.rows.at(0);
  not_copied_.clear();
  if (options_.copy_bytes_max == 0) return {};
  if (ports::to_int(r[0]) > options_.copy_bytes_max)
    not_copied_ = fmt::format("it has {} MB", ports::to_int(r[0]) >> 20);
  else if (!ports::to_bool(r[1]))
    not_copied_ = "this role does not own it or may not create databases";
  else if (ports::to_int(r[2]) > 0)  // CREATE DATABASE would wait for 5 s, and then fail
    not_copied_ = fmt::format("{} other sessions are in it", ports::to_int(r[2]));
  if (!not_copied_.empty()) return {};
  auto made = copy_whole(target_->name(),
                         options_.given->sibling(schema::derive_name({target_->name(), "poundlock_copy"})));
  if (made) return {};
  if (made.error().code == "shadow.unmarked" || made.error().code == "check.stopped") return made;
  not_copied_ = made.error().message;
  return {};
}

Status PgDumpShadow::copy_whole(const std::string& name, std::unique_ptr<PgDatabase> beside) {
  PL_CHECK(copy_database(*lock_, name, *beside, clock_, options_.stopped));
  target_ = std::move(beside);
  made_ = copied_ = true;
  copy_of_ = name;
  return {};
}

// Who is in the source beside us: "pid 12 (role app, psql, idle)". "": nobody.
Result<std::string> PgDumpShadow::others_inside() {
  PL_TRY(
      const auto rows,
      lock_->run("SELECT pg_catalog.format('pid %s (role %s%s%s)', pid, usename, ', ' || "
                 "nullif(application_name, ''), ', ' || state) FROM pg_catalog.pg_stat_activity WHERE "
                 "datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid() AND "
                 "backend_type IS DISTINCT FROM 'autovacuum worker' UNION ALL SELECT "
                 "pg_catalog.format('prepared transaction %s', gid) FROM pg_catalog.pg_prepared_xacts WHERE "
                 "database = pg_catalog.current_database()"));
  std::string out;
  for (std::size_t i = 0; i < rows.rows.size() && i < kOthersMax; ++i)
    out += (out.empty() ? "" : ", ") + ports::to_text(rows.rows[i][0]);
  if (rows.rows.size() > kOthersMax) out += fmt::format(" and {} more", rows.rows.size() - kOthersMax);
  return out;
}

Status PgDumpShadow::prepare_whole() {
  PL_TRY(const auto size, lock_->run("SELECT pg_catalog.pg_database_size(pg_catalog.current_database())"));
  const std::int64_t bytes = ports::to_int(size.rows.at(0)[0]);
  if (bytes > options_.whole_bytes_max)
    return fail(too_large(source_->name(), bytes, options_.whole_bytes_max));
  std::string others;
  // A session of ours that was closed just now may be there for a moment.
  for (int look = 0; look < kLooks; ++look) {
    PL_TRY(others, others_inside());
    if (others.empty()) break;
    clock_.sleep(kPoll);
  }
  if (!others.empty()) return fail(not_idle(others));
  const std::string name = source_->name();
  auto made = copy_whole(name, source_->sibling(target_->name()));
  if (made || made.error().sqlstate != "55006") {
    if (!made && made.error().code == "pg.privilege")
      made.error().hint = "it takes CREATEDB, and the ownership of the database that is copied";
    return made;
  }
  PL_TRY(others, others_inside());  // they came while it was copied
  return fail(not_idle(others.empty() ? made.error().message : others));
}

// Only in a database that we filled.
Status PgDumpShadow::empty_given() {
  PL_TRY(auto session, target_->connect());
  PL_TRY(const auto schemas,
         session->run("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> "
                      "'information_schema'"));
  for (const auto& row : schemas.rows) {
    const std::string name = ports::to_text(row[0]);
    if (name == kFilledSchema) continue;  // last: as long as it is there, the rest is known to be ours
    auto dropped =
        session->run(fmt::format("DROP SCHEMA IF EXISTS {} CASCADE", force_quote_identifier(name)));
    if (dropped || name == "public") continue;
    return fail(std::move(dropped).error());
  }
  PL_CHECK(empty_public(*session));
  PL_CHECK(session->run(fmt::format("DROP SCHEMA IF EXISTS {}", kFilledSchema)));
  return {};
}

// pg_dump locks what it reads, for which it takes a right on every table.
Error without_right(Error error) {
  const bool right =
      error.code == "pg.program_failed" && error.message.find("permission denied for") != std::string::npos;
  if (right && error.hint.empty())
    error.hint =
        "the role of the database that is copied needs USAGE on each schema and SELECT on all tables: GRANT "
        "pg_read_all_data TO that role, or give a clone with --shadow";
  return error;
}

Status PgDumpShadow::copy_schema(const schema::Catalog& source,
                                 const std::vector<schema::QualifiedName>& tables) {
  // Errors of single statements (an extension that only a superuser may create) do not matter unless the
  // tables concerned differ afterwards.
  auto dumped =
      run_pipe(program(*source_, {"pg_dump", "--schema-only", "--no-owner", "--no-privileges",
                                  "--no-tablespaces", "--no-publications", "--no-subscriptions",
                                  "--no-security-labels", "--lock-wait-timeout=5000"}),
               program(*target_, {"psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=0", "--file=-"}),
               clock_, options_.program_limit, options_.stopped);
  if (!dumped) return fail(without_right(std::move(dumped).error()));
  const PipeResult copied = std::move(*dumped);
  PL_TRY(auto session, connect());
  PL_TRY(const auto shadow, load_catalog(*session, {.schemas = {}, .tables = tables}));
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

// Through COPY | COPY. Foreign keys of the table are dropped first and come back NOT VALID: the rows that
// they point to are not copied. Triggers of the application stay silent meanwhile.
Result<PgDumpShadow::Sample> PgDumpShadow::copy_rows(ports::Session& session, const schema::Table& table) {
  const std::string name = quoted(table.qualified());
  std::vector<std::string> before{fmt::format("ALTER TABLE {} DISABLE TRIGGER USER", name)};
  std::vector<std::string> after{fmt::format("ALTER TABLE {} ENABLE TRIGGER USER", name),
                                 fmt::format("ANALYZE {}", name)};
  for (const auto& constraint : table.constraints) {
    if (constraint.kind != 'f') continue;
    const std::string key = force_quote_identifier(constraint.name);
    before.push_back(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", name, key));
    const bool not_valid = constraint.definition.ends_with("NOT VALID");
    // NOT VALID foreign keys of partitioned tables are refused before PostgreSQL 18: such a key stays away.
    if (table.kind != 'p')
      after.push_back(fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {}{}", name, key, constraint.definition,
                                  not_valid ? "" : " NOT VALID"));
  }
  std::string columns;
  for (const auto& column : table.columns) {
    if (column.generated.empty())
      columns += (columns.empty() ? "" : ", ") + force_quote_identifier(column.name);
  }
  const double rows = static_cast<double>(options_.rows_max);
  std::string sample;
  if (table.estimated_rows > rows) {
    // A fifth more than needed, since the estimate may be high. Whole blocks of a large table; row by row of
    // a small one, where a few blocks may well be none.
    sample = fmt::format(" TABLESAMPLE {} ({:.6f})", table.bytes > kSmallTableBytes ? "SYSTEM" : "BERNOULLI",
                         std::min(100.0, 120.0 * rows / table.estimated_rows));
  }
  for (const auto& sql : before) PL_CHECK(session.run(sql));
  // Without row security, as all our sessions: a sample that a policy has thinned out would look complete.
  auto sampled =
      run_pipe(program(*source_, {"psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command",
                                  "SET row_security = off", "--command",
                                  fmt::format("COPY (SELECT {} FROM {}{} LIMIT {}) TO STDOUT", columns, name,
                                              sample, options_.rows_max)}),
               program(*target_, {"psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command",
                                  fmt::format("COPY {} ({}) FROM STDIN", name, columns)}),
               clock_, options_.program_limit, options_.stopped);
  if (!sampled) return fail(without_right(std::move(sampled).error()));
  for (const auto& sql : after) PL_CHECK(session.run(sql));
  PL_TRY(const auto count, session.run(fmt::format("SELECT count(*) FROM {}", name)));
  const double copied = ports::to_double(count.rows.at(0)[0]);
  double real = std::max(copied, table.estimated_rows);
  if (table.estimated_rows < 0 && copied >= rows && table.kind != 'p') {
    // Never analysed: only its bytes tell by how much it is larger than the sample.
    PL_TRY(const auto bytes, session.run("SELECT pg_catalog.pg_table_size($1::regclass)", {name}));
    real *= std::max(1.0, static_cast<double>(table.bytes) / ports::to_double(bytes.rows.at(0)[0], 1));
  }
  return Sample{real, copied};
}

// So that an INSERT that is replayed on the shadow gets a key that is free.
Status PgDumpShadow::advance_sequences(ports::Session& session, const schema::Catalog& catalog,
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

// The catalog's estimates; of a partitioned table all of its leaves. A relation that is not there leaves
// both as they are.
Status read_size(ports::Session& session, const schema::QualifiedName& table, double& rows,
                 std::int64_t& bytes) {
  PL_TRY(const auto found,
         session.run("SELECT CASE WHEN bool_and(c.reltuples >= 0) THEN sum(c.reltuples) ELSE -1 END, "
                     "sum(pg_catalog.pg_total_relation_size(c.oid)) FROM pg_catalog.pg_class c WHERE c.oid = "
                     "pg_catalog.to_regclass($1) AND c.relkind IN ('r','m') OR c.oid IN (SELECT relid FROM "
                     "pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)) WHERE isleaf)",
                     {quoted(table)}));
  if (found.rows.empty() || !found.rows[0][0]) return {};  // no such table
  rows = ports::to_double(found.rows[0][0], -1);
  bytes = ports::to_int(found.rows[0][1], -1);
  return {};
}

// Each is traced by its own name and has a size of its own: one may be empty and the next one huge.
Status add_partitions(ports::Session& session, const schema::QualifiedName& table,
                      std::vector<schema::QualifiedName>& to) {
  PL_TRY(
      const auto found,
      session.run("SELECT n.nspname, c.relname FROM pg_catalog.pg_partition_tree("
                  "pg_catalog.to_regclass($1)) t JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN "
                  "pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE t.level > 0 ORDER BY t.level, "
                  "n.nspname, c.relname LIMIT $2",
                  {quoted(table), std::to_string(kPartitionsMax)}));
  for (const auto& row : found.rows) {
    schema::QualifiedName name{ports::to_text(row[0]), ports::to_text(row[1])};
    if (std::find(to.begin(), to.end(), name) == to.end()) to.push_back(std::move(name));
  }
  return {};
}

Result<std::vector<ports::TableSize>> PgDumpShadow::sizes(const std::vector<schema::QualifiedName>& tables) {
  PL_TRY(auto here, connect());
  std::unique_ptr<ports::Session> there;
  if (source_) {
    if (auto opened = const_cast<PgDatabase*>(source_)->connect()) there = std::move(*opened);
  }
  std::vector<schema::QualifiedName> all = tables;
  for (const auto& table : tables) PL_CHECK(add_partitions(*here, table, all));
  std::vector<ports::TableSize> out;
  for (const auto& table : all) {
    ports::TableSize size;
    size.table = table;
    PL_CHECK(read_size(*here, table, size.shadow_rows, size.shadow_bytes));
    if (there) PL_CHECK(read_size(*there, table, size.source_rows, size.source_bytes));
    out.push_back(std::move(size));
  }
  return out;
}

Result<ports::ShadowInfo> PgDumpShadow::fill(const std::vector<schema::QualifiedName>& tables) {
  PL_TRY(auto reading, const_cast<PgDatabase*>(source_)->connect());
  PL_TRY(const auto catalog, load_catalog(*reading, {.schemas = {}, .tables = tables}));
  PL_TRY(statistics_, read_statistics(*reading, tables));
  reading.reset();
  PL_CHECK(copy_schema(catalog, tables));
  PL_TRY(auto session, connect());
  ports::ShadowInfo info;
  Sample largest;
  for (const auto& name : tables) {
    PL_TRY(const Sample sample, copy_rows(*session, *catalog.table(name)));
    PL_CHECK(advance_sequences(*session, catalog, *catalog.table(name)));
    if (sample.real >= largest.real) largest = sample;
  }
  info.scale = largest.copied > 0 ? std::max(1.0, largest.real / largest.copied) : 1.0;
  PL_TRY(info.tables, sizes(tables));
  PL_CHECK(session->run("BEGIN"));
  PL_TRY(auto copied, write(*session, false));
  PL_CHECK(session->run("COMMIT"));
  info.statistics = std::move(copied.words);
  info.description =
      fmt::format("database {}, {:.0f} of {:.0f} rows", target_->describe(), largest.copied, largest.real);
  return info;
}

Result<ports::StatisticsCopied> PgDumpShadow::write(ports::Session& session, bool rows) {
  if (statistics_.empty()) return ports::StatisticsCopied{};
  PL_TRY(const auto written, write_statistics(session, statistics_, rows));
  if (!written.why_not.empty())
    return ports::StatisticsCopied{
        false, "planner statistics are those of the sample, not copied: " + written.why_not};
  std::string left;
  for (std::size_t i = 0; i < written.left.size() && i < kOthersMax; ++i)
    left += (i == 0 ? "" : ", ") + written.left[i];
  if (written.left.size() > kOthersMax) left += ", ...";
  if (!left.empty()) left = fmt::format("; {} stay the sample's: {}", written.left.size(), left);
  return ports::StatisticsCopied{
      true, fmt::format("planner statistics of {} columns of {} tables are copied from {}{}{}",
                        written.columns, written.tables, source_->name(),
                        rows ? ", the numbers of rows too" : "; the numbers of rows are the sample's", left)};
}

Result<ports::StatisticsCopied> PgDumpShadow::copy_statistics(ports::Session& session) {
  return write(session, true);
}

Result<ports::ShadowInfo> PgDumpShadow::create(const std::vector<schema::QualifiedName>& tables) {
  PL_CHECK(drop());
  auto info = prepare_and_fill(tables);
  if (info) return info;
  (void)drop();  // the first error is the one to tell
  return fail(with_way_on(std::move(info).error()));
}

Result<ports::ShadowInfo> PgDumpShadow::prepare_and_fill(const std::vector<schema::QualifiedName>& tables) {
  PL_CHECK(claim());
  PL_CHECK(options_.given ? prepare_given() : prepare_beside());
  ready_ = true;
  if (made_ && !copied_) return fill(tables);
  if (filled_) return fill(tables);
  ports::ShadowInfo info;
  info.kept = !copied_ && !options_.disposable;
  info.description = copied_ ? fmt::format("database {}, a copy of {}", target_->describe(), copy_of_)
                             : fmt::format("database {}, as it is{}", target_->describe(),
                                           not_copied_.empty() ? "" : " (not copied: " + not_copied_ + ")");
  PL_TRY(info.tables, sizes(tables));
  return info;
}

Result<std::unique_ptr<ports::Session>> PgDumpShadow::connect() {
  if (!ready_) return fail(internal_error("the shadow was not created"));
  PL_TRY(auto session, target_->connect());
  PL_TRY(const bool marked, bears_shadow_mark(*session));
  if (!marked) return fail(unmarked_shadow(target_->name()));
  return session;
}

Status PgDumpShadow::drop() {
  ready_ = false;
  statistics_.clear();
  // Without the lock it may be somebody else's by now; the next one that takes the name empties it.
  const bool ours = lock_ != nullptr && lock_->run("SELECT 1");
  if (made_ && ours) PL_CHECK(drop_database(*lock_, target_->name()));
  made_ = copied_ = false;
  if (filled_ && ours) PL_CHECK(empty_given());
  filled_ = false;
  lock_.reset();
  return {};
}

}  // namespace

std::unique_ptr<ports::Shadow> make_pg_dump_shadow(const PgDatabase& source, Clock& clock,
                                                   ShadowOptions options) {
  return std::make_unique<PgDumpShadow>(&source, clock, std::move(options));
}

std::unique_ptr<ports::Shadow> make_given_shadow(Clock& clock, ShadowOptions options) {
  return std::make_unique<PgDumpShadow>(nullptr, clock, std::move(options));
}

}  // namespace poundlock::postgres
