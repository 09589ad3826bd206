// The step runner against a server with other people in it: locks, lost connections, two executors, a
// half-built index, a live writer between all steps.
#include <atomic>

#include "engine/lock_wait.h"
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
  to: {name: new_status, type: varchar(32), default: "'pending'"}
  up: legacy_status
  down: new_status
  indexes: [{name: idx_new, columns: [new_status]}]
)";

class StepRunnerTest : public RolloutFixture {
 protected:
  void make_orders(int rows) {
    must(
        "CREATE TABLE shop.orders (id bigint PRIMARY KEY, note text, legacy_status text NOT NULL DEFAULT "
        "'pending')");
    must("INSERT INTO shop.orders SELECT g, 'n', 'S' || g % 7 FROM generate_series(1, $1::int) g",
         {std::to_string(rows)});
    must("ANALYZE shop.orders");
  }
  // Runs the step on a thread of its own, so that the test can stand in its way.
  std::thread start(const change::Step& step, rollout::StepOutcome& outcome, engine::RunnerOptions options) {
    return std::thread([this, &step, &outcome, options] {
      engine::StepRunner runner(*database_, clock_, options);
      outcome = std::move(*runner.run(step, Direction::kForward, 1, {}));
    });
  }
  void wait_until(const std::string& condition) {
    for (int i = 0; i < 2000; ++i) {
      if (row("SELECT " + condition) == "t") return;
      clock_.sleep(Millis{5});
    }
    FAIL() << "never true: " << condition;
  }
};

TEST_F(StepRunnerTest, WaitsForALongReaderWithoutQueueingAnybodyBehindIt) {
  make_orders(10);
  const auto made = plan(kChange);
  auto reader = open("writer");
  must_on(*reader, "BEGIN");
  must_on(*reader, "SELECT * FROM shop.orders");
  rollout::StepOutcome outcome;
  std::vector<std::string> told;
  auto options = this->options();
  options.progress = [&](const engine::Progress& progress) { told.push_back(progress.throttle); };
  auto thread = start(step(made.steps, "dual_write.add_column"), outcome, options);
  // An application that goes on: the longest statement tells whether anybody queued.
  auto writer = open("writer");
  std::int64_t longest = 0;
  for (int i = 0; i < 300; ++i) {
    const TimePoint begin = clock_.steady();
    must_on(*writer, "UPDATE shop.orders SET note = 'x' WHERE id = 1");
    longest = std::max(longest, (clock_.steady() - begin).count());
    clock_.sleep(Millis{2});
  }
  EXPECT_LT(longest, 60);
  must_on(*reader, "COMMIT");
  thread.join();
  EXPECT_EQ(outcome.kind, OutcomeKind::kDone) << (outcome.error ? outcome.error->to_string() : "");
  EXPECT_THAT(told, testing::Contains(HasSubstr("holds AccessShareLock on \"shop\".\"orders\"")));
}

TEST_F(StepRunnerTest, GivesUpWithTheNameOfWhoIsInTheWay) {
  make_orders(10);
  const auto made = plan(kChange);
  auto reader = open();
  must_on(*reader, "BEGIN");
  must_on(*reader, "SELECT * FROM shop.orders");
  auto options = this->options();
  options.lock_wait.limit = Millis{300};
  engine::StepRunner runner(*database_, clock_, options);
  const auto outcome = runner.run(step(made.steps, "dual_write.add_column"), Direction::kForward, 1, {});
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->kind, OutcomeKind::kFailed);
  EXPECT_EQ(outcome->error->code, "lock.held");
  EXPECT_THAT(outcome->error->message, HasSubstr("session " + std::to_string(reader->backend_pid())));
  EXPECT_THAT(outcome->error->message, HasSubstr("idle in transaction"));
}

