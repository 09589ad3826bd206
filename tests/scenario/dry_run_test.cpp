// poundlock dry-run on real servers: what it sees, what it measures, what it refuses, and that nothing stays.
#include <random>

#include "support/dry_run_fixture.h"

namespace poundlock::scenario {
namespace {

using testing::HasSubstr;

TEST_F(DryRunTest, ShowsLocksRewritesAndScansOfUnsafeSqlAndLeavesTheShadowAsItWas) {
  write("a.sql",
        "BEGIN;\nALTER TABLE orders ADD COLUMN note text DEFAULT 'x';\n"
        "ALTER TABLE orders ALTER COLUMN amount TYPE bigint;\nCOMMIT;\n"
        "CREATE INDEX CONCURRENTLY i ON orders (amount);\n"
        "ALTER TABLE \"Order Items\" ADD CONSTRAINT fk FOREIGN KEY (\"orderId\") REFERENCES orders;\n"
        "ALTER TABLE orders ALTER COLUMN status SET NOT NULL;\nVACUUM FULL orders;\nDROP TABLE \"Order "
        "Items\";\n");
  const auto report = json({"--shadow", shadow(), "--no-queue", "a.sql"}, 0);
  EXPECT_TRUE(report.at("passed").as_bool());
  const auto& statements = report.at("statements").as_array();
  ASSERT_EQ(statements.size(), 7U);
  EXPECT_EQ(mode_of(statements[0], "public.orders"), "AccessExclusiveLock");
  EXPECT_TRUE(statements[0].at("rewrites").as_array().empty());
  EXPECT_TRUE(statements[0].at("scans").as_array().empty());
  EXPECT_TRUE(holds(statements[1].at("rewrites"), "public.orders"));
  EXPECT_GT(statements[1].at("wal_bytes").to_number<std::int64_t>(), 500'000);
  EXPECT_GT(statements[1].at("disk_bytes").to_number<std::int64_t>(), 500'000);
  EXPECT_EQ(mode_of(statements[2], "public.orders"), "ShareUpdateExclusiveLock");
  EXPECT_TRUE(holds(statements[2].at("index_builds"), "public.i"));
  EXPECT_FALSE(statements[2].at("in_transaction").as_bool());
  EXPECT_EQ(mode_of(statements[3], "public.orders"), "ShareRowExclusiveLock");
  EXPECT_EQ(mode_of(statements[3], "public.\"Order Items\""), "ShareRowExclusiveLock");
  EXPECT_TRUE(holds(statements[4].at("scans"), "public.orders"));
  EXPECT_TRUE(statements[4].at("rewrites").as_array().empty());
  EXPECT_TRUE(holds(statements[5].at("rewrites"), "public.orders"));
  EXPECT_EQ(mode_of(statements[5], "public.orders"), "AccessExclusiveLock");
  EXPECT_EQ(mode_of(statements[6], "public.\"Order Items\""),
            "AccessExclusiveLock");  // it has no name any more
  EXPECT_EQ(columns(), "id,status,amount");
  EXPECT_FALSE(left_behind());
}

// Without a lock time-out everybody waits for the long transaction; with ours nobody does for long.
TEST_F(DryRunTest, MeasuresTheLockQueueWithAndWithoutOurPolicy) {
  write("a.sql", "ALTER TABLE orders ADD COLUMN note text;");
  const auto report = json({"--shadow", shadow(), "--long-transaction", "1500ms", "a.sql"}, 0);
  const auto& queue = report.at("queue");
  const auto with = queue.at("longest_stall_ms").to_number<std::int64_t>();
  const auto without = queue.at("longest_stall_ms_without_policy").to_number<std::int64_t>();
  EXPECT_GT(without, 1'000);
  EXPECT_LT(with, 600);  // 50 ms on a machine that has nothing else to do
  EXPECT_GT(queue.at("lock_tries").to_number<int>(), 2);
  EXPECT_GT(queue.at("application_statements").to_number<int>(), 10);
}

TEST_F(DryRunTest, FindsADeadlockOfAMigrationWithTheTraffic) {
  write("a.sql",
        "BEGIN;\nLOCK TABLE orders IN ACCESS EXCLUSIVE MODE;\nSELECT pg_sleep(0.1);\n"
        "LOCK TABLE \"Order Items\" IN ACCESS EXCLUSIVE MODE;\nCOMMIT;\n");
  // The other way round, with a moment between the two.
  write(
      "traffic.sql",
      "\\set id random(1, 100)\nBEGIN;\nDELETE FROM \"Order Items\" WHERE id = :id;\nSELECT pg_sleep(0.05);\n"
      "UPDATE orders SET status = 'x' WHERE id = :id;\nEND;\n");
  const auto report = json({"--shadow", shadow(), "--long-transaction", "0s", "--lock-timeout", "5s",
                            "--traffic", "traffic.sql", "a.sql"},
                           1);
  EXPECT_FALSE(report.at("passed").as_bool());
  EXPECT_GT(report.at("queue").at("deadlocks").to_number<int>(), 0);
  EXPECT_THAT(json::dump(report.at("why_not")), HasSubstr("deadlock"));
}

TEST_F(DryRunTest, AStatementThatFailsEndsItWithItsReason) {
  write("a.sql",
        "ALTER TABLE orders ADD COLUMN note text;\nALTER TABLE orders ALTER COLUMN status TYPE int USING "
        "status::int;\nDROP TABLE orders;\n");
  const auto report = json({"--shadow", shadow(), "--no-queue", "a.sql"}, 1);
  ASSERT_EQ(report.at("statements").as_array().size(), 2U);
  EXPECT_EQ(report.at("statements").at(1).at("error").at("sqlstate").as_string(), "22P02");
  EXPECT_EQ(report.at("statements").at(1).at("line").to_number<int>(), 2);
  EXPECT_EQ(columns(), "id,status,amount");
}

TEST_F(DryRunTest, ARolloutRunsForwardOnTheShadowAlone) {
  write("r.yaml", std::string(kStatusRollout) + R"(paths:
  - name: by_id
    legacy: SELECT id, status AS s FROM orders WHERE id = $1
    new: SELECT id, new_status AS s FROM orders WHERE id = $1
)");
  const int code = run({"--shadow", shadow(), "--long-transaction", "300ms", "--output-sql", "out.sql",
                        "--output", "json", "r.yaml"});
  const auto report = json::parse(out_.str(), "out")->as_object();
  // On a machine with other work a statement may wait longer than 50 ms: that alone says no.
  const auto& replay = report.at("replay");
  EXPECT_EQ(code, replay.at("contention").to_number<int>() == 0 ? 0 : 1) << json::dump(report.at("why_not"));
  EXPECT_EQ(replay.at("errors").to_number<int>(), 0) << json::dump(report.at("why_not"));
  EXPECT_GT(replay.at("statements").to_number<int>(), 0);
  for (const auto& one : report.at("statements").as_array())
    EXPECT_FALSE(one.as_object().contains("error")) << json::dump(one);
  EXPECT_GT(report.at("queue").at("transactions").to_number<int>(), 0);
  EXPECT_GE(report.at("queue").at("longest_stall_ms_without_policy").to_number<int>(), 100);
  EXPECT_EQ(columns(), "id,status,amount");
  EXPECT_FALSE(left_behind());
  std::ifstream in(folder_ / "out.sql");
  const std::string sql((std::istreambuf_iterator<char>(in)), {});
  EXPECT_THAT(sql, HasSubstr("SET LOCAL lock_timeout = '50ms';"));
  EXPECT_THAT(sql, HasSubstr("ADD COLUMN"));
}

// The real table has ten times the rows.
TEST_F(DryRunTest, ScalesWhatGrowsToTheRealTableAndSaysWhy) {
  must("DROP TABLE IF EXISTS public.orders");
  must("CREATE TABLE public.orders (id bigint PRIMARY KEY, status text, amount int)");
  must("INSERT INTO public.orders SELECT g, 's' || g % 5, g FROM generate_series(1, 200000) g");
  must("ANALYZE public.orders");
  write("a.sql",
        "ALTER TABLE orders ADD COLUMN a int;\nALTER TABLE orders ALTER COLUMN amount TYPE bigint;\n");
  const auto report =
      json({"--shadow", shadow(), "--database-url", cluster_->conninfo(), "--no-queue", "a.sql"}, 0);
  const auto& statements = report.at("statements").as_array();
  EXPECT_EQ(statements[0].at("basis").as_string(), "");
  EXPECT_THAT(std::string(statements[1].at("basis").as_string()), HasSubstr("200000 rows"));
  const double seconds = statements[1].at("seconds").to_number<double>();
  EXPECT_NEAR(statements[1].at("scaled_seconds").to_number<double>(), seconds * 10, seconds * 2);
  EXPECT_EQ(row("SELECT count(*) FROM information_schema.columns WHERE table_name = 'orders' AND column_name "
                "= 'a'"),
            "0");
  must("DROP TABLE public.orders");
}

TEST_F(DryRunTest, FlywaysFolderRunsInItsOrderWithoutWhatIsAppliedAndUndone) {
  write("m/V1__base.sql", "CREATE TABLE public.never (a int);");
  write("m/V10__last.sql", "ALTER TABLE orders DROP COLUMN two;");
  write("m/V2__two.sql", "ALTER TABLE orders ADD COLUMN two int;");
  write("m/U2__two.sql", "ALTER TABLE orders DROP COLUMN nothing_of_this_name;");
  {
    auto inside = std::move(*database_->sibling("given")->connect());
    must_on(*inside, "CREATE TABLE public.flyway_schema_history (version text, script text, success bool)");
    must_on(*inside, "INSERT INTO public.flyway_schema_history VALUES ('1', 'V1__base.sql', true)");
  }
  const auto report = json({"--shadow", shadow(), "--no-queue", "m"}, 0);
  ASSERT_EQ(report.at("statements").as_array().size(), 2U);
  EXPECT_EQ(report.at("statements").at(0).at("source").as_string(), "m/V2__two.sql");
  EXPECT_EQ(report.at("statements").at(1).at("source").as_string(), "m/V10__last.sql");
}

TEST_F(DryRunTest, RefusesWhatIsNoShadowOrNoSql) {
  write("a.sql", "ALTER TABLE orders ADD COLUMN a int;");
  write("broken.sql", "ALTER TABLE orders ADD COLUMN;\n");
  write("empty.sql", "-- nothing\n");
  EXPECT_EQ(run({"--shadow", cluster_->conninfo(), "a.sql"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("does not bear the mark"));
  EXPECT_EQ(run({"--shadow", shadow(), "broken.sql"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("broken.sql:1:"));
  EXPECT_EQ(run({"--shadow", shadow(), "empty.sql"}), 2);
  EXPECT_EQ(run({"a.sql"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("--shadow URL"));
  EXPECT_FALSE(left_behind());
}

// The shadow lies in production's cluster: its end takes back no role and no other database's settings.
TEST_F(DryRunTest, RefusesWhatReachesBeyondTheDatabaseBeforeAnythingRuns) {
  write("a.sql", "CREATE TABLE public.first (id int);\nALTER DATABASE given SET work_mem = '1MB';\n");
  EXPECT_EQ(run({"--shadow", shadow(), "--in-place", "a.sql"}), 2);
  EXPECT_THAT(err_.str(),
              AllOf(HasSubstr("ALTER DATABASE reaches beyond the database"), HasSubstr("at a.sql:2:1")));
  auto inside = std::move(*database_->sibling("given")->connect());
  EXPECT_EQ(inside->run("SELECT to_regclass('public.first')")->rows[0][0], std::nullopt);
  write("b.sql", "DO $$ BEGIN PERFORM 1; END $$;\n");
  EXPECT_EQ(run({"--shadow", shadow(), "--no-queue", "b.sql"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("a DO block does outside the database cannot be seen"));
}

TEST_F(DryRunTest, WritesJunitForPipelines) {
  write("a.sql", "ALTER TABLE orders ADD COLUMN \"a<b\" int;");
  EXPECT_EQ(run({"--shadow", shadow(), "--no-queue", "--output", "junit", "a.sql"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("tests=\"2\" failures=\"0\""));
  EXPECT_THAT(out_.str(), HasSubstr("&quot;a&lt;b&quot;"));
}

// The same file as written and as planned: its index is built without a lock that stops writers.
TEST_F(DryRunTest, PlannedStepsRunInPlaceOfWhatIsWritten) {
  write("a.sql", "CREATE INDEX by_status ON public.orders (status);\n");
  const auto written = json({"--shadow", shadow(), "--no-queue", "a.sql"}, 0);
  EXPECT_EQ(mode_of(written.at("statements").at(0), "public.orders"), "ShareLock");
  const auto planned = json({"--shadow", shadow(), "--no-queue", "--planned", "a.sql"}, 0);
  bool built = false;
  for (const auto& one : planned.at("statements").as_array()) {
    EXPECT_NE(mode_of(one, "public.orders"), "ShareLock");
    built = built || !one.at("index_builds").as_array().empty();
  }
  EXPECT_TRUE(built);
}

// What reads the legacy column is its owner's to move: the contract is tried without it, and that is said.
TEST_F(DryRunTest, AViewOnTheLegacyColumnIsSetAsideBeforeTheContractAndNamed) {
  {
    auto inside = std::move(*database_->sibling("given")->connect());
    must_on(*inside, "CREATE VIEW public.\"Open Orders\" AS SELECT id, status FROM public.orders");
    must_on(*inside,
            "CREATE MATERIALIZED VIEW public.counted AS SELECT status, count(*) FROM "
            "public.\"Open Orders\" GROUP BY 1");
  }
  write("r.yaml", kStatusRollout);
  (void)run({"--shadow", shadow(), "--no-queue", "--output", "json", "r.yaml"});
  const auto report = json::parse(out_.str(), "out")->as_object();
  for (const auto& one : report.at("statements").as_array())
    EXPECT_FALSE(one.as_object().contains("error")) << json::dump(one);
  EXPECT_THAT(json::dump(report.at("notes")), HasSubstr("view public.\\\"Open Orders\\\" reads"));
  EXPECT_EQ(columns(), "id,status,amount");
  auto inside = std::move(*database_->sibling("given")->connect());
  EXPECT_EQ(must_on(*inside, "SELECT count(*) FROM public.counted").rows[0][0], "5");
}

// A policy is no view: the drop is refused, and the report says what is in the way and what to do.
TEST_F(DryRunTest, ADropThatIsRefusedNamesWhatIsInTheWay) {
  {
    auto inside = std::move(*database_->sibling("given")->connect());
    must_on(*inside, "CREATE POLICY open_only ON public.orders USING (status <> 'closed')");
  }
  write("r.yaml", kStatusRollout);
  (void)run({"--shadow", shadow(), "--no-queue", "--output", "json", "r.yaml"});
  const auto report = json::parse(out_.str(), "out")->as_object();
  EXPECT_FALSE(report.at("passed").as_bool());
  EXPECT_THAT(json::dump(report.at("why_not")), HasSubstr("in the way: policy open_only"));
  EXPECT_FALSE(left_behind());
}

// It cannot be rolled back and run again: that is said, and the others are measured.
TEST_F(DryRunTest, SaysWhoseLockQueueCannotBeMeasured) {
  write("a.sql",
        "CREATE INDEX i ON orders (status);\nDROP INDEX CONCURRENTLY i;\nALTER TABLE orders ADD COLUMN a "
        "int;\n");
  const auto report = json({"--shadow", shadow(), "--long-transaction", "200ms", "a.sql"}, 0);
  const auto& queue = report.at("queue");
  EXPECT_EQ(queue.at("transactions").to_number<int>(), 2);
  EXPECT_THAT(json::dump(queue.at("notes")), HasSubstr("DROP INDEX CONCURRENTLY i"));
}

// Each by itself, as often as it takes: VACUUM FULL behind a reader stops the application, an index that is
// built concurrently does not, and is not there twice.
TEST_F(DryRunTest, MeasuresTheLockQueueOfWhatRefusesATransaction) {
  write("vacuum.sql", "VACUUM (FULL) orders;\n");
  const auto queue = json({"--shadow", shadow(), "--long-transaction", "600ms", "vacuum.sql"}, 0).at("queue");
  EXPECT_EQ(queue.at("transactions").to_number<int>(), 1) << json::dump(queue);
  EXPECT_GE(queue.at("longest_stall_ms_without_policy").to_number<int>(), 400) << json::dump(queue);
  EXPECT_LT(queue.at("longest_stall_ms").to_number<int>(),
            queue.at("longest_stall_ms_without_policy").to_number<int>());
  EXPECT_GT(queue.at("lock_tries").to_number<int>(), 1);
  write("index.sql", "CREATE INDEX CONCURRENTLY \"On Status\" ON orders (status);\n");
  const auto built = json({"--shadow", shadow(), "--long-transaction", "200ms", "index.sql"}, 0).at("queue");
  EXPECT_EQ(built.at("transactions").to_number<int>(), 1) << json::dump(built);
  EXPECT_EQ(json::dump(built.at("notes")), "[]");
}

TEST_F(DryRunTest, HundredsOfPartitionsAreNotAllNamedToAPerson) {
  auto inside = std::move(*database_->sibling("given")->connect());
  must_on(*inside, "CREATE TABLE public.parts (id int) PARTITION BY RANGE (id)");
  must_on(*inside,
          "DO $$ BEGIN FOR i IN 1..40 LOOP EXECUTE format('CREATE TABLE public.part_%s PARTITION OF "
          "public.parts FOR "
          "VALUES FROM (%s) TO (%s)', i, i, i + 1); END LOOP; END $$");
  inside.reset();
  write("a.sql", "ALTER TABLE parts ADD COLUMN a int;\n");
  EXPECT_EQ(run({"--shadow", shadow(), "--no-queue", "a.sql"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr(" and 36 more"));
  const auto report = json({"--shadow", shadow(), "--no-queue", "a.sql"}, 0);
  EXPECT_GE(report.at("statements").at(0).at("locks").as_array().size(), 41U);
}

// The first Ctrl-C ends the statement that runs, not the wait for it, and the shadow is taken away.
TEST_F(DryRunTest, AnInterruptionCancelsTheStatementThatRuns) {
  write("a.sql", "ALTER TABLE orders ADD COLUMN a int;\nSELECT pg_sleep(600);\n");
  const std::string file = (folder_ / "a.sql").string(), url = shadow();
  for (const bool in_place : {false, true}) {
    std::vector<std::string> arguments{"--no-queue", "--shadow", url, file};
    if (in_place) arguments.insert(arguments.begin(), "--in-place");
    const pid_t child = spawn(arguments);
    EXPECT_TRUE(wait_until([&] {
      return row("SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'given%' AND query LIKE "
                 "'%pg_sleep%' AND state = 'active'") == "1";
    }));
    kill(child, SIGINT);
    int status = 0;
    EXPECT_TRUE(wait_until([&] { return waitpid(child, &status, WNOHANG) == child; }));
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 130) << status;
    std::ifstream in(folder_ / "err");
    EXPECT_THAT(std::string((std::istreambuf_iterator<char>(in)), {}), HasSubstr("stopped"));
    EXPECT_FALSE(left_behind());
  }
}

// It was told to stop, and takes back all the same what it has done so far.
TEST_F(DryRunTest, AnInterruptedRolloutIsTakenBackFromTheShadowItself) {
  write("r.yaml", kStatusRollout);
  {
    auto inside = std::move(*database_->sibling("given")->connect());
    must_on(*inside, "INSERT INTO public.orders SELECT g, 's', g FROM generate_series(20001, 1000000) g");
    must_on(*inside, "ANALYZE public.orders");
  }
  const pid_t child =
      spawn({"--in-place", "--no-queue", "--shadow", shadow(), (folder_ / "r.yaml").string()});
  EXPECT_TRUE(wait_until([&] {
    return row("SELECT count(*) FROM pg_stat_activity WHERE datname = 'given' AND query LIKE "
               "'%backfill_batch%'") != "0";
  }));
  kill(child, SIGINT);
  int status = 0;
  EXPECT_TRUE(wait_until([&] { return waitpid(child, &status, WNOHANG) == child; }));
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 130) << status;
  EXPECT_EQ(columns(), "id,status,amount");
}

TEST_F(DryRunTest, TheConfigurationSaysHowManyRowsAreSampled) {
  write("a.sql", "ALTER TABLE orders ADD COLUMN a int;\n");
  write("poundlock.yaml", "environments:\n  dev:\n    databases:\n      app:\n        url: \"" + shadow() +
                              "\"\n        shadow: {create: true, rows: 700}\n");
  const auto rows = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--no-queue", "a.sql"});
    const auto report = json(std::move(arguments), 0);
    return report.at("shadow").at("tables").at(0).at("shadow_rows").to_number<double>();
  };
  EXPECT_NEAR(rows({}), 650, 51);  // the sample is drawn by a share of the estimate
  EXPECT_NEAR(rows({"--rows", "300"}), 270, 31);
  EXPECT_EQ(rows({"--template"}), 20'000);
}

TEST_F(DryRunTest, ARoleWithoutRightsIsToldWhichAreMissing) {
  const auto super = open("postgres");
  must_on(*super, "CREATE ROLE weak LOGIN");
  write("a.sql", "ALTER TABLE orders ADD COLUMN a int;");
  const std::string weak = cluster_->conninfo("weak", "given");
  const auto report = json({"--shadow", weak, "--no-queue", "a.sql"}, 1);
  EXPECT_THAT(json::dump(report.at("why_not")), HasSubstr("must be owner of table orders"));
  EXPECT_THAT(std::string(report.at("shadow").at("description").as_string()),
              HasSubstr("not copied: this role does not own it or may not create databases"));
  EXPECT_EQ(run({"--database-url", weak, "--no-queue", "a.sql"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("permission denied to create database"));
  EXPECT_THAT(err_.str(), HasSubstr("CREATEDB"));
  must_on(*super, "ALTER ROLE weak CREATEDB");
  EXPECT_EQ(run({"--database-url", weak, "--no-queue", "a.sql"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("permission denied for table"));
  EXPECT_THAT(err_.str(), HasSubstr("pg_read_all_data"));
  EXPECT_EQ(columns(), "id,status,amount");
  must_on(*super, "DROP ROLE weak");
}

// What another database's statistics say ran most often is what has to wait, and nothing else is played.
TEST_F(DryRunTest, TheTrafficOfAnotherDatabaseIsPlayed) {
  auto busy = PgCluster::start({.settings = {"shared_preload_libraries=pg_stat_statements"}});
  if (!busy) GTEST_SKIP() << "no pg_stat_statements here: " << busy.error().to_string();
  must_on(**(*busy)->database("postgres")->connect(), "CREATE EXTENSION IF NOT EXISTS pg_stat_statements");
  auto application = std::move(*(*busy)->database()->connect());
  must_on(*application, "CREATE TABLE public.orders (id bigint PRIMARY KEY, status text, amount int)");
  must_on(*application, "CREATE TABLE public.\"Order Items\" (id bigint PRIMARY KEY, \"orderId\" bigint)");
  must_on(*application, "SELECT \"orderId\" FROM public.\"Order Items\" WHERE id = $1", {"7"});
  write("a.sql", "ALTER TABLE orders ADD COLUMN note text;");
  const auto stall = [&] {
    const auto report = json({"--shadow", shadow(), "--long-transaction", "1500ms", "--traffic-from",
                              (*busy)->conninfo(), "a.sql"},
                             0);
    EXPECT_GT(report.at("queue").at("application_statements").to_number<int>(), 10);
    return report.at("queue").at("longest_stall_ms_without_policy").to_number<std::int64_t>();
  };
  EXPECT_LT(stall(), 1'000);  // nobody there reads or writes the table
  must_on(*application, "UPDATE public.orders SET status = $1 WHERE id = $2", {"x", "7"});
  EXPECT_GT(stall(), 1'000);
}

// What is not of this schema, or was no statement any more when it was counted, is no reason not to play the
// rest.
TEST_F(DryRunTest, TrafficThatCannotBePlayedHereIsLeftOutByName) {
  auto busy = PgCluster::start({.settings = {"shared_preload_libraries=pg_stat_statements"}});
  if (!busy) GTEST_SKIP() << "no pg_stat_statements here: " << busy.error().to_string();
  must_on(**(*busy)->database("postgres")->connect(), "CREATE EXTENSION IF NOT EXISTS pg_stat_statements");
  auto application = std::move(*(*busy)->database()->connect());
  must_on(*application, "CREATE TABLE public.orders (id bigint PRIMARY KEY, status text, of_yesterday date)");
  must_on(*application, "SELECT count(*) FROM public.orders WHERE now() > now() - interval '1 day'");
  must_on(*application, "SELECT id FROM public.orders WHERE of_yesterday IS NULL");
  write("a.sql", "ALTER TABLE orders ADD COLUMN note text;");
  const std::vector<std::string> arguments{
      "--shadow", shadow(), "--long-transaction", "200ms", "--traffic-from", (*busy)->conninfo(), "a.sql"};
  const auto none = json(arguments, 1);
  EXPECT_THAT(json::dump(none.at("why_not")), HasSubstr("no statement of --traffic-from can be played"));
  EXPECT_THAT(
      json::dump(none.at("notes")),
      testing::AllOf(HasSubstr("left out of the traffic: SELECT id FROM public.orders"),
                     HasSubstr("of_yesterday\\\" does not exist"), testing::Not(HasSubstr("pg_catalog")),
                     HasSubstr("left out of the traffic: SELECT count(*) FROM public.orders")));
  must_on(*application, "SELECT status FROM public.orders WHERE id = $1", {"7"});
  const auto some = json(arguments, 0);
  EXPECT_GT(some.at("queue").at("application_statements").to_number<int>(), 10);
  EXPECT_THAT(json::dump(some.at("notes")),
              HasSubstr("left out of the traffic: SELECT id FROM public.orders"));
}

// An autovacuum worker is nobody: CREATE DATABASE ends it, and an ordinary role does not even see what it is.
TEST_F(DryRunTest, AnAutovacuumWorkerDoesNotKeepTheShadowFromBeingCopied) {
  auto inside = std::move(*database_->sibling("given")->connect());
  must_on(*inside,
          "CREATE TABLE public.busy (a int, t text) WITH (autovacuum_vacuum_cost_delay = 100, "
          "autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_threshold = 1)");
  must_on(*inside, "INSERT INTO public.busy SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g");
  must_on(*inside, "DELETE FROM public.busy");
  inside.reset();
  const auto root = open("postgres");
  must_on(*root, "ALTER SYSTEM SET autovacuum_naptime = '1s'");
  must_on(*root, "SELECT pg_reload_conf()");
  EXPECT_TRUE(wait_until(
      [&] {
        return !must_on(*root,
                        "SELECT FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND datname = "
                        "'given'")
                    .rows.empty();
      },
      std::chrono::seconds(90)));
  write("a.sql", "ALTER TABLE orders ADD COLUMN a int;");
  const auto report = json({"--shadow", shadow(), "--no-queue", "a.sql"}, 0);
  EXPECT_THAT(std::string(report.at("shadow").at("description").as_string()), HasSubstr("a copy of given"));
  EXPECT_EQ(columns(), "id,status,amount");
  must_on(*root, "DROP DATABASE given WITH (FORCE)");  // with the worker
  must_on(*root, "ALTER SYSTEM RESET autovacuum_naptime");
  must_on(*root, "SELECT pg_reload_conf()");
}

// Killed at any instant, the next run finds and removes what it left.
TEST_F(DryRunTest, LeavesNothingBehindAfterItWasKilled) {
  write("a.sql", "ALTER TABLE orders ADD COLUMN a int;\nSELECT pg_sleep(60);\n");
  write("b.sql", "ALTER TABLE orders ADD COLUMN a int;\n");
  const std::string file = (folder_ / "a.sql").string(), url = shadow();
  const pid_t child = spawn({"--no-queue", "--shadow", url, file});
  EXPECT_TRUE(wait_until([&] {
    return row("SELECT count(*) FROM pg_stat_activity WHERE datname = 'given_poundlock_copy' AND query LIKE "
               "'%pg_sleep%' AND state = 'active'") == "1";
  }));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(left_behind());
  nobody_in_given();
  (void)json({"--shadow", url, "--no-queue", "b.sql"}, 0);
  EXPECT_FALSE(left_behind());
  EXPECT_EQ(columns(), "id,status,amount");
}

// Wherever it is in its work: while the copy is made, marked, worked on or dropped. The second half has a
// source that is sampled into a database beside it, by programs that outlive us for a moment.
TEST_F(DryRunTest, LeavesNothingBehindWheneverItIsKilled) {
  write("a.sql",
        "ALTER TABLE orders ADD COLUMN a int;\nALTER TABLE orders ALTER COLUMN amount TYPE bigint;\n");
  const std::string file = (folder_ / "a.sql").string(), url = shadow();
  const std::vector<std::string> copy{"--no-queue", "--shadow", url, file};
  const std::vector<std::string> sampled{"--no-queue", "--database-url", url, "--rows", "500", file};
  const std::vector<std::string> whole{"--no-queue", "--database-url", url, "--template", file};
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  RecordProperty("seed", std::to_string(seed));
  int killed = 0;
  for (int round = 0; round < 12; ++round) {
    const auto& arguments = round % 3 == 0 ? copy : round % 3 == 1 ? sampled : whole;
    const std::chrono::milliseconds after(random() % 700);
    const pid_t child = spawn(arguments);
    int status = 0;
    bool ended = false;
    (void)wait_until([&] { return ended = waitpid(child, &status, WNOHANG) == child; }, after);
    if (!ended) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
      ++killed;
    }
    nobody_in_given();
    (void)json(arguments, 0);
    EXPECT_FALSE(left_behind()) << "killed after " << after.count() << " ms, seed " << seed;
    EXPECT_EQ(columns(), "id,status,amount") << "killed after " << after.count() << " ms, seed " << seed;
  }
  EXPECT_GT(killed, 3);
}

// The commands stand for a snapshot that is restored and thrown away.
TEST_F(DryRunTest, HooksMakeAShadowAndItIsAlwaysTakenAway) {
  write("a.sql", "ALTER TABLE orders ADD COLUMN a int;\nSELECT pg_sleep(0);\n");
  write("wrong.sql", "ALTER TABLE orders DROP COLUMN nothing_of_this_name;\n");
  const std::string log = (folder_ / "log").string();
  const std::string create = "echo made >> " + log + "; echo progress; echo '" + shadow() + "'";
  const std::string destroy = "echo \"gone $POUNDLOCK_SHADOW_URL\" >> " + log;
  const auto told = [&] {
    std::ifstream in(log);
    return std::string((std::istreambuf_iterator<char>(in)), {});
  };
  const std::vector<std::string> hooks{
      "--database-url", cluster_->conninfo(), "--no-queue", "--shadow-create",
      create,           "--shadow-destroy",   destroy};
  auto arguments = hooks;
  arguments.push_back("a.sql");
  (void)json(arguments, 0);
  EXPECT_EQ(told(), "made\ngone " + shadow() + "\n");
  EXPECT_EQ(columns(), "id,status,amount,a");  // worked on itself: it is thrown away as a whole
  arguments = hooks;
  arguments.push_back("wrong.sql");
  (void)json(arguments, 1);
  EXPECT_EQ(told(), "made\ngone " + shadow() + "\nmade\ngone " + shadow() + "\n");
  fs::remove(log);
  arguments = {"--database-url",
               cluster_->conninfo(),
               "--shadow-create",
               "echo no >&2; exit 3",
               "--shadow-destroy",
               destroy,
               "a.sql"};
  EXPECT_EQ(run(arguments), 2);
  EXPECT_THAT(err_.str(), HasSubstr(": no"));
  EXPECT_EQ(told(), "gone \n");
}

TEST_F(DryRunTest, TheCommandsOfTheConfigurationMakeTheShadow) {
  write("a.sql", "ALTER TABLE orders ADD COLUMN a int;\n");
  const std::string log = (folder_ / "log").string();
  write("make.sh", "echo made >> " + log + "\necho '" + shadow() + "'\n");
  write("gone.sh", "echo gone >> " + log + "\n");
  write("poundlock.yaml", "environments:\n  dev:\n    databases:\n      app:\n        url: \"" +
                              cluster_->conninfo() + "\"\n        shadow:\n          create: sh " +
                              (folder_ / "make.sh").string() + "\n          destroy: sh " +
                              (folder_ / "gone.sh").string() + "\n");
  (void)json({"--no-queue", "a.sql"}, 0);
  std::ifstream in(log);
  EXPECT_EQ(std::string((std::istreambuf_iterator<char>(in)), {}), "made\ngone\n");
  EXPECT_EQ(columns(), "id,status,amount,a");
}

}  // namespace
}  // namespace poundlock::scenario
