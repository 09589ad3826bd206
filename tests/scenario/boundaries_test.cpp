// Executors that die at any moment of each kind of step, and what `poundlock verify boundaries` then finds,
// takes away, and leaves to others.
#include "engine/boundaries.h"

#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <csignal>
#include <fstream>
#include <random>
#include <sstream>

#include "cli/app.h"
#include "support/rollout_fixture.h"
#include "support/wait.h"

namespace poundlock::scenario {
namespace {

namespace bj = boost::json;
using engine::Finding;
using testing::HasSubstr;

constexpr const char* kChange = R"(
change_column:
  table: shop."Order Items"
  from: legacy_status
  to: {name: new_status, type: varchar(32), default: "'pending'"}
  up: legacy_status
  down: new_status
  indexes: [{name: "Idx New", columns: [new_status]}]
)";

class BoundariesTest : public RolloutFixture {
 protected:
  static void SetUpTestSuite() {
    auto started = PgCluster::start({.settings = {"wal_level=logical", "max_prepared_transactions=4"}});
    ASSERT_TRUE(started) << started.error().to_string();
    cluster_ = started->release();
  }
  void make_orders(int rows) {
    must(
        "CREATE TABLE shop.\"Order Items\" (id bigint PRIMARY KEY, legacy_status text NOT NULL DEFAULT "
        "'pending')");
    must(
        "INSERT INTO shop.\"Order Items\" SELECT g, 'S' || g % 7 FROM pg_catalog.generate_series(1, $1::int) "
        "g",
        {std::to_string(rows)});
    must("ANALYZE shop.\"Order Items\"");
  }

  // An executor in a process of its own, so that it can die as a process does.
  pid_t start_executor(const change::Step& step, engine::Direction direction = engine::Direction::kForward) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    auto database = cluster_->database();
    engine::StepRunner runner(*database, clock_, options());
    const auto outcome = runner.run(step, direction, 1, {});
    ::_exit(outcome && !outcome->error ? 0 : 1);
  }
  static void kill_executor(pid_t child) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  // A backend notices only a while later that its client is gone.
  bool backends_gone() {
    return wait_until([&] {
      return row("SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE datname = 'app' AND pid "
                 "<> "
                 "pg_catalog.pg_backend_pid() AND backend_type = 'client backend' AND application_name = "
                 "'poundlock'") == "0";
    });
  }

  std::vector<Finding> find(engine::BoundaryOptions options = {}) {
    auto found = engine::find_partial(*session_, options);
    EXPECT_TRUE(found) << found.error().to_string();
    return found ? std::move(*found) : std::vector<Finding>{};
  }
  static std::vector<std::string> partial(const std::vector<Finding>& all) {
    std::vector<std::string> out;
    for (const auto& one : all)
      if (one.partial && !one.done) out.push_back(one.kind + " " + one.object);
    return out;
  }
  engine::BoundaryOptions of(const change::OperationPlan& plan) {
    engine::BoundaryOptions options;
    options.rollout = "test";
    options.steps = plan.steps;
    return options;
  }
  void must_repair(std::vector<Finding>& all) {
    const auto done = engine::repair(*session_, all);
    EXPECT_TRUE(done) << done.error().to_string();
  }
  bool index_is(const std::string& what) {
    return row("SELECT EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = "
               "i.indexrelid WHERE c.relname = 'Idx New' AND " +
               what + ")") == "t";
  }

  struct Ran {
    int code = 0;
    bj::value out;
  };
  Ran poundlock(std::vector<std::string> words) {
    std::ostringstream out, err;
    cli::Context context{
        out, err, clock_, [](std::string_view) { return std::nullopt; }, "/tmp", "/tmp/poundlock"};
    for (const auto& word :
         {std::string("--database-url"), cluster_->conninfo(), std::string("--output"), std::string("json")})
      words.push_back(word);
    const int code = cli::run(context, words);
    boost::system::error_code bad;
    auto value = bj::parse(out.str(), bad);
    EXPECT_FALSE(bad) << out.str() << err.str();
    return {code, std::move(value)};
  }
};

