// Every question of every gate, asked of a real server with a replica: as an owner of the table with
// pg_monitor, and as one without, where what cannot be seen has to be unknown and no error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

#include "change/sync.h"
#include "engine/collector.h"
#include "engine/lock_watch.h"
#include "rollout/gate.h"
#include "schema/expression.h"
#include "support/pg_cluster.h"
#include "support/wait.h"

namespace poundlock::scenario {
namespace {

using rollout::Moment;
using rollout::Moments;
using rollout::Observations;
using rollout::Verdict;
using testing::HasSubstr;

constexpr Moments kAll = ~Moments{0};
using Session = std::unique_ptr<ports::Session>;

rollout::Plan orders_plan() {
  rollout::Plan plan;
  plan.rollout = "orders_status_v2";
  plan.legacy = {{"public", "orders", "legacy_status"}};
  plan.fresh = {{"public", "orders", "new_status"}};
  rollout::Item item;
  item.id = "dual_write.verify";
  item.phase = change::Phase::kDualWrite;
  item.step.emplace();
  item.step->id = item.id;
  item.step->kind = change::StepKind::kVerify;
  item.step->in_step.emplace();
  item.step->in_step->table = "\"public\".\"orders\"";
  item.step->in_step->out_of_step = "(\"new_status\" IS DISTINCT FROM \"legacy_status\")";
  plan.items.push_back(std::move(item));
  return plan;
}

class GateQuestionsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = PgCluster::start({.replica = true});
    ASSERT_TRUE(started) << started.error().to_string();
    cluster_ = started->release();
  }
  static void TearDownTestSuite() { delete cluster_; }

  void SetUp() override {
    super_ = connect("postgres", "test");
    owner_ = connect("app", "poundlock");
    writer_ = connect("writer", "web");
    must(super_, "REVOKE pg_monitor FROM app");
    must(super_, "DROP TABLE IF EXISTS public.orders CASCADE");
    must(super_, "DROP SCHEMA IF EXISTS shop CASCADE");
    must(owner_,
         "CREATE TABLE public.orders (id int PRIMARY KEY, legacy_status text, new_status text, note text)");
    must(owner_, "INSERT INTO public.orders SELECT i, 'paid', 'paid', '' FROM generate_series(1, 5000) i");
    must(super_, "SELECT public.pg_stat_statements_reset()");
    plan_ = orders_plan();
    database_ = cluster_->database();
    replica_ = cluster_->replica();
    collector_ = std::make_unique<engine::Collector>(
        ports::Databases{database_.get(), nullptr, nullptr, {replica_.get()}}, plan_);
  }

  static Session connect(const std::string& role, const std::string& application) {
    auto session = cluster_->database(role)->connect();
    EXPECT_TRUE(session) << session.error().to_string();
    must(*session, "SET application_name = '" + application + "'");
    must(*session, "SET search_path = public");
    return std::move(*session);
  }
  static void must(Session& session, const std::string& sql) {
    auto done = session->run(sql);
    ASSERT_TRUE(done) << sql << ": " << done.error().to_string();
  }

