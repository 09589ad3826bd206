// decide() from the release of excluded contexts to the drop, and back after it.
#include "rollout/decide.h"
#include "rollout/decide_test_world.h"

namespace poundlock::rollout {
namespace {

using testing::ask;
using testing::make_test_plan;
using testing::World;

TEST(Decide, NothingIsDroppedWithoutApproval) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("contract.approve_release"));
  world.tick({ask(RequestKind::kApprove, "release")});
  ASSERT_TRUE(world.reach("contract.approve_drop"));
  for (int i = 0; i < 1000; ++i) world.tick();
  EXPECT_EQ(world.at(), "contract.approve_drop");
  EXPECT_THAT(world.trace_, ::testing::Not(::testing::Contains("contract.drop")));
}

TEST(Decide, ADropUnderWayIsProbedBeforeAKillAnswers) {
  for (const bool committed : {false, true}) {
    World world(make_test_plan());
    world.stall_ = "contract.drop";
    ASSERT_TRUE(world.reach_drop()) << world.at();
    const auto flags = world.flags_.size();
    world.drop_committed_ = committed;
    world.tick({ask(RequestKind::kRollback)});
    EXPECT_EQ(world.flags_.size(), flags) << "nothing is published before the outcome is known";
    world.stall_.clear();
    world.tick();
    world.tick();
    if (committed) {
      EXPECT_EQ(world.flags_.size(), flags);
      EXPECT_NE(world.state_.mode, Mode::kRolledBack);
    } else {
      EXPECT_EQ(world.state_.flag.stage, "dualwrite");
      EXPECT_THAT(world.trace_, ::testing::Not(::testing::Contains("contract.vacuum")));
    }
  }
}

TEST(Decide, SidesThatDifferAtTheDropStopItUntilAPersonHasLooked) {
  Plan plan = make_test_plan({"sampled_mismatches"});
  for (Item& item : plan.items) {
    if (!item.step || item.step->kind != change::StepKind::kVerify) continue;
    item.step->in_step.emplace();
    item.step->in_step->table = "orders";
    item.step->in_step->out_of_step = "true";
  }
  World world(std::move(plan));
  world.values_ = {{"sample_1.sampled", 5000}, {"sample_1.rows", 0}, {"sample_1.open", 0}};
  world.stall_ = "contract.drop";
  ASSERT_TRUE(world.reach_drop()) << world.at();
  world.values_["sample_1.open"] = 1;
  world.tick();
  world.stall_.clear();
  EXPECT_EQ(world.state_.mode, Mode::kPaused);
  EXPECT_EQ(world.state_.flag.stage, "complete") << "legacy may be behind: nobody is sent back to it";
  EXPECT_THAT(world.state_.pause_reason, ::testing::HasSubstr("out of step"));
  world.values_["sample_1.open"] = 0;  // the next sample looks at other blocks
  for (int i = 0; i < 50; ++i) world.tick();
  EXPECT_EQ(world.state_.mode, Mode::kPaused);
  EXPECT_THAT(world.trace_, ::testing::Not(::testing::Contains("contract.drop")));
  world.trace_.clear();
  world.tick({ask(RequestKind::kResume)});
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kDone; })) << world.at();
  EXPECT_THAT(world.trace_,
              ::testing::ElementsAre("contract.drop", "contract.verify", "contract.drop", "contract.vacuum"))
      << "probed, for it may have committed; then every row is compared again";
}

TEST(Decide, ADropThatCommittedBeforeAPauseIsNotVerifiedAnyMore) {
  World world(make_test_plan());
  world.stall_ = "contract.drop";
  ASSERT_TRUE(world.reach_drop());
  world.tick({ask(RequestKind::kPause)});
  world.drop_committed_ = true;
  world.trace_.clear();
  world.tick({ask(RequestKind::kResume)});
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kDone; })) << world.at();
  EXPECT_THAT(world.trace_, ::testing::Not(::testing::Contains("contract.verify")));
}