TEST_F(StepRunnerTest, AStaleGenerationChangesNothing) {
  make_orders(500);
  const auto made = plan(kChange);
  must_run(step(made.steps, "dual_write.add_column"));
  must_run(step(made.steps, "dual_write.sync_trigger"));
  must("UPDATE poundlock.rollout SET generation = 5");
  const auto backfill = run(step(made.steps, "dual_write.backfill"), Direction::kForward, 4);
  EXPECT_EQ(backfill.kind, OutcomeKind::kFailed);
  EXPECT_EQ(backfill.error->code, "generation.stale");
  EXPECT_EQ(backfill.error->disposition, Disposition::kConflict);
  EXPECT_EQ(row("SELECT count(*) FROM shop.orders WHERE new_status IS NOT NULL"), "0");
  const auto index = run(step(made.steps, "dual_write.index_idx_new"), Direction::kForward, 4);
  EXPECT_EQ(index.error->code, "generation.stale");
  const auto undo = run(step(made.steps, "dual_write.add_column"), Direction::kUndo, 4);
  EXPECT_EQ(undo.error->code, "generation.stale");
  EXPECT_NE(catalog().table({"shop", "orders"})->column("new_status"), nullptr);
  EXPECT_EQ(run(step(made.steps, "dual_write.backfill"), Direction::kForward, 6).kind, OutcomeKind::kDone);
  EXPECT_EQ(row("SELECT generation FROM poundlock.rollout"), "6");
}

TEST_F(StepRunnerTest, AHalfBuiltIndexIsClearedAwayAndBuiltAnew) {
  make_orders(500);
  const auto made = plan(kChange);
  must_run(step(made.steps, "dual_write.add_column"));
  must("UPDATE shop.orders SET new_status = 'same'");
  // What a lost connection leaves: here a unique build that failed, under the step's name.
  EXPECT_FALSE(session_->run("CREATE UNIQUE INDEX CONCURRENTLY idx_new ON shop.orders (new_status)"));
  const auto& index = step(made.steps, "dual_write.index_idx_new");
  EXPECT_EQ(row(index.probe), "f");
  EXPECT_EQ(row(index.repair_when), "t");
  must_run(index);
  EXPECT_FALSE(catalog().table({"shop", "orders"})->index("idx_new")->unique);
}

TEST_F(StepRunnerTest, AUniqueIndexThatCannotBeBuiltLeavesNoInvalidOne) {
  make_orders(500);
  must("ALTER TABLE shop.orders ADD COLUMN c int DEFAULT 1");
  const auto made =
      plan("create_index:\n  table: shop.orders\n  name: uniq\n  columns: [c]\n  unique: true\n");
  const auto outcome = run(made.steps[0]);
  EXPECT_EQ(outcome.kind, OutcomeKind::kFailed);
  EXPECT_EQ(outcome.error->sqlstate, "23505");
  EXPECT_EQ(catalog().table({"shop", "orders"})->index("uniq"), nullptr);
}

TEST_F(StepRunnerTest, ALostConnectionInAnIndexBuildIsFoundOutAndFinished) {
  make_orders(500);
  const auto made = plan(kChange);
  must_run(step(made.steps, "dual_write.add_column"));
  auto holder = open();  // an old transaction that has written here keeps the build waiting
  must_on(*holder, "BEGIN");
  must_on(*holder, "UPDATE shop.orders SET note = 'x' WHERE id = 1");
  rollout::StepOutcome outcome;
  auto thread = start(step(made.steps, "dual_write.index_idx_new"), outcome, options());
  const std::string building =
      "EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND state = "
      "'active')";
  wait_until(building);
  must(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' "
      "AND state = 'active'");
  must_on(*holder, "COMMIT");
  thread.join();
  EXPECT_EQ(outcome.kind, OutcomeKind::kDone) << (outcome.error ? outcome.error->to_string() : "");
  EXPECT_TRUE(catalog().table({"shop", "orders"})->index("idx_new")->valid);
}

// Loses the connection right behind a COMMIT that went through: the answer never comes.
class LosingDatabase final : public ports::Database {
 public:
  class Session final : public ports::Session {
   public:
    Session(std::unique_ptr<ports::Session> inner, LosingDatabase& owner)
        : inner_(std::move(inner)), owner_(owner) {}
    Result<ports::Rows> run(const ports::Sql& sql) override { return inner_->run(sql); }
    Result<std::vector<ports::Rows>> pipeline(std::span<const ports::Sql> statements) override {
      const bool ddl = std::any_of(statements.begin(), statements.end(),
                                   [](const ports::Sql& sql) { return sql.text.starts_with("ALTER TABLE"); });
      if (!ddl || owner_.lost++ > 0) return inner_->pipeline(statements);
      auto done = owner_.commits ? inner_->pipeline(statements)
                                 : inner_->pipeline(statements.first(statements.size() - 1));
      broken_ = true;
      return fail(make_error(Disposition::kInDoubt, "pg.in_doubt", "lost"));
    }
    std::vector<std::string> take_notices() override { return inner_->take_notices(); }
    int backend_pid() const override { return inner_->backend_pid(); }
    void cancel() override { inner_->cancel(); }
    bool broken() const override { return broken_ || inner_->broken(); }