  // Collects with ten seconds between two looks, so that every question is due each time.
  Observations collect(Moments moments = kAll) {
    Observations seen;
    now_ = now_ + Millis{10'000};
    collector_->collect(seen, moments, now_);
    return seen;
  }
  // A session tells its table statistics a second late, and ten when it is idle: look until it does.
  Observations collect_until(const std::function<bool(const Observations&)>& enough) {
    Observations seen;
    wait_until([&] { return enough(seen = collect()); }, std::chrono::seconds(30),
               std::chrono::milliseconds(50));
    return seen;
  }
  static double at(const Observations& seen, const std::string& name) {
    const auto found = seen.values.find(name);
    EXPECT_NE(found, seen.values.end()) << name;
    return found == seen.values.end() ? -1 : found->second.value;
  }
  rollout::GateReading judge(const std::string& id, const Observations& seen, const Observations& mark) {
    std::map<std::string, double> marks;
    for (const auto& [name, observation] : mark.values) marks[name] = observation.value;
    const rollout::Gate* gate = rollout::find_gate(id);
    const rollout::GateInput in{seen, nullptr, marks, plan_, settings_of(*gate, plan_), Moment::kDualWrite,
                                0,    1,       now_};
    return gate->judge(in);
  }

  static PgCluster* cluster_;
  Session super_, owner_, writer_;
  rollout::Plan plan_;
  std::unique_ptr<postgres::PgDatabase> database_, replica_;
  std::unique_ptr<engine::Collector> collector_;
  TimePoint now_{1'000'000};
};
PgCluster* GateQuestionsTest::cluster_ = nullptr;

TEST_F(GateQuestionsTest, AllAnswerWithPgMonitor) {
  must(super_, "GRANT pg_monitor TO app");
  must(writer_, "UPDATE orders SET note = 'x' WHERE id <= 10");
  const auto seen = collect_until([&](const Observations& o) {
    return o.values.contains("replica.ms") && o.values.contains("replication.replayed_lsn");
  });
  EXPECT_EQ(at(seen, "collector.errors"), 0) << seen.values.at("collector.errors").detail;
  EXPECT_EQ(at(seen, "collector.pg_stat_statements"), 1);
  EXPECT_EQ(at(seen, "collector.statements_evicted"), 0);
  EXPECT_EQ(at(seen, "collector.replicas"), 1);
  EXPECT_EQ(at(seen, "replication.replicas"), 1);
  EXPECT_GE(at(seen, "replication.ms"), 0);
  EXPECT_GT(at(seen, "replication.written_lsn"), 0);
  EXPECT_GT(at(seen, "replication.replayed_lsn"), 0);
  EXPECT_GE(at(seen, "replica.ms"), 0);
  EXPECT_LT(at(seen, "replica.missing_lsn"), 0);
  EXPECT_GE(at(seen, "database.deadlocks"), 0);
  EXPECT_EQ(at(seen, "scans.indexes"), 0);
  EXPECT_GE(at(seen, "scans.table_scans"), 0);
  EXPECT_EQ(at(seen, "sample_1.sampled"), 5000);
  EXPECT_EQ(at(seen, "sample_1.rows"), 0);
  EXPECT_EQ(at(seen, "legacy_objects.catalog"), 0) << seen.values.at("legacy_objects.catalog").detail;
  EXPECT_EQ(at(seen, "fresh_objects.functions"), 0);
  EXPECT_EQ(at(seen, "legacy_sessions.count"), 0);
  EXPECT_EQ(at(seen, "statements.unreadable"), 0);
  EXPECT_EQ(at(seen, "statements.shared_role"), 0);
}

TEST_F(GateQuestionsTest, AnswerUnknownWithoutPgMonitor) {
  must(writer_, "UPDATE orders SET note = 'x' WHERE id <= 10");
  must(writer_, "BEGIN");
  must(writer_, "SELECT count(*) FROM orders");
  const auto seen = collect();
  must(writer_, "ROLLBACK");
  EXPECT_EQ(at(seen, "collector.errors"), 0) << seen.values.at("collector.errors").detail;
  EXPECT_EQ(at(seen, "replication.replicas"), 1);
  EXPECT_FALSE(seen.values.contains("replication.ms"));
  EXPECT_GE(at(seen, "statements.unreadable"), 1);
  EXPECT_FALSE(seen.values.contains("statements.legacy_refs"));
  EXPECT_GE(at(seen, "legacy_sessions.hidden"), 1);
  EXPECT_FALSE(seen.values.contains("legacy_sessions.count"));
  for (const char* gate :
       {"write_amplification", "new_reads_while_off", "references_legacy", "references_new"}) {
    const auto reading = judge(gate, seen, seen);
    EXPECT_TRUE(reading.no_data) << gate << ": " << reading.reason;
  }
  EXPECT_THAT(judge("write_amplification", seen, seen).reason, HasSubstr("GRANT pg_read_all_stats"));
}

TEST_F(GateQuestionsTest, CountTheApplicationsWritesAndNotOurs) {
  must(super_, "GRANT pg_monitor TO app");
  must(owner_, "SELECT pg_stat_force_next_flush()");
  const auto before =
      collect_until([](const Observations& o) { return at(o, "statements.versions") >= 5000; });
  for (int i = 0; i < 40; ++i)
    must(writer_, "UPDATE orders SET legacy_status = 'sent' WHERE id = " + std::to_string(i));
  must(owner_, "UPDATE public.orders SET new_status = legacy_status WHERE id <= 100");
  must(owner_, "SELECT pg_stat_force_next_flush()");
  must(writer_, "SELECT pg_stat_force_next_flush()");
  const auto grown = [&](const Observations& seen, const std::string& name) {
    return at(seen, name) - at(before, name);
  };
  const auto seen =
      collect_until([&](const Observations& o) { return grown(o, "statements.versions") >= 139; });
  EXPECT_EQ(grown(seen, "statements.write_rows"), 39);  // there is no row 0
  EXPECT_EQ(grown(seen, "statements.write_calls"), 40);
  EXPECT_EQ(grown(seen, "statements.own_rows"), 100);
  EXPECT_EQ(grown(seen, "statements.versions"), 139);
  EXPECT_GT(grown(seen, "statements.wal_records"), 0);
  EXPECT_EQ(grown(seen, "statements.legacy_refs"), 40);
  EXPECT_EQ(grown(seen, "statements.fresh_refs"), 0);
}

TEST_F(GateQuestionsTest, SeeWhoReadsTheNewSideAndTakesAllColumns) {
  must(super_, "GRANT pg_monitor TO app");
  const auto mark = collect();
  EXPECT_EQ(judge("new_reads_while_off", collect(), mark).verdict, Verdict::kPass);
  must(writer_, "SELECT id FROM orders WHERE new_status = 'paid' LIMIT 1");
  must(writer_, "SELECT * FROM orders WHERE id = 7");
  const auto seen = collect();
  const auto reads = judge("new_reads_while_off", seen, mark);
  EXPECT_EQ(reads.verdict, Verdict::kFail);
  EXPECT_THAT(reads.reason,
              HasSubstr("1 read of the new side since the mark: `SELECT id FROM orders WHERE new_status"));
  const auto star = judge("select_star", seen, mark);
  EXPECT_EQ(star.verdict, Verdict::kFail);
  EXPECT_THAT(star.reason, HasSubstr("`SELECT * FROM orders WHERE id"));
}

TEST_F(GateQuestionsTest, FindWhatTheCatalogHoldsOnAColumn) {
  must(super_, "GRANT pg_monitor TO app");
  must(owner_, "CREATE INDEX by_status ON public.orders (legacy_status)");
  must(owner_, "ALTER TABLE public.orders ADD CHECK (legacy_status <> '')");
  auto seen = collect();
  EXPECT_EQ(at(seen, "legacy_objects.catalog"), 0) << seen.values.at("legacy_objects.catalog").detail;
  must(super_, "GRANT CREATE ON DATABASE app TO app");
  must(owner_, "CREATE SCHEMA shop");
  must(owner_, "CREATE VIEW shop.report AS SELECT legacy_status, count(*) FROM public.orders GROUP BY 1");
  must(owner_, "CREATE INDEX by_both ON public.orders (id, legacy_status)");
  must(owner_, "ALTER TABLE public.orders ADD shout text GENERATED ALWAYS AS (upper(legacy_status)) STORED");
  must(owner_,
       "ALTER TABLE public.orders ADD CONSTRAINT same CHECK (legacy_status IS NOT NULL OR note IS NOT NULL)");
  must(owner_, "CREATE POLICY own ON public.orders USING (legacy_status = 'paid')");
  must(owner_,
       "CREATE FUNCTION shop.late() RETURNS bigint LANGUAGE plpgsql AS "
       "'BEGIN RETURN (SELECT count(*) FROM orders WHERE legacy_status = ''late''); END'");
  must(owner_, "CREATE FUNCTION shop.other() RETURNS text LANGUAGE sql AS 'SELECT ''old_legacy_status'''");
  seen = collect();
  const auto& objects = seen.values.at("legacy_objects.catalog");
  EXPECT_EQ(objects.value, 5) << objects.detail;
  EXPECT_THAT(objects.detail, HasSubstr("shop.report"));
  EXPECT_EQ(at(seen, "legacy_objects.functions"), 1);
  EXPECT_THAT(seen.values.at("legacy_objects.functions").detail, HasSubstr("shop.late()"));
  EXPECT_EQ(at(seen, "fresh_objects.catalog"), 0) << seen.values.at("fresh_objects.catalog").detail;
  const auto reading = judge("references_legacy", seen, seen);
  EXPECT_EQ(reading.verdict, Verdict::kFail);
  EXPECT_THAT(reading.reason, HasSubstr("objects in the catalog"));
}

TEST_F(GateQuestionsTest, SeeOpenTransactionsAndASharedRole) {
  must(super_, "GRANT pg_monitor TO app");
  must(writer_, "BEGIN");
  must(writer_, "SELECT legacy_status FROM orders WHERE id = 1");
  Session shared = connect("app", "web");
  const auto seen = collect();
  EXPECT_EQ(at(seen, "legacy_sessions.count"), 1);
  EXPECT_THAT(seen.values.at("legacy_sessions.count").detail, HasSubstr("writer (pid"));
  EXPECT_EQ(at(seen, "fresh_sessions.count"), 0);
  EXPECT_EQ(at(seen, "statements.shared_role"), 1);
  EXPECT_THAT(judge("write_amplification", seen, seen).reason, HasSubstr("a role of its own"));
  must(writer_, "ROLLBACK");
}

TEST_F(GateQuestionsTest, SayWhenTheExtensionGoesAndComes) {
  must(super_, "GRANT pg_monitor TO app");
  EXPECT_EQ(at(collect(), "collector.pg_stat_statements"), 1);
  must(super_, "DROP EXTENSION pg_stat_statements");
  const auto gone = collect();
  must(super_, "CREATE SCHEMA shop");
  must(super_, "CREATE EXTENSION pg_stat_statements SCHEMA shop");
  must(super_, "GRANT USAGE ON SCHEMA shop TO app");
  const auto moved = collect();
  must(super_, "DROP EXTENSION pg_stat_statements");
  must(super_, "CREATE EXTENSION pg_stat_statements SCHEMA public");
  EXPECT_EQ(at(gone, "collector.pg_stat_statements"), 0);
  EXPECT_THAT(gone.values.at("collector.pg_stat_statements").detail, HasSubstr("not installed"));
  EXPECT_EQ(at(moved, "collector.pg_stat_statements"), 1);
  EXPECT_EQ(moved.values.at("statements.clock_s").at, now_);
}

TEST_F(GateQuestionsTest, FindRowsThatWereWrittenPastTheTrigger) {
  must(owner_, "UPDATE public.orders SET new_status = 'wrong' WHERE id IN (3, 4000)");
  const auto seen = collect();
  EXPECT_EQ(at(seen, "sample_1.rows"), 2);
  EXPECT_EQ(judge("sampled_mismatches", seen, seen).verdict, Verdict::kFail);
}

TEST_F(GateQuestionsTest, SeeATriggerThatIsNotAsThePhaseNeedsIt) {
  change::SyncSpec sync;
  sync.table = {"public", "orders"};
  sync.legacy = {"legacy_status", "text", std::nullopt, false};
  sync.fresh = {"new_status", "text", std::nullopt, false};
  sync.up = *schema::parse_expression("legacy_status");
  sync.down = *schema::parse_expression("new_status");
  sync.rollout = plan_.rollout;
  sync.name = "new_status";
  sync.column_types = {{"legacy_status", "text"}, {"new_status", "text"}};
  plan_.items[0].step->in_step = change::in_step(sync);
  collector_ = std::make_unique<engine::Collector>(
      ports::Databases{database_.get(), nullptr, nullptr, {replica_.get()}}, plan_);
  const auto expect = [&](double installed, double opened, const char* when) {
    const auto seen = collect();
    EXPECT_EQ(at(seen, "collector.errors"), 0) << seen.values.at("collector.errors").detail;
    EXPECT_EQ(at(seen, "sync_1.installed"), installed) << when;
    EXPECT_EQ(at(seen, "sync_1.opened"), opened) << when;
    return at(seen, "sync_1.conflicts");
  };
  must(super_, "GRANT pg_monitor TO app");
  must(super_, "CREATE SCHEMA IF NOT EXISTS poundlock AUTHORIZATION app");
  must(super_, "GRANT USAGE ON SCHEMA poundlock TO PUBLIC");
  expect(0, 0, "nothing is there");
  must(owner_, "CREATE SEQUENCE " + change::sync_sequence(sync));
  must(owner_, "GRANT USAGE, SELECT ON SEQUENCE " + change::sync_sequence(sync) + " TO PUBLIC");
  must(owner_, change::create_sync_function(sync, change::SyncMode::kLegacy));
  must(owner_, "CREATE TRIGGER " + change::sync_trigger(sync) +
                   " BEFORE INSERT OR UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION " +
                   change::sync_function(sync) + "()");
  EXPECT_EQ(expect(1, 0, "legacy is the authority"), 0);
  must(writer_, "UPDATE orders SET new_status = 'lost' WHERE id = 1");
  EXPECT_EQ(expect(1, 0, "a write to the new side was taken back"), 1);
  must(owner_, change::create_sync_function(sync, change::SyncMode::kNew));
  expect(1, 1, "opened");
  must(owner_, "ALTER TABLE public.orders DISABLE TRIGGER USER");
  expect(0, 1, "disabled");
  must(super_, "DROP SCHEMA poundlock CASCADE");
}

TEST_F(GateQuestionsTest, SampleAPartOfAPartitionedTable) {
  must(owner_, "DROP TABLE public.orders");
  must(owner_,
       "CREATE TABLE public.orders (id int, legacy_status text, new_status text, note text) PARTITION BY "
       "RANGE "
       "(id)");
  must(owner_, "CREATE TABLE public.orders_1 PARTITION OF public.orders FOR VALUES FROM (0) TO (20001)");
  must(owner_, "CREATE TABLE public.orders_2 PARTITION OF public.orders FOR VALUES FROM (20001) TO (90000)");
  must(owner_,
       "INSERT INTO public.orders SELECT i, 'paid', 'paid', repeat('x', 400) FROM generate_series(1, 40000) "
       "i");
  const auto seen = collect();
  EXPECT_EQ(at(seen, "collector.errors"), 0) << seen.values.at("collector.errors").detail;
  EXPECT_LT(at(seen, "sample_1.sampled"), 5000) << "the parent has no blocks of its own: all were read";
}

// The waiter waits behind a session of ours, through another one; and not at all behind a stranger.
TEST_F(GateQuestionsTest, MeasureHowLongOthersWaitBehindUs) {
  engine::LockWatch watch(*database_);
  const auto look = [&] {
    Observations seen;
    watch.sample(seen, now_ = now_ + Millis{20});
    return seen;
  };
  const auto look_until = [&](const std::function<bool(double)>& enough) {
    double ms = 0;
    wait_until([&] { return enough(ms = at(look(), "lock_waits.now_ms")); }, std::chrono::seconds(10));
    return ms;
  };
  EXPECT_EQ(at(look(), "lock_waits.max_ms"), 0);
  Session second = connect("writer", "cron");
  must(owner_, "BEGIN");
  must(owner_, "LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE");
  std::thread first([&] { must(writer_, "UPDATE orders SET note = 'a' WHERE id = 1"); });
  std::thread other([&] { must(second, "SELECT count(*) FROM orders"); });
  EXPECT_GE(look_until([](double ms) { return ms >= 60; }), 60);
  must(owner_, "ROLLBACK");
  first.join();
  other.join();
  const auto after = look();
  EXPECT_EQ(at(after, "lock_waits.now_ms"), 0);
  EXPECT_GE(at(after, "lock_waits.recent_ms"), 60);
  EXPECT_THAT(after.values.at("lock_waits.max_ms").detail, HasSubstr("of writer"));
  EXPECT_EQ(judge("lock_waits", after, after).verdict, Verdict::kFail);
  watch.reset();
  EXPECT_EQ(at(look(), "lock_waits.max_ms"), 0);
  EXPECT_GE(at(look(), "lock_waits.longest_ms"), 60);

  // Behind a stranger: not ours.
  must(writer_, "BEGIN");
  must(writer_, "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
  std::thread third([&] { must(second, "SELECT count(*) FROM orders"); });
  const auto waits = [&] {
    auto rows = super_->run("SELECT count(*) FROM pg_catalog.pg_locks WHERE NOT granted");
    return rows && rows->rows[0][0] != "0";
  };
  wait_until(waits, std::chrono::seconds(10));
  EXPECT_EQ(at(look(), "lock_waits.now_ms"), 0);
  must(writer_, "ROLLBACK");
  third.join();
}

}  // namespace
}  // namespace poundlock::scenario
