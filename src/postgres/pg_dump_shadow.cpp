#include "postgres/pg_dump_shadow.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "ports/cells.h"
#include "postgres/catalog_loader.h"
#include "postgres/database_traits.h"
#include "postgres/foreign_servers.h"
#include "postgres/pg_dump_copy.h"
#include "postgres/shadow_database.h"
#include "postgres/shadow_statistics.h"
#include "postgres/shadow_tables.h"
#include "postgres/table_sizes.h"

namespace poundlock::postgres {
namespace {

using schema::force_quote_identifier;
using schema::quote_literal;

constexpr int kBesideMax = 8;  // shadows of one database at the same time
constexpr Millis kPoll{50};
constexpr int kLooks = 20;  // a second
constexpr Millis kClaimAgain{15'000};
constexpr int kTakeAways = 3;
constexpr std::size_t kOthersMax = 5;  // told by name

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

Result<bool> try_lock(ports::Session& session, const std::string& name) {
  PL_TRY(const auto got,
         session.run("SELECT pg_catalog.pg_try_advisory_lock(727277, pg_catalog.hashtext($1))", {name}));
  return ports::to_bool(got.rows.at(0)[0]);
}

Error too_large(const std::string& name, std::int64_t bytes, std::int64_t most) {
  return make_error(Disposition::kRefused, "shadow.too_large",
                    fmt::format("the database {} has {} bytes, and at most {} are copied as a whole: all of "
                                "it would go to the server's disk once more, and through its WAL",
                                name, bytes, most))
      .with_hint(
          "leave out --template: a sample of the rows is taken then (--rows); or give a shadow of your own, "
          "such as a clone or a restored snapshot (--shadow)");
}

std::string words_of(const std::vector<std::string>& others) {
  std::string out;
  for (std::size_t i = 0; i < others.size() && i < kOthersMax; ++i) out += (i == 0 ? "" : ", ") + others[i];
  if (others.size() > kOthersMax) out += fmt::format(" and {} more", others.size() - kOthersMax);
  return out;
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
  if (error.code == "pg.program_stopped") error.code = "check.stopped";
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
  Status claim();
  Status sweep();
  Status claim_again();
  Status take_away();
  Result<ports::ShadowInfo> prepare_and_fill(const std::vector<schema::QualifiedName>& tables);
  Status prepare_beside();
  Status prepare_given();
  Status copy_given();
  Status lend_settings();
  Status take_back_settings(ports::Session& session);
  Status prepare_whole();
  Status copy_whole(const std::string& name, std::unique_ptr<PgDatabase> beside);
  Result<std::vector<std::string>> others_inside();
  Result<std::vector<ports::TableSize>> sizes(const std::vector<schema::QualifiedName>& tables);
  Status refuse_environments(ports::Session& session);
  Status empty_given();
  Result<ports::StatisticsCopied> write(ports::Session& session, bool rows);
  Result<ports::ShadowInfo> fill(const std::vector<schema::QualifiedName>& tables);

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
  std::string oid_;                             // of the database that is worked on, from when it is there
  std::vector<std::string> left_out_;           // of the source's settings and rights
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
  PL_CHECK(unhinder(*lock_));
  const TimePoint begin = clock_.steady();
  for (int number = 1;; ++number) {
    const std::string base =
        options_.given ? target_->name() : schema::derive_name({source_->name(), "poundlock_shadow"});
    const std::string name =
        options_.given || number == 1 ? base : schema::derive_name({base, std::to_string(number)});
    PL_TRY(const bool got, try_lock(*lock_, name));
    if (got) {
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
    if (options_.stopped && options_.stopped()) {
      lock_.reset();
      return fail(make_error(Disposition::kRetry, "check.stopped",
                             fmt::format("stopped while others were using the shadow {}", name)));
    }
    if (options_.given) clock_.sleep(kPoll);
  }
}

// What killed runs left: under our name, whole or a sample, and under those names of other runs that nobody
// holds. What cannot be dropped there is in nobody's way.
Status PgDumpShadow::sweep() {
  const std::string base = schema::derive_name({source_->name(), "poundlock_shadow"});
  for (int number = 1; number <= kBesideMax; ++number) {
    const std::string name = number == 1 ? base : schema::derive_name({base, std::to_string(number)});
    const auto database = source_->sibling(name);
    const auto intent = source_->sibling(schema::derive_name({name, "intent"}));
    const auto remove = [&]() -> Status {
      PL_CHECK(remove_left(*lock_, *database, intent.get()));
      return remove_left(*lock_, *intent, nullptr);
    };
    if (name == target_->name()) {
      PL_CHECK(remove());
      continue;
    }
    PL_TRY(const std::string there, oid_of(*lock_, name));
    PL_TRY(const std::string meant, oid_of(*lock_, intent->name()));
    if (there.empty() && meant.empty()) continue;
    PL_TRY(const bool ours, try_lock(*lock_, name));
    if (!ours) continue;
    (void)remove();
    PL_CHECK(lock_->run("SELECT pg_catalog.pg_advisory_unlock(727277, pg_catalog.hashtext($1))", {name}));
  }
  return {};
}

// Drops what a killed run left, and makes the database anew with all that the source has of its own.
Status PgDumpShadow::prepare_beside() {
  ports::Session* admin = lock_.get();
  const std::string name = target_->name();
  PL_CHECK(sweep());
  if (options_.whole) return prepare_whole();
  PL_TRY(const auto traits, read_traits(*admin, source_->name()));
  auto made = admin->run(
      fmt::format("CREATE DATABASE {} TEMPLATE template0 {}", force_quote_identifier(name), traits.locale));
  if (!made) {
    Error error = std::move(made).error();
    if (error.code == "pg.privilege")
      error.hint = "ALTER ROLE ... CREATEDB, or name an empty database of this role as shadow";
    return fail(std::move(error));
  }
  made_ = true;
  PL_CHECK(set_mark(*admin, name));
  PL_TRY(left_out_, write_rights(*admin, name, traits));
  PL_TRY(const auto left, write_settings(*admin, name, traits.settings));
  left_out_.insert(left_out_.end(), left.begin(), left.end());
  return {};
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
  return lend_settings();
}

// The source's, as far as somebody has not set the same here, until the database is emptied again. Which they
// are is kept in the schema's comment first, so that they go also when we are killed. Rights stay as they
// are.
Status PgDumpShadow::lend_settings() {
  PL_TRY(auto reading, const_cast<PgDatabase*>(source_)->connect());
  PL_TRY(const auto wanted, read_traits(*reading, source_->name()));
  PL_TRY(const auto here, read_traits(*lock_, target_->name()));
  std::vector<DatabaseSetting> lent;
  boost::json::array kept;
  for (const auto& one : wanted.settings) {
    const bool set = std::any_of(here.settings.begin(), here.settings.end(), [&](const auto& other) {
      return other.role == one.role && other.name == one.name;
    });
    if (set) continue;
    lent.push_back(one);
    kept.push_back(boost::json::object{{"role", one.role}, {"name", one.name}});
  }
  if (here.locale != wanted.locale)
    left_out_.push_back(fmt::format("the locale ({}; the shadow has {})", wanted.locale, here.locale));
  if (lent.empty()) return {};
  PL_CHECK(lock_->run(
      fmt::format("COMMENT ON SCHEMA {} IS {}", kFilledSchema, quote_literal(boost::json::serialize(kept)))));
  PL_TRY(const auto left, write_settings(*lock_, target_->name(), lent));
  left_out_.insert(left_out_.end(), left.begin(), left.end());
  return {};
}

Status PgDumpShadow::take_back_settings(ports::Session& session) {
  PL_TRY(const auto lent,
         session.run("SELECT s.role, s.name FROM pg_catalog.pg_namespace n, "
                     "pg_catalog.json_to_recordset(pg_catalog.obj_description(n.oid, "
                     "'pg_namespace')::json) AS s(role text, name text) WHERE n.nspname = $1",
                     {std::string(kFilledSchema)}));
  std::vector<DatabaseSetting> settings;
  for (const auto& row : lent.rows) settings.push_back({ports::to_text(row[0]), ports::to_text(row[1]), ""});
  return reset_settings(session, target_->name(), settings);
}

// Who is in the database of `lock_` beside us: "pid 12 (role app, psql, idle)"; empty: nobody. An autovacuum
// worker, whose role nobody may see the kind of, is nobody's: CREATE DATABASE ends it. A session of ours that
// was closed just now may be there for a moment.
Result<std::vector<std::string>> PgDumpShadow::others_inside() {
  std::vector<std::string> out;
  for (int look = 0; look < kLooks; ++look) {
    if (look > 0) clock_.sleep(kPoll);
    PL_TRY(
        const auto rows,
        lock_->run("SELECT pg_catalog.format('pid %s (role %s%s%s)', pid, usename, ', ' || "
                   "nullif(application_name, ''), ', ' || state) FROM pg_catalog.pg_stat_activity WHERE "
                   "datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid() AND "
                   "usesysid IS NOT NULL UNION ALL SELECT pg_catalog.format('prepared transaction %s', gid) "
                   "FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()"));
    out.clear();
    for (const auto& row : rows.rows) out.push_back(ports::to_text(row[0]));
    if (out.empty()) break;
  }
  return out;
}

// The given database is left as it is, and what is done is done to a copy of it. What does not allow that is
// no error: the database is then worked on itself.
Status PgDumpShadow::copy_given() {
  ports::Session& session = *lock_;
  PL_TRY(
      const auto facts,
      session.run("SELECT pg_catalog.pg_database_size(d.oid), (SELECT rolcreatedb OR rolsuper FROM "
                  "pg_catalog.pg_roles WHERE rolname = current_user) AND (pg_catalog.pg_has_role(d.datdba, "
                  "'USAGE') OR d.datistemplate) FROM pg_catalog.pg_database d WHERE d.datname = "
                  "pg_catalog.current_database()"));
  const auto& r = facts.rows.at(0);
  not_copied_.clear();
  if (options_.copy_bytes_max == 0) return {};
  if (ports::to_int(r[0]) > options_.copy_bytes_max)
    not_copied_ = fmt::format("it has {} MB", ports::to_int(r[0]) >> 20);
  else if (!ports::to_bool(r[1]))
    not_copied_ = "this role does not own it or may not create databases";
  if (!not_copied_.empty()) return {};
  PL_TRY(const auto others, others_inside());  // for whom CREATE DATABASE would wait for 5 s, and then fail
  if (!others.empty()) not_copied_ = fmt::format("{} other sessions are in it", others.size());
  if (!others.empty()) return {};
  auto made = copy_whole(target_->name(),
                         options_.given->sibling(schema::derive_name({target_->name(), "poundlock_copy"})));
  if (made) return {};
  // Whatever else went wrong, such as a disk that is full, is no leave to change a database for good.
  if (made.error().sqlstate != "42501" && made.error().sqlstate != "55006") return made;
  not_copied_ = made.error().message;
  return {};
}

Status PgDumpShadow::copy_whole(const std::string& name, std::unique_ptr<PgDatabase> beside) {
  PL_TRY(left_out_, copy_database(*lock_, name, *beside, clock_, options_.stopped));
  target_ = std::move(beside);
  made_ = copied_ = true;
  copy_of_ = name;
  return {};
}

Status PgDumpShadow::prepare_whole() {
  PL_TRY(const auto size, lock_->run("SELECT pg_catalog.pg_database_size(pg_catalog.current_database())"));
  const std::int64_t bytes = ports::to_int(size.rows.at(0)[0]);
  if (bytes > options_.whole_bytes_max)
    return fail(too_large(source_->name(), bytes, options_.whole_bytes_max));
  PL_TRY(auto others, others_inside());
  if (!others.empty()) return fail(not_idle(words_of(others)));
  const std::string name = source_->name();
  auto made = copy_whole(name, source_->sibling(target_->name()));
  if (made || made.error().sqlstate != "55006") {
    if (!made && made.error().code == "pg.privilege")
      made.error().hint = "it takes CREATEDB, and the ownership of the database that is copied";
    return made;
  }
  PL_TRY(others, others_inside());  // they came while it was copied
  return fail(not_idle(others.empty() ? made.error().message : words_of(others)));
}

// Only in a database that we filled.
Status PgDumpShadow::empty_given() {
  PL_TRY(auto session, target_->connect());
  PL_CHECK(unhinder(*session));
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
  PL_CHECK(take_back_settings(*session));
  PL_CHECK(empty_public(*session));
  PL_CHECK(session->run(fmt::format("DROP SCHEMA IF EXISTS {}", kFilledSchema)));
  return {};
}

Result<std::vector<ports::TableSize>> PgDumpShadow::sizes(const std::vector<schema::QualifiedName>& tables) {
  PL_TRY(auto here, connect());
  std::unique_ptr<ports::Session> there;
  if (source_) {
    if (auto opened = const_cast<PgDatabase*>(source_)->connect()) there = std::move(*opened);
  }
  return table_sizes(*here, there.get(), tables);
}

Result<ports::ShadowInfo> PgDumpShadow::fill(const std::vector<schema::QualifiedName>& tables) {
  PL_TRY(auto reading, const_cast<PgDatabase*>(source_)->connect());
  PL_TRY(const ShadowTables wanted, shadow_tables(*reading, tables));
  PL_TRY(const auto catalog, load_catalog(*reading, {.schemas = {}, .tables = wanted.all}));
  PL_TRY(statistics_, read_statistics(*reading, wanted.all));
  PL_TRY(const auto extended, extended_statistics(*reading, tables));
  for (const auto& one : extended)
    left_out_.push_back(fmt::format("what the extended statistics {} hold: they are the sample's", one));
  reading.reset();
  PL_TRY(auto session, connect());
  PL_CHECK(unhinder(*session));
  PgDumpCopy copy(*source_, *target_, clock_, {options_.rows_max, options_.program_limit, options_.stopped});
  PL_CHECK(copy.schema(*session, catalog, tables));
  PL_TRY(const auto servers, cut_off_foreign_servers(*session));
  left_out_.insert(left_out_.end(), servers.begin(), servers.end());
  ports::ShadowInfo info;
  PL_TRY(const RowSample largest, copy.rows(*session, catalog, wanted, tables));
  left_out_.insert(left_out_.end(), copy.left_out().begin(), copy.left_out().end());
  info.scale = largest.copied > 0 ? std::max(1.0, largest.real / largest.copied) : 1.0;
  PL_TRY(info.tables, sizes(wanted.all));
  PL_CHECK(session->run("BEGIN"));
  PL_TRY(auto copied, write(*session, false));
  PL_CHECK(session->run("COMMIT"));
  info.statistics = std::move(copied.words);
  info.left_out = left_out_;
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
  const Status gone = drop();
  return fail(ports::and_what_stays(with_way_on(std::move(info).error()), gone));
}

Result<ports::ShadowInfo> PgDumpShadow::prepare_and_fill(const std::vector<schema::QualifiedName>& tables) {
  left_out_.clear();
  PL_CHECK(claim());
  PL_CHECK(options_.given ? prepare_given() : prepare_beside());
  PL_TRY(oid_, oid_of(*lock_, target_->name()));
  ready_ = true;
  if (made_ && !copied_) return fill(tables);
  if (filled_) return fill(tables);
  PL_TRY(const auto session, connect());
  std::string reached;
  if (copied_ || options_.disposable) {
    PL_TRY(const auto servers, cut_off_foreign_servers(*session));
    left_out_.insert(left_out_.end(), servers.begin(), servers.end());
  } else {
    PL_TRY(reached, reached_foreign_servers(*session));
  }
  ports::ShadowInfo info;
  info.left_out = left_out_;
  info.kept = !copied_ && !options_.disposable;
  info.description = copied_ ? fmt::format("database {}, a copy of {}", target_->describe(), copy_of_)
                             : fmt::format("database {}, as it is{}", target_->describe(),
                                           not_copied_.empty() ? "" : " (not copied: " + not_copied_ + ")");
  if (!reached.empty()) info.description += ", which leads to the foreign servers " + reached;
  PL_TRY(info.tables, sizes(tables));
  return info;
}

Result<std::unique_ptr<ports::Session>> PgDumpShadow::connect() {
  if (!ready_) return fail(internal_error("the shadow was not created"));
  PL_TRY(auto session, target_->connect());
  PL_TRY(const bool marked, bears_shadow_mark(*session));
  if (!marked) return fail(unmarked_shadow(target_->name()));
  // Where our lock was lost, the next run has taken the name for a shadow of its own.
  PL_TRY(const std::string oid, oid_of(*session, target_->name()));
  if (oid != oid_)
    return fail(make_error(Disposition::kRetry, "shadow.lost",
                           fmt::format("the shadow {} was taken away meanwhile", target_->describe()))
                    .with_hint("run it again"));
  // The others of the database's time-outs hold as for the application; these would end a session of ours
  // that waits for another one.
  PL_CHECK(
      session->run("SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN "
                   "('idle_session_timeout', 'idle_in_transaction_session_timeout')"));
  return session;
}

// The session that held the shadow was ended from outside, or its connection broke. Who holds it by now may
// have taken what was there for a killed run's: then nothing of ours is left.
Status PgDumpShadow::claim_again() {
  const TimePoint begin = clock_.steady();
  const std::string name = options_.given ? options_.given->name() : target_->name();
  auto* database = options_.given ? options_.given.get() : const_cast<PgDatabase*>(source_);
  auto opened = database->connect();
  while (!opened && clock_.steady() - begin < kClaimAgain) {  // a server that is started anew
    clock_.sleep(kPoll);
    opened = database->connect();
  }
  if (!opened) return fail(std::move(opened).error());
  lock_ = std::move(*opened);
  PL_CHECK(unhinder(*lock_));
  for (;;) {
    PL_TRY(const bool got, try_lock(*lock_, name));
    if (got) return {};
    PL_TRY(const std::string there, oid_of(*lock_, target_->name()));
    if (made_ && there != oid_) {
      made_ = false;
      return {};
    }
    if (clock_.steady() - begin > kClaimAgain)
      return fail(make_error(Disposition::kRetry, "shadow.busy", "another run holds it by now"));
    clock_.sleep(kPoll);
  }
}

Status PgDumpShadow::take_away() {
  if (made_) {
    PL_TRY(const std::string there, oid_of(*lock_, target_->name()));
    if (there.empty() || (!oid_.empty() && there != oid_)) return {};  // somebody took it away before
    return drop_shadow(*lock_, target_->name(), clock_);
  }
  return filled_ ? empty_given() : Status{};
}

Status PgDumpShadow::drop() {
  const bool used = std::exchange(ready_, false);
  statistics_.clear();
  Status gone;
  if (lock_ && (made_ || filled_)) {
    // A connection that breaks in the middle is one more try.
    for (int tries = 0; tries < kTakeAways; ++tries) {
      gone = lock_->run("SELECT 1") ? Status{} : claim_again();
      if (!gone) break;
      gone = take_away();
      if (gone || !lock_->broken()) break;
    }
    if (!gone && gone.error().code != "shadow.stays") gone = fail(stays(target_->name(), gone.error()));
  } else if (lock_ && used && !lock_->run("SELECT 1")) {
    gone =
        fail(make_error(Disposition::kRetry, "shadow.lost",
                        fmt::format("the session that held the shadow {} was ended: others may have worked "
                                    "on it meanwhile",
                                    target_->describe()))
                 .with_hint("run it again"));
  }
  made_ = copied_ = filled_ = false;
  oid_.clear();
  lock_.reset();
  return gone;
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
