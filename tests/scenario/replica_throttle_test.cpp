// A backfill beside a streaming replica: it keeps the replica near, holds when the replica stops, and a
// long reader on the replica keeps DDL waiting.
#include <atomic>

#include "support/rollout_fixture.h"
#include "support/wait.h"

namespace poundlock::scenario {
namespace {

using engine::Direction;
using rollout::OutcomeKind;
using testing::HasSubstr;

constexpr const char* kChange = R"(
change_column:
  table: shop.orders
  from: legacy_status
  to: {name: new_status, type: text}
  up: legacy_status
  down: new_status
)";

class ReplicaTest : public RolloutFixture {
 protected:
  static void SetUpTestSuite() {
    auto started = PgCluster::start({.replica = true, .settings = {"hot_standby = on"}});
    ASSERT_TRUE(started) << started.error().to_string();
    cluster_ = started->release();
  }
  void SetUp() override {
    RolloutFixture::SetUp();
    must("CREATE TABLE shop.orders (id bigint PRIMARY KEY, note text, legacy_status text)");
    must("INSERT INTO shop.orders SELECT g, repeat('n', 60), 'S' || g % 7 FROM generate_series(1, 30000) g");
    must("ANALYZE shop.orders");
    made_ = plan(kChange);
    replica_ = cluster_->replica();
  }
  void await_replica() {
    const std::string lsn = row("SELECT pg_current_wal_lsn()");
    auto session = std::move(*cluster_->replica("postgres")->connect());
    for (int i = 0; i < 2000; ++i) {
      const auto there = must_on(*session, "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", {lsn});
      if (ports::to_bool(there.rows.at(0)[0])) return;
      clock_.sleep(Millis{5});
    }
    FAIL() << "the replica never came to " << lsn;
  }
  change::OperationPlan made_;
  std::unique_ptr<postgres::PgDatabase> replica_;
};

TEST_F(ReplicaTest, APausedReplicaHoldsTheBackfillAndAResumedOneLetsItFinish) {
  must_run(step(made_.steps, "dual_write.add_column"));
  must_run(step(made_.steps, "dual_write.sync_trigger"));
  await_replica();
  auto super = std::move(*cluster_->replica("postgres")->connect());
  must_on(*super, "SELECT pg_wal_replay_pause()");
  std::atomic<bool> held{false};
  auto options = this->options();
  options.replicas = {replica_.get()};
  options.progress = [&](const engine::Progress& progress) {
    if (progress.throttle.find("replica 1 has not replayed") != std::string::npos) held = true;
  };
  rollout::StepOutcome outcome;
  std::thread working([&] {
    engine::StepRunner runner(*database_, clock_, options);
    outcome = std::move(*runner.run(step(made_.steps, "dual_write.backfill"), Direction::kForward, 1, {}));
  });
  for (int i = 0; i < 2000 && !held; ++i) clock_.sleep(Millis{5});
  EXPECT_TRUE(held);
  EXPECT_NE(row("SELECT count(*) FROM shop.orders WHERE new_status IS NULL"), "0");
  must_on(*super, "SELECT pg_wal_replay_resume()");
  working.join();
  ASSERT_EQ(outcome.kind, OutcomeKind::kDone) << outcome.error->to_string();
  EXPECT_GT(outcome.figures.at("held_seconds"), 0);
  EXPECT_EQ(row("SELECT count(*) FROM shop.orders WHERE new_status IS DISTINCT FROM legacy_status"), "0");
}

// A replica that can be taken away, with every session that is open, and brought back.
class Switched final : public ports::Database {
 public:
  explicit Switched(ports::Database& inner) : inner_(inner) {}
  Result<std::unique_ptr<ports::Session>> connect() override {
    ++tries;
    if (!up) return fail(make_error(Disposition::kReconnect, "pg.connect", "connection refused"));
    return inner_.connect();
  }
  std::string describe() const override { return inner_.describe(); }
  std::atomic<bool> up{true};
  std::atomic<int> tries{0};