   private:
    std::unique_ptr<ports::Session> inner_;
    LosingDatabase& owner_;
    bool broken_ = false;
  };
  explicit LosingDatabase(ports::Database& inner, bool commit_goes_through)
      : commits(commit_goes_through), inner_(inner) {}
  Result<std::unique_ptr<ports::Session>> connect() override {
    PL_TRY(auto session, inner_.connect());
    return std::unique_ptr<ports::Session>(std::make_unique<Session>(std::move(session), *this));
  }
  std::string describe() const override { return inner_.describe(); }
  const bool commits;
  int lost = 0;

 private:
  ports::Database& inner_;
};

TEST_F(StepRunnerTest, ALostCommitIsLookedUpAndNeverRepeated) {
  make_orders(10);
  const auto made = plan(kChange);
  for (const bool went_through : {true, false}) {
    LosingDatabase losing(*database_, went_through);
    engine::StepRunner runner(losing, clock_, options());
    const auto outcome = runner.run(step(made.steps, "dual_write.add_column"), Direction::kForward, 1, {});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->kind, OutcomeKind::kDone) << (outcome->error ? outcome->error->to_string() : "");
    EXPECT_EQ(losing.lost, went_through ? 1 : 2);
    EXPECT_EQ(row("SELECT count(*) FROM poundlock.ledger WHERE direction = 'forward'"),
              went_through ? "1" : "2");
    must_run(step(made.steps, "dual_write.add_column"), Direction::kUndo);
  }
}

TEST_F(StepRunnerTest, StopsWhenAskedAndSaysSo) {
  make_orders(10);
  const auto made = plan(kChange);
  auto reader = open();
  must_on(*reader, "BEGIN");
  must_on(*reader, "SELECT * FROM shop.orders");
  std::atomic<int> asked{0};
  engine::StepRunner runner(*database_, clock_, options());
  const auto outcome = runner.run(step(made.steps, "dual_write.add_column"), Direction::kForward, 1,
                                  {[&] { return ++asked > 4; }});
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->kind, OutcomeKind::kStopped);
}

