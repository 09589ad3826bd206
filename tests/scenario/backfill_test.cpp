// Backfill and verify under writers, crashes, locks and bad data.
#include "engine/backfill.h"

#include <atomic>

#include "engine/throttle.h"
#include "engine/verify.h"
#include "support/rollout_fixture.h"

namespace poundlock::scenario {
namespace {

using engine::Direction;
using rollout::OutcomeKind;
using testing::HasSubstr;

constexpr const char* kChange = R"(
change_column:
  table: shop.orders
  from: legacy_status
  to: {name: new_status, type: varchar(32)}
  up: legacy_status
  down: new_status
  not_null: false
)";

class BackfillTest : public RolloutFixture {
 protected:
  void make_orders(int rows, const std::string& key = "PRIMARY KEY") {
    must("CREATE TABLE shop.orders (id bigint " + key +
         ", note text, legacy_status text NOT NULL DEFAULT 'pending')");
    must("INSERT INTO shop.orders SELECT g, repeat('n', 60), 'S' || g % 7 FROM generate_series(1, $1::int) g",
         {std::to_string(rows)});
    must("ANALYZE shop.orders");
    made_ = plan(kChange);
    must_run(step(made_.steps, "dual_write.add_column"));
    must_run(step(made_.steps, "dual_write.sync_trigger"));
  }
  const change::Step& backfill() { return step(made_.steps, "dual_write.backfill"); }
  std::string out_of_step() {
    return row("SELECT count(*) FROM shop.orders WHERE new_status IS DISTINCT FROM legacy_status");
  }
  change::OperationPlan made_;
};

TEST_F(BackfillTest, UpdatesInPlaceAndLeavesNothingOutOfStep) {
  make_orders(60'000);
  const auto before = ports::to_int(must("SELECT pg_relation_size('shop.orders')").rows[0][0]);
  const auto outcome = run(backfill());
  ASSERT_EQ(outcome.kind, OutcomeKind::kDone) << outcome.error->to_string();
  EXPECT_EQ(out_of_step(), "0");
  EXPECT_EQ(outcome.figures.at("rows"), 60'000);
  const auto after = ports::to_int(must("SELECT pg_relation_size('shop.orders')").rows[0][0]);
  EXPECT_LT(static_cast<double>(after) / static_cast<double>(before), 1.45);  // one plain UPDATE doubles it
  RecordProperty("rows_per_second", static_cast<int>(outcome.figures.at("rows_per_second")));
}

TEST_F(BackfillTest, WritersMeanwhileLeaveNoRowOutOfStep) {
  make_orders(40'000);
  std::atomic<bool> stop{false};
  std::vector<std::string> errors;
  std::vector<std::thread> writers;
  std::mutex mutex;
  for (int w = 0; w < 3; ++w) {
    writers.emplace_back([&, w] {
      auto writer = open("writer");
      for (std::int64_t i = w; !stop; i += 7) {
        const std::string id = std::to_string(1 + (i * 7919) % 40'000);
        auto done =
            i % 3 == 0
                ? writer->run("UPDATE shop.orders SET note = repeat('m', 80) WHERE id = $1::bigint", {id})
                : writer->run("UPDATE shop.orders SET legacy_status = 'W' || $2 WHERE id = $1::bigint",
                              {id, id});
        const std::lock_guard lock(mutex);
        if (!done) errors.push_back(done.error().to_string());
      }
    });
  }
  const auto outcome = run(backfill());
  stop = true;
  for (auto& writer : writers) writer.join();
  ASSERT_EQ(outcome.kind, OutcomeKind::kDone) << outcome.error->to_string();
  EXPECT_THAT(errors, testing::IsEmpty());
  EXPECT_EQ(out_of_step(), "0");
}

TEST_F(BackfillTest, WithoutAPrimaryKeyConcurrentWritersHideNoRow) {
  make_orders(20'000, "");
  must("CREATE INDEX ON shop.orders (id)");
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    auto session = open("writer");
    for (int i = 0; !stop; ++i)
      must_on(*session, "UPDATE shop.orders SET note = 'm' WHERE id BETWEEN $1::int AND $1::int + 20",
              {std::to_string((i * 631) % 20'000)});
  });
  const auto outcome = run(backfill());
  stop = true;
  writer.join();
  ASSERT_EQ(outcome.kind, OutcomeKind::kDone) << outcome.error->to_string();
  EXPECT_EQ(out_of_step(), "0");
}

TEST_F(BackfillTest, ALockedRowIsComeBackToAndItsNeighboursStayFree) {
  make_orders(5'000);
  auto holder = open();
  must_on(*holder, "BEGIN");
  must_on(*holder, "SELECT * FROM shop.orders WHERE id = 2500 FOR UPDATE");
  rollout::StepOutcome outcome;
  std::thread working([&] { outcome = run(backfill()); });
  for (int i = 0; i < 1000 && row("SELECT count(*) FROM shop.orders WHERE new_status IS NOT NULL") != "4999";
       ++i)
    clock_.sleep(Millis{10});
  // A lock that lasts is no lack of progress: passes go on until it is gone.
  for (int i = 0; i < 1000 && ports::to_int(must("SELECT pass FROM poundlock.backfill").rows.at(0)[0]) < 6;
       ++i)
    clock_.sleep(Millis{10});
  EXPECT_EQ(out_of_step(), "1");
  auto writer = open("writer");
  must_on(*writer, "SET lock_timeout = '1s'");
  must_on(*writer, "UPDATE shop.orders SET note = 'neighbour' WHERE id = 2501");
  must_on(*holder, "COMMIT");
  working.join();
  EXPECT_EQ(outcome.kind, OutcomeKind::kDone) << (outcome.error ? outcome.error->to_string() : "");
  EXPECT_EQ(out_of_step(), "0");
}

TEST_F(BackfillTest, AKilledBackendLosesNothingAndCountsNothingTwice) {
  make_orders(60'000);
  rollout::StepOutcome outcome;
  auto slow = options();
  slow.backfill.pause = Millis{4};
  std::atomic<bool> finished{false};
  std::thread working([&] {
    engine::StepRunner runner(*database_, clock_, slow);
    outcome = std::move(*runner.run(backfill(), Direction::kForward, 1, {}));
    finished = true;
  });
  auto super = open("postgres");
  int killed = 0;
  for (int i = 0; i < 400 && !finished && killed < 4; ++i) {
    const auto hit = must_on(
        *super,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'poundlock' AND "
        "usename = 'app' AND query LIKE 'SELECT changed, took_ms%' AND pid <> $1::int",
        {std::to_string(session_->backend_pid())});
    killed += hit.rows.empty() ? 0 : 1;
    clock_.sleep(Millis{hit.rows.empty() ? 3 : 150});
    // Progress, cursor and rows agree at every moment: they commit together.
    const auto agree = must(
        "SELECT b.rows, (SELECT count(*) FROM shop.orders WHERE new_status IS NOT NULL) FROM "
        "poundlock.backfill b");
    if (agree.rows.empty()) continue;
    EXPECT_EQ(agree.rows[0][0], agree.rows[0][1]);
  }
  working.join();
  EXPECT_GE(killed, 2);
  ASSERT_EQ(outcome.kind, OutcomeKind::kDone) << outcome.error->to_string();
  EXPECT_EQ(out_of_step(), "0");
  EXPECT_EQ(outcome.figures.at("rows"), 60'000);
}

TEST_F(BackfillTest, StopsAndGoesOnWhereItWas) {
  make_orders(40'000);
  int asked = 0;
  engine::StepRunner runner(*database_, clock_, options());
  const auto stopped = runner.run(backfill(), Direction::kForward, 1, {[&] { return ++asked > 12; }});
  ASSERT_TRUE(stopped);
  EXPECT_EQ(stopped->kind, OutcomeKind::kStopped);
  const auto done = ports::to_int(must("SELECT rows FROM poundlock.backfill").rows[0][0]);
  EXPECT_GT(done, 0);
  EXPECT_EQ(row("SELECT count(*) FROM shop.orders WHERE new_status IS NOT NULL"), std::to_string(done));
  const auto outcome = run(backfill());
  EXPECT_EQ(outcome.kind, OutcomeKind::kDone);
  EXPECT_EQ(outcome.figures.at("rows"), 40'000);
}

TEST_F(BackfillTest, ARewriteInTheMiddleStartsThePassAgain) {
  make_orders(40'000);
  int asked = 0;
  engine::StepRunner runner(*database_, clock_, options());
  ASSERT_EQ(runner.run(backfill(), Direction::kForward, 1, {[&] { return ++asked > 12; }})->kind,
            OutcomeKind::kStopped);
  must("VACUUM FULL shop.orders");
  EXPECT_EQ(run(backfill()).kind, OutcomeKind::kDone);
  EXPECT_EQ(out_of_step(), "0");
}

TEST_F(BackfillTest, ATableThatShrinksMeanwhileEndsThePassAtItsNewEnd) {
  make_orders(40'000);
  must("ALTER TABLE shop.orders SET (fillfactor = 40)");  // so that no row moves to the end that is cut off
  must("VACUUM FULL shop.orders");
  const char* const blocks = "SELECT pg_relation_size('shop.orders') / 8192";
  const auto before = ports::to_int(must(blocks).rows[0][0]);
  int asked = 0;
  engine::StepRunner runner(*database_, clock_, options());
  const auto outcome = runner.run(backfill(), Direction::kForward, 1, {[&] {
                                    if (++asked != 12) return asked > 5'000;  // an endless loop ends here
                                    must("DELETE FROM shop.orders WHERE id > 20000");
                                    must("VACUUM shop.orders");
                                    return false;
                                  }});
  ASSERT_TRUE(outcome);
  EXPECT_LT(ports::to_int(must(blocks).rows[0][0]), before * 2 / 3);
  ASSERT_EQ(outcome->kind, OutcomeKind::kDone) << (outcome->error ? outcome->error->to_string() : "");
  EXPECT_EQ(out_of_step(), "0");
  EXPECT_LT(outcome->figures.at("rows"), 40'000);
}

TEST_F(BackfillTest, RowsOnWhichUpFailsAreNamed) {
  make_orders(3'000);
  must("UPDATE shop.orders SET legacy_status = repeat('x', 40) WHERE id IN (1700, 1701)");
  const auto outcome = run(backfill());
  ASSERT_EQ(outcome.kind, OutcomeKind::kFailed);
  EXPECT_EQ(outcome.error->code, "backfill.up_fails");
  EXPECT_EQ(outcome.error->disposition, Disposition::kUser);
  EXPECT_THAT(outcome.error->message,
              HasSubstr("(1700), (1701): value too long for type character varying(32)"));
  must("UPDATE shop.orders SET legacy_status = 'short' WHERE id IN (1700, 1701)");
  EXPECT_EQ(run(backfill()).kind, OutcomeKind::kDone);
  EXPECT_EQ(out_of_step(), "0");
}

TEST_F(BackfillTest, ATriggerThatUndoesUsEndsInAReasonNotInALoop) {
  make_orders(300);
  must(
      "CREATE FUNCTION shop.undo() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.new_status := NULL; RETURN "
      "NEW; END'");
  must("CREATE TRIGGER zzzz_undo BEFORE UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.undo()");
  auto options = this->options();
  options.backfill.passes_max = 3;
  engine::StepRunner runner(*database_, clock_, options);
  const auto outcome = std::move(*runner.run(backfill(), Direction::kForward, 1, {}));
  ASSERT_EQ(outcome.kind, OutcomeKind::kFailed);
  EXPECT_EQ(outcome.error->code, "backfill.no_progress");
  EXPECT_THAT(outcome.error->message, HasSubstr("300 rows"));
}

TEST_F(BackfillTest, RowsThatAPolicyHidesAreNotTakenForFilled) {
  make_orders(1'000);
  must("ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY");
  must("CREATE POLICY half ON shop.orders USING (id <= 500)");
  must("ALTER TABLE shop.orders FORCE ROW LEVEL SECURITY");
  for (const auto* id : {"dual_write.backfill", "dual_write.verify"}) {
    const auto outcome = run(step(made_.steps, id));
    ASSERT_EQ(outcome.kind, OutcomeKind::kFailed) << id;
    EXPECT_EQ(outcome.error->sqlstate, "42501") << outcome.error->to_string();
  }
  // An owner whom the policies do not bind sees every row, and nothing is in the way.
  must("ALTER TABLE shop.orders NO FORCE ROW LEVEL SECURITY");
  EXPECT_EQ(run(backfill()).kind, OutcomeKind::kDone);
  EXPECT_EQ(out_of_step(), "0");
  EXPECT_EQ(run(step(made_.steps, "dual_write.verify")).figures.at("rows"), 1'000);
}

TEST_F(BackfillTest, VerifyFindsWhatPassedTheTriggerByAndOnlyThat) {
  make_orders(3'000);
  ASSERT_EQ(run(backfill()).kind, OutcomeKind::kDone);
  EXPECT_EQ(run(step(made_.steps, "dual_write.verify")).kind, OutcomeKind::kDone);
  must("ALTER TABLE shop.orders DISABLE TRIGGER USER");
  must("UPDATE shop.orders SET legacy_status = 'passed by' WHERE id IN (7, 2999)");
  must("ALTER TABLE shop.orders ENABLE TRIGGER USER");
  const auto outcome = run(step(made_.steps, "dual_write.verify"));
  ASSERT_EQ(outcome.kind, OutcomeKind::kFailed);
  EXPECT_EQ(outcome.error->code, "verify.mismatches");
  EXPECT_EQ(outcome.figures.at("mismatches"), 2);
  EXPECT_EQ(outcome.figures.at("rows"), 3'000);
  EXPECT_THAT(outcome.error->message, testing::AllOf(HasSubstr("(7)"), HasSubstr("(2999)")));
}

TEST_F(BackfillTest, VerifyPassesOverAMismatchThatIsGoneAMomentLater) {
  make_orders(500);
  ASSERT_EQ(run(backfill()).kind, OutcomeKind::kDone);
  must("ALTER TABLE shop.orders DISABLE TRIGGER USER");
  must(
      "UPDATE shop.orders SET legacy_status = 'first' WHERE id = 9");  // an application with two transactions
  class RepairingClock final : public Clock {
   public:
    RepairingClock(Clock& inner, std::function<void()> at_sleep)
        : inner_(inner), at_sleep_(std::move(at_sleep)) {}
    TimePoint now() const override { return inner_.now(); }
    TimePoint steady() const override { return inner_.steady(); }
    void sleep(Millis) override { at_sleep_(); }

   private:
    Clock& inner_;
    std::function<void()> at_sleep_;
  };
  auto other = open();
  RepairingClock clock(
      clock_, [&] { must_on(*other, "UPDATE shop.orders SET new_status = legacy_status WHERE id = 9"); });
  const auto result = engine::verify(*session_, clock, *backfill().in_step, {}, {}, {});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->mismatches, 0u);
  EXPECT_EQ(result->rows, 500u);
}

TEST_F(BackfillTest, AnUnreadableReplicaHoldsTheWork) {
  make_orders(10);
  class Replica final : public ports::Session {
   public:
    Result<ports::Rows> run(const ports::Sql&) override {
      if (life->up) return ports::Rows{{"lsn"}, {{"1e15"}}, 1};
      return fail(make_error(Disposition::kReconnect, "pg.connection", "gone"));
    }
    Result<std::vector<ports::Rows>> pipeline(std::span<const ports::Sql>) override {
      return fail(internal_error("not asked for"));
    }
    std::vector<std::string> take_notices() override { return {}; }
    int backend_pid() const override { return 0; }
    void cancel() override {}
    bool broken() const override { return !life->up; }
    bool up = false;
    const Replica* life = this;  // a session lives as long as its server
  } replica;
  class Server final : public ports::Database {
   public:
    explicit Server(Replica& replica) : replica_(replica) {}
    Result<std::unique_ptr<ports::Session>> connect() override {
      if (!replica_.up) return fail(make_error(Disposition::kReconnect, "pg.connect", "refused"));
      auto session = std::make_unique<Replica>();
      session->life = &replica_;
      return std::unique_ptr<ports::Session>(std::move(session));
    }
    std::string describe() const override { return "app at a-replica"; }

   private:
    Replica& replica_;
  } server(replica);
  class FastClock final : public Clock {
   public:
    TimePoint now() const override { return time_; }
    TimePoint steady() const override { return time_; }
    void sleep(Millis duration) override { time_ = time_ + duration; }

   private:
    TimePoint time_{1};
  } fast;
  engine::Replicas replicas({&server}, fast);
  const engine::BackfillOptions options;
  engine::Throttle throttle(*session_, replicas, fast, options);
  const std::string oid = row("SELECT 'shop.orders'::regclass::oid");
  EXPECT_THAT(*throttle.reason(oid),
              HasSubstr("replica 1 (app at a-replica) cannot be reached: refused"));  // never known
  replica.up = true;
  fast.sleep(Millis{1'000});  // it is not asked more often
  EXPECT_EQ(*throttle.reason(oid), "");
  replica.up = false;
  EXPECT_EQ(*throttle.reason(oid), "");  // one failed reading
  fast.sleep(Millis{2'001});
  EXPECT_THAT(*throttle.reason(oid), HasSubstr("replica 1 (app at a-replica) cannot be reached"));
  replica.up = true;
  fast.sleep(Millis{1'000});
  EXPECT_EQ(*throttle.reason(oid), "");  // and is connected to again
}

TEST_F(BackfillTest, SessionsThatWaitForTheTableHoldTheWork) {
  make_orders(10);
  engine::Replicas none({}, clock_);
  engine::BackfillOptions options;
  options.throttle_every = Millis{0};
  engine::Throttle throttle(*session_, none, clock_, options);
  const std::string oid = row("SELECT 'shop.orders'::regclass::oid");
  EXPECT_EQ(*throttle.reason(oid), "");
  auto holder = open(), waiter = open();
  must_on(*holder, "BEGIN");
  must_on(*holder, "SELECT * FROM shop.orders");
  must_on(*waiter, "BEGIN");
  std::thread waiting([&] { EXPECT_EQ(waiter->run("LOCK TABLE shop.orders").error().code, "pg.canceled"); });
  std::string why;
  for (int i = 0; i < 500 && why.empty(); ++i) {
    why = *throttle.reason(oid);
    clock_.sleep(Millis{5});
  }
  waiter->cancel();
  waiting.join();
  EXPECT_THAT(why, HasSubstr("1 sessions wait for a lock on the table"));
}

}  // namespace
}  // namespace poundlock::scenario