 private:
  ports::Database& inner_;
};

TEST_F(ReplicaTest, AReplicaThatIsDownAtTheBeginHoldsTheStepUntilItIsBack) {
  auto other = cluster_->replica();
  Switched down(*other);
  down.up = false;
  auto options = this->options();
  options.replicas = {replica_.get(), &down};
  for (const auto* id : {"dual_write.add_column", "dual_write.sync_trigger", "dual_write.backfill"}) {
    down.up = false;
    std::atomic<bool> held{false};
    options.progress = [&](const engine::Progress& progress) {
      held = held || progress.throttle.find("replica 2 (app at") != std::string::npos;
    };
    rollout::StepOutcome outcome;
    std::thread working([&] {
      engine::StepRunner runner(*database_, clock_, options);
      outcome = std::move(*runner.run(step(made_.steps, id), Direction::kForward, 1, {}));
    });
    const bool weaker = std::string(id) == "dual_write.sync_trigger";  // its lock is not replayed
    if (!weaker) {
      EXPECT_TRUE(wait_until([&] { return held.load(); })) << id;
    }
    down.up = true;
    working.join();
    EXPECT_EQ(outcome.kind, OutcomeKind::kDone) << id << (outcome.error ? outcome.error->to_string() : "");
  }
}

TEST_F(ReplicaTest, AReplicaThatRestartsInTheMiddleOfABackfillIsConnectedToAgain) {
  must_run(step(made_.steps, "dual_write.add_column"));
  must_run(step(made_.steps, "dual_write.sync_trigger"));
  await_replica();
  Switched restarting(*replica_);
  std::atomic<bool> held{false};
  auto options = this->options();
  options.replicas = {&restarting};
  options.backfill.pause = Millis{40};
  options.backfill.rows_start = options.backfill.rows_max = 200;  // in all longer than it takes to be missed
  options.progress = [&](const engine::Progress& progress) {
    held = held || progress.throttle.find("replica 1 (app at") != std::string::npos;
  };
  rollout::StepOutcome outcome;
  std::thread working([&] {
    engine::StepRunner runner(*database_, clock_, options);
    outcome = std::move(*runner.run(step(made_.steps, "dual_write.backfill"), Direction::kForward, 1, {}));
  });
  EXPECT_TRUE(wait_until([&] { return restarting.tries > 0; }));
  restarting.up = false;
  auto super = std::move(*cluster_->replica("postgres")->connect());
  must_on(*super,
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'poundlock' AND "
          "pid <> pg_backend_pid()");
  EXPECT_TRUE(wait_until([&] { return held.load(); }));
  restarting.up = true;
  working.join();
  ASSERT_EQ(outcome.kind, OutcomeKind::kDone) << outcome.error->to_string();
  EXPECT_EQ(row("SELECT count(*) FROM shop.orders WHERE new_status IS DISTINCT FROM legacy_status"), "0");
}

TEST_F(ReplicaTest, ReplicasThatThisRoleMayNotSeeHoldTheWorkWithTheGrantToRun) {
  must_run(step(made_.steps, "dual_write.add_column"));
  must_run(step(made_.steps, "dual_write.sync_trigger"));
  auto options = this->options();
  options.backfill.hold_max = Millis{2'500};
  engine::StepRunner runner(*database_, clock_, options);
  const auto outcome =
      std::move(*runner.run(step(made_.steps, "dual_write.backfill"), Direction::kForward, 1, {}));
  ASSERT_EQ(outcome.kind, OutcomeKind::kFailed);
  EXPECT_EQ(outcome.error->code, "backfill.held");
  EXPECT_THAT(outcome.error->message, HasSubstr("GRANT pg_monitor"));
}

TEST_F(ReplicaTest, ALongReaderOnTheReplicaKeepsTheDdlWaiting) {
  await_replica();
  auto reader = std::move(*replica_->connect());
  must_on(*reader, "BEGIN");
  must_on(*reader, "SELECT count(*) FROM shop.orders");
  // A holder counts as long from 50 ms on; one that only just began may be raced past.
  ASSERT_TRUE(wait_until([&] {
    auto old = reader->run("SELECT pg_catalog.clock_timestamp() - pg_catalog.now() > '100 ms'");
    return old && old->rows.at(0).at(0) == "t";
  }));
  std::atomic<bool> waited{false};
  auto options = this->options();
  options.replicas = {replica_.get()};
  options.progress = [&](const engine::Progress& progress) { waited = waited || !progress.throttle.empty(); };
  rollout::StepOutcome outcome;
  std::thread working([&] {
    engine::StepRunner runner(*database_, clock_, options);
    outcome = std::move(*runner.run(step(made_.steps, "dual_write.add_column"), Direction::kForward, 1, {}));
  });
  for (int i = 0; i < 2000 && !waited; ++i) clock_.sleep(Millis{5});
  EXPECT_TRUE(waited);
  EXPECT_EQ(catalog().table({"shop", "orders"})->column("new_status"), nullptr);
  must_on(*reader, "COMMIT");
  working.join();
  EXPECT_EQ(outcome.kind, OutcomeKind::kDone) << (outcome.error ? outcome.error->to_string() : "");
}

}  // namespace
}  // namespace poundlock::scenario