TEST_F(StepRunnerTest, TheSyncIsTurnedOffBehindALongReader) {
  make_orders(10);
  auto made = plan(kChange);
  must_expand(made);
  must("CREATE UNIQUE INDEX ON shop.orders (new_status) WHERE id > 10");
  auto reader = open("writer");
  must_on(*reader, "BEGIN");
  must_on(*reader, "SELECT * FROM shop.orders");
  ASSERT_FALSE(made.close_sync.empty());
  auto impatient = options();
  impatient.lock_wait.limit = Millis{1'000};
  for (const auto& one : made.close_sync) {
    engine::StepRunner runner(*database_, clock_, impatient);
    const auto outcome = std::move(*runner.run(one, Direction::kForward, 1, {}));
    EXPECT_EQ(outcome.kind, OutcomeKind::kDone) << one.id << ": " << outcome.error->to_string();
    EXPECT_EQ(row(one.probe), "t");
  }
  // NOT NULL, the default and the index are still there, and no writer of the old side meets them.
  EXPECT_TRUE(catalog().table({"shop", "orders"})->column("new_status")->not_null);
  must("INSERT INTO shop.orders (id, legacy_status) VALUES (11, 'a'), (12, 'b'), (13, 'c')");
  must("UPDATE shop.orders SET legacy_status = 'd' WHERE id = 12");
  EXPECT_EQ(row("SELECT legacy_status, new_status FROM shop.orders WHERE id = 12"), "d|b");
}

// A rollback from the middle of the expand: the check that refuses NULLs stands, and no default does yet.
TEST_F(StepRunnerTest, WhatIsTurnedOffPassesTheCheckOfAnExpandThatStopped) {
  make_orders(10);
  const auto made = plan(kChange);
  for (const auto& one : made.steps) {
    must_run(one);
    if (one.id == "dual_write.not_null_check") break;
  }
  EXPECT_FALSE(catalog().table({"shop", "orders"})->column("new_status")->default_expr);
  for (const auto& one : made.close_sync) must_run(one);
  must("INSERT INTO shop.orders (id, legacy_status) VALUES (11, 'a'), (12, 'b')");
  must("UPDATE shop.orders SET legacy_status = 'd'");
  must_run(made.steps.front(), Direction::kUndo);
  EXPECT_EQ(catalog().table({"shop", "orders"})->column("new_status"), nullptr);
}

TEST_F(StepRunnerTest, WhatIsTurnedOffPutsNoDefaultIntoAUniqueIndex) {
  must("CREATE TABLE shop.orders (id bigint PRIMARY KEY, legacy_status text DEFAULT 'pending')");
  const auto made = plan(std::string(kChange) + "  not_null: false\n");
  must_expand(made);
  must("CREATE UNIQUE INDEX ON shop.orders (new_status)");
  for (const auto& one : made.close_sync) must_run(one);
  must("INSERT INTO shop.orders (id, legacy_status) VALUES (11, 'a'), (12, 'b'), (13, 'c')");
  EXPECT_EQ(row("SELECT count(new_status) FROM shop.orders"), "0");
}

TEST_F(StepRunnerTest, AWriterSeesNoErrorBetweenAllStepsThereAndBack) {
  make_orders(3000);
  std::atomic<bool> stop{false};
  std::atomic<int> statements{0};
  std::atomic<std::int64_t> longest{0};
  std::vector<std::string> errors;
  std::thread application([&] {
    auto writer = open("writer");
    const std::vector<std::string> writes{
        "INSERT INTO shop.orders (id, legacy_status) SELECT coalesce(max(id), 0) + 1, 'fresh' FROM "
        "shop.orders",
        "UPDATE shop.orders SET legacy_status = 'changed' || id % 5 WHERE id = (SELECT min(id) FROM "
        "shop.orders)",
        "UPDATE shop.orders SET note = 'touched' WHERE id % 97 = 3",
        "SELECT id, legacy_status FROM shop.orders WHERE legacy_status = 'fresh' LIMIT 3",
        "DELETE FROM shop.orders WHERE id = (SELECT min(id) FROM shop.orders)"};
    for (std::size_t i = 0; !stop; ++i) {
      const TimePoint begin = clock_.steady();
      auto done = writer->run(writes[i % writes.size()]);
      longest = std::max<std::int64_t>(longest, (clock_.steady() - begin).count());
      ++statements;
      if (!done && errors.size() < 10) errors.push_back(done.error().to_string());
    }
  });
  const auto before = schema::fingerprint(catalog());
  const auto made = plan(kChange);
  for (int round = 0; round < 3; ++round) {
    must_expand(made);
    for (const auto& one : made.open_sync) must_run(one);
    for (auto it = made.open_sync.rbegin(); it != made.open_sync.rend(); ++it)
      must_run(*it, Direction::kUndo);
    for (const auto& one : made.close_sync) must_run(one);
    for (auto it = made.steps.rbegin(); it != made.steps.rend(); ++it) {
      if (it->phase == change::Phase::kDualWrite) must_run(*it, Direction::kUndo);
    }
  }
  stop = true;
  application.join();
  EXPECT_THAT(errors, testing::IsEmpty());
  EXPECT_GT(statements, 100);
  RecordProperty("statements", statements);
  RecordProperty("longest_ms", static_cast<int>(longest));
  EXPECT_EQ(schema::fingerprint(catalog()).text, before.text);
}

TEST(LockModesTest, ConflictAsInPostgresqlsTable) {
  EXPECT_THAT(engine::conflicting_modes("AccessShareLock"), testing::ElementsAre("AccessExclusiveLock"));
  EXPECT_THAT(engine::conflicting_modes("ShareUpdateExclusiveLock"),
              testing::ElementsAre("ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock",
                                   "ExclusiveLock", "AccessExclusiveLock"));
  EXPECT_THAT(engine::conflicting_modes("ShareLock"),
              testing::ElementsAre("RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareRowExclusiveLock",
                                   "ExclusiveLock", "AccessExclusiveLock"));
  EXPECT_THAT(engine::conflicting_modes("AccessExclusiveLock"), testing::SizeIs(8));
  EXPECT_THAT(engine::conflicting_modes("what"), testing::SizeIs(8));
}

}  // namespace
}  // namespace poundlock::scenario