TEST_F(BoundariesTest, AHalfBuiltIndexIsFoundRepairedAndFoundClean) {
  make_orders(1'000);
  const auto made = plan(kChange);
  must_run(step(made.steps, "dual_write.add_column"));
  const auto* index = &made.steps.front();
  for (const auto& one : made.steps)
    if (one.kind == change::StepKind::kStandalone && !one.repair.empty()) index = &one;
  ASSERT_EQ(index->kind, change::StepKind::kStandalone);
  EXPECT_THAT(partial(find()), testing::IsEmpty());
  // Whoever still reads an old snapshot holds the build up half-way.
  auto reader = open("writer");
  must_on(*reader, "BEGIN ISOLATION LEVEL REPEATABLE READ");
  must_on(*reader, "SELECT pg_catalog.count(*) FROM shop.\"Order Items\"");
  const pid_t child = start_executor(*index);
  ASSERT_TRUE(wait_until([&] { return index_is("NOT i.indisvalid"); }));
  // As long as somebody builds it, it is nobody's to take away.
  auto found = find();
  EXPECT_THAT(partial(found), testing::IsEmpty());
  EXPECT_FALSE(found.empty());
  must_repair(found);
  EXPECT_TRUE(index_is("NOT i.indisvalid"));
  kill_executor(child);
  // The server sees that its client is gone while it waits, and gives up. Only then may the reader end: the
  // build would come to its end otherwise.
  ASSERT_TRUE(wait_until(
      [&] { return row("SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index)") == "f"; }));
  must_on(*reader, "COMMIT");
  reader.reset();
  ASSERT_TRUE(index_is("NOT i.indisvalid"));
  const auto said = poundlock({"verify", "boundaries"});
  EXPECT_EQ(said.code, 1);
  EXPECT_FALSE(said.out.at("clean").as_bool());
  found = find();
  EXPECT_THAT(partial(found), testing::Contains("index shop.\"Idx New\""));
  const auto repaired = poundlock({"verify", "boundaries", "--repair"});
  EXPECT_EQ(repaired.code, 0) << bj::serialize(repaired.out);
  EXPECT_THAT(bj::serialize(repaired.out),
              HasSubstr("DROP INDEX CONCURRENTLY IF EXISTS shop.\\\"Idx New\\\""));
  EXPECT_FALSE(index_is("true"));
  EXPECT_THAT(partial(find(of(made))), testing::IsEmpty());
  EXPECT_EQ(poundlock({"verify", "boundaries"}).code, 0);
  must_run(*index);
  EXPECT_TRUE(index_is("i.indisvalid"));
  EXPECT_THAT(partial(find(of(made))), testing::IsEmpty());
}

// Each kind of step, killed as a process and by the server, at moments that nobody chose.
TEST_F(BoundariesTest, WhateverDiesWheneverEachStepIsWhollyDoneOrRepaired) {
  make_orders(30'000);
  const auto made = plan(kChange);
  std::mt19937 random(20'261'122);
  int cut = 0;
  for (const auto& each : made.steps) {
    if (each.phase != change::Phase::kDualWrite || each.kind == change::StepKind::kCheck ||
        each.kind == change::StepKind::kVerify)
      continue;
    for (int round = 0; round < 4; ++round) {
      const pid_t child = start_executor(each);
      int looks = static_cast<int>(random() % 12);
      int status = 0;
      bool ended = false;
      wait_until([&] { return (ended = ::waitpid(child, &status, WNOHANG) == child) || looks-- <= 0; });
      if (round % 2 == 1)
        must(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE pid <> "
            "pg_catalog.pg_backend_pid() AND application_name = 'poundlock' AND datname = 'app'");
      if (!ended) {
        ++cut;
        kill_executor(child);
      }
      ASSERT_TRUE(backends_gone());
      auto found = find(of(made));
      for (const auto& one : found) {
        if (!one.partial) continue;
        EXPECT_FALSE(one.repair.empty())
            << each.id << ": " << one.kind << " " << one.object << ": " << one.detail;
      }
      EXPECT_EQ(index_is("NOT i.indisvalid"),
                testing::Value(partial(found), testing::Contains("index shop.\"Idx New\"")))
          << each.id;
      must_repair(found);
      EXPECT_THAT(partial(find(of(made))), testing::IsEmpty()) << each.id << " round " << round;
      EXPECT_FALSE(index_is("NOT i.indisvalid"));
    }
    must_run(each);
    EXPECT_THAT(partial(find(of(made))), testing::IsEmpty()) << each.id;
  }
  EXPECT_GT(cut, 0);
  EXPECT_EQ(row("SELECT pg_catalog.count(*) FROM shop.\"Order Items\" WHERE new_status IS DISTINCT FROM "
                "legacy_status"),
            "0");
}

TEST_F(BoundariesTest, WhatARolloutThatIsOverLeftGoesAndOneThatIsUnderWayStays) {
  make_orders(10);
  const auto made = plan(kChange);
  must_expand(made);
  auto found = find();
  EXPECT_THAT(partial(found), testing::IsEmpty()) << "its steps stand";
  EXPECT_THAT(found, testing::Contains(testing::Field(&Finding::kind, "trigger")));
  must_repair(found);
  EXPECT_EQ(row("SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger WHERE NOT tgisinternal"), "1");
  // Taken back as far as the ledger knows.
  must(
      "INSERT INTO poundlock.ledger (rollout, step, direction, generation, attempt, detail) SELECT DISTINCT "
      "rollout, step, 'undo', 1, 'undo ' || step, '{}'::jsonb FROM poundlock.ledger");
  found = find();
  EXPECT_THAT(partial(found), testing::Contains(HasSubstr("trigger ")));
  EXPECT_THAT(partial(found), testing::Contains(HasSubstr("function ")));
  // An executor that is back at it holds the lock: then nothing is taken away.
  auto executor = open();
  must_on(*executor, "SELECT pg_catalog.pg_advisory_lock(727276, pg_catalog.hashtext('test'))");
  must_repair(found);
  EXPECT_EQ(row("SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger WHERE NOT tgisinternal"), "1");
  EXPECT_THAT(partial(find()), testing::IsEmpty());
  executor.reset();
  ASSERT_TRUE(wait_until([&] { return !partial(find()).empty(); }));
  EXPECT_EQ(poundlock({"verify", "boundaries", "--repair"}).code, 0);
  EXPECT_EQ(row("SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger WHERE NOT tgisinternal"), "0");
  EXPECT_EQ(
      row("SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = "
          "p.pronamespace WHERE pg_catalog.obj_description(p.oid, 'pg_proc') LIKE 'poundlock rollout%'"),
      "0");
}

TEST_F(BoundariesTest, WhatBelongsToSomebodyElseIsToldAndLeft) {
  must("CREATE TABLE shop.theirs (a int)");
  must("INSERT INTO shop.theirs VALUES (1), (1)");
  EXPECT_FALSE(session_->run("CREATE UNIQUE INDEX CONCURRENTLY theirs_a ON shop.theirs (a)"));
  must("CREATE TABLE shop.tree (a int) PARTITION BY LIST (a)");
  must("CREATE DATABASE app_poundlock_shadow");
  auto found = find();
  EXPECT_THAT(partial(found), testing::Contains("index shop.theirs_a"));
  must_repair(found);
  EXPECT_EQ(row("SELECT pg_catalog.to_regclass('shop.theirs_a')::text"), "shop.theirs_a");
  EXPECT_EQ(
      row("SELECT pg_catalog.count(*) FROM pg_catalog.pg_database WHERE datname = 'app_poundlock_shadow'"),
      "1")
      << "it bears no mark";
  must("COMMENT ON DATABASE app_poundlock_shadow IS 'poundlock.shadow = on'");
  EXPECT_EQ(poundlock({"verify", "boundaries", "--repair"}).code, 1);
  EXPECT_EQ(
      row("SELECT pg_catalog.count(*) FROM pg_catalog.pg_database WHERE datname = 'app_poundlock_shadow'"),
      "0");
  // Whoever knows better says so.
  EXPECT_EQ(poundlock({"verify", "boundaries", "--repair", "--index", "shop.theirs_a"}).code, 0);
  EXPECT_EQ(row("SELECT pg_catalog.to_regclass('shop.theirs_a')::text"), "<null>");
}

// Whoever looks at one rollout must not take another one, which is under way, for one that nobody knows.
TEST_F(BoundariesTest, LookingAtOneRolloutLeavesWhatAnotherOneKeeps) {
  make_orders(10);
  must_expand(plan(kChange));
  must("UPDATE poundlock.backfill SET done = false, at = at - interval '1 hour'");
  EXPECT_EQ(partial(find({.rollout = "another"})), std::vector<std::string>{});
  const auto said = poundlock({"verify", "boundaries", "--rollout", "another", "--repair"});
  EXPECT_EQ(said.code, 0) << bj::serialize(said.out);
  EXPECT_TRUE(said.out.at("findings").as_array().empty()) << bj::serialize(said.out);
  EXPECT_EQ(row("SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger WHERE NOT tgisinternal"), "1");
  EXPECT_NE(row("SELECT pg_catalog.count(*) FROM poundlock.backfill"), "0");
}

// A name makes nothing ours: a standby that is away for an hour, a half of somebody's two-phase commit.
TEST_F(BoundariesTest, SlotsAndPreparedTransactionsAreToldAndTakenOnlyByWhoeverVouches) {
  session_ = open("postgres");
  must("SELECT pg_catalog.pg_create_physical_replication_slot('poundlock_standby_1', true)");
  for (const char* name : {"poundlock_changes", "poundlock_in_use", "theirs"})
    must("SELECT pg_catalog.pg_create_logical_replication_slot($1, 'test_decoding')", {name});
  for (const char* name : {"poundlock-1", "theirs"}) {
    must("BEGIN");
    must("CREATE TABLE shop.\"made by " + std::string(name) + "\" (a int)");
    must("PREPARE TRANSACTION '" + std::string(name) + "'");
  }
  // A reader that follows its slot.
  const std::string reader = cluster_->conninfo("postgres", "app");
  const pid_t child = ::fork();
  if (child == 0) {
    ::execlp("pg_recvlogical", "pg_recvlogical", "-d", reader.c_str(), "--slot", "poundlock_in_use",
             "--start", "-f", "/dev/null", "--no-loop", nullptr);
    ::_exit(1);
  }
  ASSERT_TRUE(wait_until([&] {
    return row("SELECT active FROM pg_catalog.pg_replication_slots WHERE slot_name = 'poundlock_in_use'") ==
           "t";
  }));
  auto found = find();
  EXPECT_THAT(partial(found),
              testing::UnorderedElementsAre("slot poundlock_changes", "prepared transaction poundlock-1"));
  EXPECT_THAT(found, testing::Contains(testing::Field(&Finding::object, "theirs"))) << "it is shown";
  must_repair(found);
  EXPECT_EQ(row("SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots"), "4");
  EXPECT_EQ(row("SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts"), "2");
  found = find({.slots = {"poundlock_changes", "poundlock_in_use"}});
  must_repair(found);
  EXPECT_EQ(row("SELECT pg_catalog.string_agg(slot_name, ' ' ORDER BY slot_name) FROM "
                "pg_catalog.pg_replication_slots"),
            "poundlock_in_use poundlock_standby_1 theirs");
  EXPECT_THAT(partial(find()), testing::ElementsAre("prepared transaction poundlock-1"));
  kill_executor(child);
  must("ROLLBACK PREPARED 'theirs'");
  must("ROLLBACK PREPARED 'poundlock-1'");
  ASSERT_TRUE(wait_until(
      [&] { return row("SELECT pg_catalog.bool_or(active) FROM pg_catalog.pg_replication_slots") == "f"; }));
  must("SELECT pg_catalog.pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots");
}

// Names of others that are part of ours, and what an executor ended after it was found.
TEST_F(BoundariesTest, NothingIsTakenForItsLikenessOrAfterItWasEnded) {
  make_orders(1'000);
  auto admin = open("postgres");
  const auto valid = [&](const std::string& value) {
    must_on(*admin, "UPDATE pg_catalog.pg_index SET indisvalid = " + value +
                        " WHERE indexrelid = 'shop.\"Idx New\"'::pg_catalog.regclass");
  };
  must("ALTER TABLE shop.\"Order Items\" ADD CONSTRAINT new CHECK (id > 0) NOT VALID");
  const auto made = plan(kChange);
  auto found = find(of(made));
  EXPECT_THAT(partial(found), testing::IsEmpty()) << "the rollout has not even begun";
  must_repair(found);
  EXPECT_EQ(row("SELECT conname FROM pg_catalog.pg_constraint WHERE NOT convalidated"), "new");
  for (const auto& each : made.steps) {
    if (each.phase != change::Phase::kDualWrite || each.kind == change::StepKind::kCheck ||
        each.kind == change::StepKind::kVerify)
      continue;
    if (!each.repair.empty()) break;
    must_run(each);
  }
  must("CREATE UNIQUE INDEX \"Idx New\" ON shop.\"Order Items\" (id)");
  valid("false");
  found = find(of(made));
  EXPECT_THAT(partial(found), testing::Contains(HasSubstr("step ")));
  EXPECT_THAT(partial(found), testing::Contains("index shop.\"Idx New\""));
  valid("true");
  must_repair(found);
  EXPECT_TRUE(index_is("i.indisvalid")) << "it was ended meanwhile";
  EXPECT_THAT(partial(found), testing::IsEmpty());
}

// A migration that a tool ran, statement by statement, and that stopped at its index.
TEST_F(BoundariesTest, EachStepOfAnSqlFileIsWhollyDoneOrNotAtAll) {
  must("CREATE TABLE shop.\"Order Items\" (id bigint PRIMARY KEY, code int)");
  must("INSERT INTO shop.\"Order Items\" VALUES (1, 7), (2, 7)");
  const std::string file = "/tmp/poundlock_boundaries_" + std::to_string(::getpid()) + ".sql";
  std::ofstream(file) << "ALTER TABLE shop.\"Order Items\" ADD COLUMN note text;\n"
                         "CREATE UNIQUE INDEX CONCURRENTLY \"By Code\" ON shop.\"Order Items\" (code);\n"
                         "CREATE TABLE shop.later (a int);\n";
  const auto details = [&](const Ran& ran) {
    std::string out;
    for (const auto& one : ran.out.at("findings").as_array())
      if (one.at("kind").as_string() == "step")
        out += std::string(one.at("detail").as_string()).substr(0, one.at("detail").as_string().find(':')) +
               "; ";
    return out;
  };
  auto said = poundlock({"verify", "boundaries", "--file", file});
  EXPECT_EQ(said.code, 0) << bj::serialize(said.out);
  EXPECT_EQ(details(said), "not done; not done; not done; ");
  must("ALTER TABLE shop.\"Order Items\" ADD COLUMN note text");
  EXPECT_FALSE(session_->run("CREATE UNIQUE INDEX CONCURRENTLY \"By Code\" ON shop.\"Order Items\" (code)"));
  said = poundlock({"verify", "boundaries", "--file", file});
  EXPECT_EQ(said.code, 1);
  EXPECT_EQ(details(said), "wholly done; half done; not done; ") << bj::serialize(said.out);
  said = poundlock({"verify", "boundaries", "--file", file, "--repair"});
  EXPECT_EQ(said.code, 0) << bj::serialize(said.out);
  EXPECT_EQ(row("SELECT pg_catalog.to_regclass('shop.\"By Code\"')::text"), "<null>");
  said = poundlock({"verify", "boundaries", "--file", file});
  EXPECT_EQ(details(said), "wholly done; not done; not done; ");
  ::unlink(file.c_str());
}

// A rollout may be called as the verb is.
TEST_F(BoundariesTest, ARolloutCalledBoundariesCanStillBeVerified) {
  const auto other = poundlock({"verify", "--rollout", "boundaries"});
  EXPECT_THAT(bj::serialize(other.out), testing::Not(HasSubstr("findings")));
  EXPECT_NE(other.code, 0) << "no such rollout is known here";
  EXPECT_TRUE(poundlock({"verify", "boundaries"}).out.as_object().contains("findings"));
}

TEST_F(BoundariesTest, ASchemaThatIsNotAsRecordedIsTold) {
  make_orders(1);
  const std::string file = "/tmp/poundlock_boundaries_" + std::to_string(::getpid());
  EXPECT_EQ(poundlock({"verify", "boundaries", "--write-fingerprint", file}).code, 0);
  EXPECT_EQ(poundlock({"verify", "boundaries", "--fingerprint", file}).code, 0);
  // A schema of many objects is recorded in a large file, which has to be read again.
  const std::string large = file + ".large";
  {
    std::ifstream in(file);
    std::ofstream out(large);
    out << in.rdbuf();
    for (int i = 0; i < 60'000; ++i) out << "table public.\"a table of many " << i << "\"\n";
  }
  EXPECT_EQ(poundlock({"verify", "boundaries", "--fingerprint", large}).code, 1) << "they are not there";
  must("ALTER TABLE shop.\"Order Items\" ADD extra int");
  const auto said = poundlock({"verify", "boundaries", "--fingerprint", file, "--repair"});
  EXPECT_EQ(said.code, 1);
  EXPECT_THAT(bj::serialize(said.out), HasSubstr("column extra integer"));
  for (const auto& one : {file, large}) ::unlink(one.c_str());
}

}  // namespace
}  // namespace poundlock::scenario