TEST(Decide, AnApprovalIsTakenWhenItIsAskedForAndNotBefore) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("dual_write.window"));
  world.tick({ask(RequestKind::kApprove, "drop")});
  ASSERT_TRUE(world.decision_.answers.at(0).has_value());
  EXPECT_EQ(world.decision_.answers[0]->disposition, Disposition::kConflict);
  EXPECT_TRUE(world.state_.approvals.empty());
  ASSERT_TRUE(world.reach("contract.approve_release"));
  world.tick({ask(RequestKind::kApprove, "release")});
  EXPECT_FALSE(world.decision_.answers.at(0).has_value());
}

TEST(Decide, TheJournalHasTheVerbThatWasGiven) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("dual_write.window"));
  const auto& decision = world.tick({ask(RequestKind::kAbort)});
  ASSERT_FALSE(decision.events.empty());
  EXPECT_EQ(decision.events[0].what, "abort");
  EXPECT_EQ(decision.events[0].why, "test");
}

TEST(Decide, RowsThatDifferAtTheLastVerifyKeepTheLegacySide) {
  World world(make_test_plan());
  world.fail_["contract.verify"] =
      make_error(Disposition::kRefused, "verify.mismatches", "1 of 5000 rows is out of step");
  ASSERT_TRUE(world.reach("contract.approve_release"));
  world.willing_ = {"release", "drop"};
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kPaused; })) << world.at();
  EXPECT_EQ(world.at(), "contract.verify");
  EXPECT_THAT(world.state_.pause_reason, ::testing::HasSubstr("out of step"));
  EXPECT_EQ(world.state_.flag.stage, "complete");
  EXPECT_THAT(world.trace_, ::testing::Not(::testing::Contains("contract.drop")));
}

