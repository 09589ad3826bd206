// poundlockd is killed with SIGKILL in the middle of the backfill, of exposure and of the contract, and
// started again. The outcome is the one of an undisturbed rollout, and no step took effect twice.
#include <fmt/format.h>

#include <cstdlib>

#include "support/demo_fixture.h"

namespace poundlock::scenario {
namespace {

class KillTest : public DemoFixture {
 protected:
  static constexpr std::int64_t kRows = 60'000;

  double generation() { return cli::number_at(view(), "generation").value_or(0); }
  double ledger_count(const std::string& condition) {
    return std::stod(value("SELECT count(*) FROM poundlock.ledger WHERE " + condition));
  }

  void restart() {
    const auto restarted = world_->restart_server();
    ASSERT_TRUE(restarted) << restarted.error().to_string();
    EXPECT_EQ(generation(), ++generation_) << "whoever takes over has a generation of its own";
  }

  // The checkpoint is in the batch's own transaction, so it tells what is really done.
  void kill_in_backfill() {
    double rows = 0;
    auto session = world_->owner();
    ASSERT_TRUE(session);
    ASSERT_TRUE(go_on("the backfill has begun", [](const bj::object& seen) {
      return cli::text_at(seen, "item") == "dual_write.backfill";
    }));
    ASSERT_TRUE(wait_for("a tenth of the rows is filled", [&] {
      const auto found = (*session)->run("SELECT coalesce(sum(rows), 0) FROM poundlock.backfill");
      rows = found ? std::stod(found->rows.at(0).at(0).value_or("0")) : 0;
      return rows >= 0.1 * kRows;
    }));
    world_->server().kill_now();
    // Killing does not undo what had been sent; what counts is that work is left.
    rows = std::stod(value("SELECT sum(rows) FROM poundlock.backfill"));
    EXPECT_GE(rows, 0.1 * kRows);
    EXPECT_LE(rows, 0.9 * kRows) << "the kill came too late to be in the middle";
    EXPECT_EQ(ledger_count("step = 'dual_write.backfill'"), 0);
    restart();
  }

  // Without a server readers keep the flag that they have, and the application goes on.
  void kill_in_exposure() {
    ASSERT_TRUE(go_on("a quarter of everybody is exposed", [](const bj::object& seen) {
      const auto& flag = cli::object_at(seen, "flag");
      return cli::text_at(seen, "item") == "expose.all_25" && cli::text_at(flag, "stage") == "live" &&
             cli::number_at(flag, "revision").value_or(0) > 0;
    }));
    world_->server().kill_now();
    const auto before = world_->figures();
    ASSERT_TRUE(wait_for("the application has gone on without a server",
                         [&] { return world_->figures().statements > before.statements + 300; }));
    EXPECT_EQ(world_->figures().errors, 0U);
    restart();
    const auto seen = view();
    const auto& flag = cli::object_at(seen, "flag");
    EXPECT_EQ(cli::text_at(flag, "stage"), "live") << bj::serialize(seen);
    EXPECT_GE(cli::number_at(flag, "percentage").value_or(0), 25) << "exposure only grows";
    EXPECT_TRUE(cli::list_at(seen, "rollbacks").empty());
  }

  // The drop has committed, and the store does not know it yet or the vacuum is still to come.
  void kill_in_contract() {
    ASSERT_TRUE(go_on("the drop waits for its approval", [](const bj::object& seen) {
      return cli::text_at(seen, "item") == "contract.approve_drop";
    }));
    mismatches_before_drop();
    auto session = world_->owner();
    ASSERT_TRUE(session);
    order("approve", "drop");
    ASSERT_TRUE(wait_for("the drop has committed", [&] {
      const auto found =
          (*session)->run("SELECT count(*) FROM poundlock.ledger WHERE step = 'contract.drop'");
      return found && found->rows.at(0).at(0) == "1";
    }));
    world_->server().kill_now();
    restart();
  }

  void mismatches_before_drop() {
    const Said said = poundlock({"verify", cli::kDemoRollout, "--output", "json"});
    EXPECT_EQ(said.code, 0) << said.err << said.out;
    EXPECT_THAT(said.out, testing::HasSubstr("\"mismatches\":0"));
  }

  double generation_ = 1;
};

TEST_F(KillTest, TheRolloutSurvivesAKillInBackfillExposureAndContract) {
  auto options = small();
  options.rows = kRows;
  start_world(options);
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_EQ(query("SELECT rolsuper, rolreplication FROM pg_roles WHERE rolname = current_user"),
            (std::vector<std::vector<std::string>>{{"f", "f"}}))
      << "a rollout needs neither a superuser nor the right to replicate";
  const Said started = start_rollout(small_rollout());
  ASSERT_EQ(started.code, 0) << started.err;
  EXPECT_EQ(generation(), generation_);

  kill_in_backfill();
  if (!HasFatalFailure()) kill_in_exposure();
  if (!HasFatalFailure()) kill_in_contract();
  if (HasFatalFailure()) return;
  ASSERT_TRUE(go_on("the rollout is done",
                    [](const bj::object& seen) { return cli::text_at(seen, "mode") == "done"; }));

  EXPECT_EQ(query("SELECT step, count(*) FROM poundlock.ledger WHERE direction = 'forward' GROUP BY step"
                  " HAVING count(*) <> 1"),
            (std::vector<std::vector<std::string>>{}));
  EXPECT_EQ(ledger_count("direction = 'undo'"), 0);
  EXPECT_EQ(value("SELECT generation FROM poundlock.rollout WHERE name = 'orders_status_v2'"), "4");
  EXPECT_GE(std::stod(value("SELECT count(*) FROM public.orders")), kRows)
      << "the application adds rows, too";
  EXPECT_EQ(value("SELECT count(*) FROM public.orders WHERE new_status IS NULL"), "0");
  const auto legacy = world_->column_exists("legacy_status");
  ASSERT_TRUE(legacy);
  EXPECT_FALSE(*legacy);
  world_->stop_app();
  expect_journals_kept("new_status");
  EXPECT_GT(world_->figures().statements, 0U);
  EXPECT_EQ(world_->figures().errors, 0U);
  EXPECT_EQ(world_->figures().faults, 0U);
}

// Whoever starts it again in the middle of the exposure has forgotten the database's password.
TEST_F(KillTest, AServerWithoutThePasswordStillRollsBack) {
  start_world(small());
  ASSERT_FALSE(HasFatalFailure());
  const Said started = start_rollout(small_rollout());
  ASSERT_EQ(started.code, 0) << started.err;
  ASSERT_TRUE(go_on("a quarter of everybody is exposed", [](const bj::object& seen) {
    return cli::text_at(seen, "item") == "expose.all_25" &&
           cli::text_at(cli::object_at(seen, "flag"), "stage") == "live";
  }));
  world_->server().kill_now();
  const auto restarted = world_->restart_server(false);
  ASSERT_TRUE(restarted) << restarted.error().to_string();
  ASSERT_TRUE(wait_for("the report names what is missing", [&] {
    return bj::serialize(cli::list_at(view(), "waiting")).find("DEMO_PASSWORD") != std::string::npos;
  }));
  order("rollback");
  EXPECT_EQ(cli::text_at(cli::object_at(view(), "flag"), "stage"), "dualwrite");
  EXPECT_EQ(world_->figures().errors, 0U);
}

}  // namespace
}  // namespace poundlock::scenario