TEST(Decide, ErrorsWhileClosingBringEverybodyBack) {
  World world(make_test_plan({"error_rate"}));
  const auto report = [&](std::uint64_t errors) {
    world.app_.instances.resize(1);
    world.app_.newest = world.now_;
    world.app_.paths.resize(1);
    world.app_.paths[0].fresh.counts = {200'000, 0, 0, 0, errors};
    world.app_.paths[0].legacy.counts = {200'000, 0, 0, 0, 0};
  };
  const auto drive = [&](const char* item) {
    return world.run_until([&] {
      report(0);
      return world.at() == item;
    });
  };
  ASSERT_TRUE(drive("contract.approve_release")) << world.at();
  world.tick({ask(RequestKind::kApprove, "release")});
  ASSERT_TRUE(drive("contract.approve_drop")) << world.at();
  // Builds without the legacy path may have nothing left to report.
  for (int i = 0; i < 60; ++i) world.tick();
  EXPECT_THAT(world.state_.gates, ::testing::Each(::testing::Field(&GateReading::verdict, Verdict::kPass)));
  report(40'000);
  world.tick();
  EXPECT_EQ(world.state_.flag.stage, "dualwrite");
  EXPECT_EQ(world.state_.rollbacks.back().cause, "gate:error_rate");
}

TEST(Decide, TwoOperatorsWhoKillDuringADropBothWaitForItsOutcome) {
  World world(make_test_plan());
  world.stall_ = "contract.drop";
  ASSERT_TRUE(world.reach_drop());
  const auto flags = world.flags_.size();
  world.drop_committed_ = true;
  world.tick({ask(RequestKind::kRollback), ask(RequestKind::kRollback)});
  world.tick({ask(RequestKind::kAbort)});
  EXPECT_EQ(world.flags_.size(), flags) << "nobody may be sent to a column that is gone";
  world.tick();
  EXPECT_EQ(world.flags_.size(), flags);
  EXPECT_NE(world.state_.mode, Mode::kRolledBack);
  EXPECT_FALSE(world.state_.abort) << "an abort that came too late must not close a later restore";
}

TEST(Decide, ADropOfAPausedRolloutIsProbedToo) {
  World world(make_test_plan());
  world.stall_ = "contract.drop";
  ASSERT_TRUE(world.reach_drop());
  world.tick({ask(RequestKind::kPause)});
  const auto flags = world.flags_.size();
  world.tick({ask(RequestKind::kRollback)});
  EXPECT_EQ(world.flags_.size(), flags) << "its last statement may still be committing";
  world.tick();
  world.tick();
  EXPECT_EQ(world.state_.flag.stage, "dualwrite");
}

// A second column of the same rollout, its steps behind the first one's as make_plan orders them.
Plan plan_of_two(const std::set<std::string>& armed = {}) {
  Plan plan = make_test_plan(armed);
  const auto insert = [&](const char* behind, std::vector<change::Step> steps) {
    auto at = plan.items.begin() + static_cast<std::ptrdiff_t>(*plan.index_of(behind) + 1);
    for (auto& step : steps) at = plan.items.insert(at, testing::step_item(std::move(step))) + 1;
  };
  using change::StepKind;
  insert("dual_write.index",
         {testing::make_step("dual_write.add_column_2", Phase::kDualWrite, StepKind::kTransaction),
          testing::make_step("dual_write.sync_trigger_2", Phase::kDualWrite, StepKind::kTransaction),
          testing::make_step("dual_write.backfill_2", Phase::kDualWrite, StepKind::kBackfill),
          testing::make_step("dual_write.verify_2", Phase::kDualWrite, StepKind::kVerify)});
  auto drop = testing::make_step("contract.drop_2", Phase::kContract, StepKind::kTransaction);
  drop.destructive = true;
  drop.undo.clear();
  insert("contract.vacuum", {drop});
  return plan;
}

TEST(Decide, OfSeveralChangesTheLastTriggerStartsTheWindow) {
  World world(plan_of_two());
  world.stall_ = "dual_write.sync_trigger_2";
  ASSERT_TRUE(world.reach("dual_write.sync_trigger_2"));
  for (int i = 0; i < 10; ++i) world.tick();
  EXPECT_EQ(world.state_.windows["dual_write"], Millis{0});
  world.stall_.clear();
  ASSERT_TRUE(world.reach("dual_write.verify_2"));
  world.tick();
  EXPECT_GT(world.state_.windows["dual_write"], Millis{0});
}

TEST(Decide, BetweenTwoDropsGatesGoOnAndNoRollbackIsPromised) {
  World world(plan_of_two({"instances_attested"}));
  world.app_.instances.resize(1);
  world.app_.instances[0].connected = true;
  world.app_.instances[0].legacy_path = false;
  const auto drive = [&](const std::function<bool()>& done) {
    return world.run_until([&] {
      world.app_.newest = world.now_;
      return done();
    });
  };
  const auto at = [&](const char* item) { return drive([&world, item] { return world.at() == item; }); };
  ASSERT_TRUE(at("contract.approve_release"));
  world.willing_ = {"release", "drop"};
  world.stall_ = "contract.drop_2";
  ASSERT_TRUE(at("contract.drop_2")) << world.at();
  EXPECT_THAT(world.trace_, ::testing::Contains("contract.drop"));
  // A build with the legacy path turns up: the drop that is left waits.
  world.app_.instances[0].legacy_path = true;
  world.stall_.clear();
  for (int i = 0; i < 20; ++i) {
    world.app_.newest = world.now_;
    world.tick();
  }
  EXPECT_EQ(world.at(), "contract.drop_2");
  EXPECT_FALSE(world.state_.gates.empty());
  world.tick({ask(RequestKind::kRollback)});
  ASSERT_TRUE(world.decision_.answers[0].has_value());
  EXPECT_EQ(world.decision_.answers[0]->code, "rollout.dropped");
  world.app_.instances[0].legacy_path = false;
  EXPECT_TRUE(drive([&] { return world.state_.mode == Mode::kDone; })) << world.at();
}

TEST(Decide, ReferencesCountThroughTheWaitForTheApprovalOfTheDrop) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("contract.approve_release"));
  world.tick({ask(RequestKind::kApprove, "release")});
  ASSERT_TRUE(world.reach("contract.approve_drop"));
  EXPECT_EQ(moment_of(world.state_, world.plan_), Moment::kBeforeDrop);
}

TEST(Decide, AReferenceThatIsGoneAgainBeginsTheClosingWindowAnew) {
  Plan plan = make_test_plan({"instances_attested"});
  auto at = plan.items.begin() + static_cast<std::ptrdiff_t>(*plan.index_of("contract.close") + 1);
  plan.items.insert(at, testing::window_item("contract.closing", "closing", Phase::kContract,
                                             Moment::kBeforeDrop, Millis{60'000}));
  World world(std::move(plan));
  world.app_.instances.resize(1);
  world.app_.instances[0].connected = true;
  world.app_.instances[0].legacy_path = false;
  const auto drive = [&](const std::function<bool()>& done) {
    return world.run_until([&] {
      world.app_.newest = world.now_;
      return done();
    });
  };
  ASSERT_TRUE(drive([&] { return world.at() == "contract.approve_release"; }));
  world.willing_ = {"release", "drop"};
  ASSERT_TRUE(drive([&] { return world.state_.windows["closing"] >= Millis{50'000}; })) << world.at();
  const auto mark = world.state_.mark;
  world.app_.instances[0].legacy_path = true;
  for (int i = 0; i < 10; ++i) {
    world.app_.newest = world.now_;
    world.tick();
  }
  world.app_.instances[0].legacy_path = false;
  EXPECT_GT(world.state_.mark, mark) << "else what was counted once would block for ever";
  EXPECT_LT(world.state_.windows["closing"], Millis{5'000});
  const auto since = world.now_;
  ASSERT_TRUE(drive([&] { return world.state_.mode == Mode::kDone; })) << world.at();
  EXPECT_GE(world.now_ - since, Millis{55'000});
}

TEST(Decide, AStatisticsResetBeginsTheClosingWindowAnew) {
  Plan plan = make_test_plan();
  auto at = plan.items.begin() + static_cast<std::ptrdiff_t>(*plan.index_of("contract.close") + 1);
  plan.items.insert(at, testing::window_item("contract.closing", "closing", Phase::kContract,
                                             Moment::kBeforeDrop, Millis{60'000}));
  World world(std::move(plan));
  world.values_["statements.legacy_refs"] = 7'000'000;
  ASSERT_TRUE(world.reach("contract.approve_release"));
  world.willing_ = {"release", "drop"};
  ASSERT_TRUE(world.run_until([&] { return world.state_.windows["closing"] >= Millis{50'000}; }));
  world.values_["statements.legacy_refs"] = 0;
  world.tick();
  EXPECT_LT(world.state_.windows["closing"], Millis{5'000})
      << "what was counted before is not known any more";
  const auto since = world.now_;
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kDone; })) << world.at();
  EXPECT_GE(world.now_ - since, Millis{55'000});
}

std::map<std::string, double> no_references() {
  return {{"collector.pg_stat_statements", 1}, {"statements.clock_s", 1},
          {"statements.unreadable", 0},        {"statements.legacy_refs", 100},
          {"legacy_objects.catalog", 0},       {"legacy_objects.functions", 0},
          {"legacy_sessions.count", 0},        {"collector.statements_evicted", 5}};
}

Plan plan_that_closes() {
  Plan plan = make_test_plan({"references_legacy"});
  plan.legacy = {{"public", "orders", "legacy_status"}};
  auto at = plan.items.begin() + static_cast<std::ptrdiff_t>(*plan.index_of("contract.close") + 1);
  plan.items.insert(at, testing::window_item("contract.closing", "closing", Phase::kContract,
                                             Moment::kBeforeDrop, Millis{60'000}));
  return plan;
}

TEST(Decide, AStatementThatWasEvictedBeginsTheClosingWindowAnew) {
  World world(plan_that_closes());
  world.values_ = no_references();
  ASSERT_TRUE(world.reach("contract.approve_release"));
  world.willing_ = {"release", "drop"};
  ASSERT_TRUE(world.run_until([&] { return world.state_.windows["closing"] >= Millis{50'000}; }));
  world.values_["collector.statements_evicted"] = 6;
  world.tick();
  EXPECT_THAT(world.decision_.report.waiting,
              ::testing::Contains(::testing::HasSubstr("evicted statements")));
  world.tick();
  EXPECT_LT(world.state_.windows["closing"], Millis{5'000});
  const auto since = world.now_;
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kDone; })) << world.at();
  EXPECT_GE(world.now_ - since, Millis{55'000});
  EXPECT_TRUE(world.state_.rollbacks.empty());
}

TEST(Decide, WhatOnlyHoldsTheDropUpSendsNobodyBackForLackOfData) {
  World world(plan_that_closes());
  world.values_ = no_references();
  world.values_.erase("collector.statements_evicted");  // before PostgreSQL 14 nobody counts that
  ASSERT_TRUE(world.reach("contract.approve_release"));
  world.willing_ = {"release", "drop"};
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kPaused; }, 3'000)) << world.at();
  EXPECT_EQ(world.at(), "contract.closing");
  EXPECT_THAT(world.state_.pause_reason, ::testing::HasSubstr("PostgreSQL 14"));
  for (int i = 0; i < 3'000; ++i) world.tick();
  EXPECT_EQ(world.state_.flag.stage, "complete");
  EXPECT_TRUE(world.state_.rollbacks.empty());
  world.values_["collector.statements_evicted"] = 5;
  EXPECT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kDone; })) << world.at();
}

TEST(Decide, ARestoredRolloutAsksForItsDropAgainAndCanBeRestoredAgain) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach_drop());
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kDone; })) << world.at();
    world.trace_.clear();
    world.tick({ask(RequestKind::kRollback, "restore")});
    ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kRolledBack; }));
    EXPECT_THAT(world.trace_, ::testing::Contains("restore.add_column"));
    EXPECT_LT(world.state_.windows["overlap"], Millis{5'000}) << "the sides are in step only since now";
    EXPECT_EQ(world.at(), "expose.open_sync");
    world.trace_.clear();
    world.tick({ask(RequestKind::kResume)});
    ASSERT_TRUE(world.reach("expose.all_25"));
    EXPECT_THAT(world.trace_, ::testing::ElementsAre("expose.open_sync"))
        << "the restored sync is that of before exposure";
    ASSERT_TRUE(world.reach("contract.approve_release")) << world.at();
    for (int i = 0; i < 100; ++i) world.tick();
    EXPECT_EQ(world.at(), "contract.approve_release") << "the first approval was for the first drop";
    ASSERT_TRUE(world.reach_drop());
  }
}

TEST(Decide, AfterTheDropTheWordIsRestore) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("contract.approve_release"));
  world.tick({ask(RequestKind::kApprove, "release")});
  ASSERT_TRUE(world.reach("contract.approve_drop"));
  world.tick({ask(RequestKind::kApprove, "drop")});
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kDone; }));
  world.tick({ask(RequestKind::kRollback)});
  ASSERT_TRUE(world.decision_.answers[0].has_value());
  EXPECT_THAT(world.decision_.answers[0]->hint, ::testing::HasSubstr("restore"));
  world.tick({ask(RequestKind::kRollback, "restore")});
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kRolledBack; }));
  EXPECT_THAT(world.trace_, ::testing::IsSupersetOf({"restore.add_column", "restore.backfill"}));
  EXPECT_EQ(world.state_.flag.stage, "dualwrite");
}

TEST(Decide, WhoIsReleasedIsCountedFromTheRelease) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("contract.approve_release"));
  const auto mark = world.state_.mark;
  world.tick({ask(RequestKind::kApprove, "release")});
  ASSERT_TRUE(world.reach("contract.observe")) << world.at();
  EXPECT_FALSE(world.state_.flag.exclusions);
  EXPECT_GT(world.state_.mark, mark) << "what was counted before was not about them";
}

}  // namespace
}  // namespace poundlock::rollout
