#include "rollout/decide.h"

#include "rollout/decide_test_world.h"
#include "rollout/decider.h"

namespace poundlock::rollout {
namespace {

using testing::ask;
using testing::make_test_plan;
using testing::World;

TEST(Decide, GoesThroughAllFourPhasesInOrder) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("contract.approve_release")) << world.at();
  world.tick({ask(RequestKind::kApprove, "release")});
  ASSERT_TRUE(world.reach("contract.approve_drop")) << world.at();
  world.tick({ask(RequestKind::kApprove, "drop")});
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kDone; })) << world.at();
  EXPECT_THAT(world.trace_, ::testing::ElementsAre(
                                "prepare.dry_run", "dual_write.add_column", "dual_write.sync_trigger",
                                "dual_write.backfill", "dual_write.verify", "dual_write.index",
                                "expose.open_sync", "contract.verify", "contract.drop", "contract.vacuum"));
  EXPECT_EQ(world.decision_.report.headline, "done: the new side is the only side");
}

TEST(Decide, AWindowGrowsOnlyWhileSomebodyWatches) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("dual_write.window"));
  const auto before = world.state_.windows["dual_write"];
  world.now_ = world.now_ + Millis{3'600'000};  // the clock jumps an hour
  world.tick();
  EXPECT_LE(world.state_.windows["dual_write"] - before, Millis{60'000});
  world.now_ = TimePoint{world.now_.ms - 7'200'000};  // and back two
  const auto then = world.state_.windows["dual_write"];
  world.tick();
  EXPECT_EQ(world.state_.windows["dual_write"], then);
}

TEST(Decide, RollbackOfExposurePublishesLegacyAtOnceAndKeepsTheSchema) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("expose.all_100"));
  const auto flags = world.flags_.size();
  world.tick({ask(RequestKind::kRollback)});
  ASSERT_EQ(world.flags_.size(), flags + 1) << "the flag has to go off in the tick of the request";
  EXPECT_EQ(world.state_.flag.stage, "dualwrite");
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kRolledBack; }));
  EXPECT_EQ(world.at(), "expose.all_25");
  for (const auto& line : world.trace_) EXPECT_THAT(line, ::testing::Not(::testing::HasSubstr("undo")));
  EXPECT_EQ(world.state_.rollbacks.size(), 1U);
  EXPECT_EQ(world.state_.rollbacks[0].cause, "operator:alice");
  world.tick({ask(RequestKind::kResume)});
  EXPECT_EQ(world.state_.mode, Mode::kRunning);
  EXPECT_EQ(world.state_.flag.percentage, 25);
}

TEST(Decide, WhereNoApplicationEverCameARollbackWaitsForNobody) {
  World world(make_test_plan());
  world.no_app_ = true;
  ASSERT_TRUE(world.reach("dual_write.backfill"));
  world.tick({ask(RequestKind::kRollback)});
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kRolledBack; }));
  ASSERT_EQ(world.state_.rollbacks.size(), 1U);
  world.tick();
  EXPECT_NE(world.state_.rollbacks[0].everybody_back.ms, 0);
}

TEST(Decide, ASecondRollbackTakesTheExpandBackInReverse) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("expose.all_25"));
  world.tick({ask(RequestKind::kRollback)});
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kRolledBack; }));
  world.trace_.clear();
  world.tick({ask(RequestKind::kRollback)});
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kRolledBack; }));
  EXPECT_THAT(world.trace_,
              ::testing::ElementsAre("rollback.close_sync", "undo dual_write.index",
                                     "undo dual_write.sync_trigger", "undo dual_write.add_column"));
  EXPECT_EQ(world.state_.position, 0U);
  EXPECT_TRUE(world.state_.windows.empty());
  EXPECT_EQ(world.state_.flag.stage, "off");
}

TEST(Decide, ASyncThatWasTurnedOffIsNotTurnedOnAgainByAnUndo) {
  World world(make_test_plan());
  world.plan_.items[*world.plan_.index_of("expose.open_sync")].step->undo = {"SELECT 'the sync of before'"};
  ASSERT_TRUE(world.reach("expose.all_25"));
  world.trace_.clear();
  world.tick({ask(RequestKind::kRollback, "prepare")});
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kRolledBack; }));
  EXPECT_THAT(world.trace_,
              ::testing::ElementsAre("rollback.close_sync", "undo dual_write.index",
                                     "undo dual_write.sync_trigger", "undo dual_write.add_column"));
}

TEST(Decide, TheSyncGoesOnWhileAnybodyStillReadsTheNewSide) {
  World world(make_test_plan({"references_new"}));
  world.plan_.fresh = {{"public", "orders", "new_status"}};
  world.app_.instances.resize(1);
  ASSERT_TRUE(world.reach("expose.all_25"));
  world.trace_.clear();
  // A build that knows only the new side does not come back with the flag.
  world.app_.contexts = {{"", 0, 100}};
  world.tick({ask(RequestKind::kRollback, "prepare")});
  for (int i = 0; i < 60; ++i) world.tick();
  EXPECT_THAT(world.trace_, ::testing::IsEmpty()) << "it would read what nobody keeps in step";
  EXPECT_EQ(world.state_.flag.stage, "dualwrite");
}

TEST(Decide, ANewSideThatIsReadNowAndThenIsNotDroppedByARollback) {
  World world(make_test_plan({"references_new"}));
  world.plan_.fresh = {{"public", "orders", "new_status"}};
  world.values_ = {{"collector.pg_stat_statements", 1}, {"statements.clock_s", 1},
                   {"statements.unreadable", 0},        {"statements.fresh_refs", 100},
                   {"fresh_objects.catalog", 0},        {"fresh_objects.functions", 0},
                   {"fresh_sessions.count", 0}};
  ASSERT_TRUE(world.reach("expose.all_25"));
  world.trace_.clear();
  world.tick({ask(RequestKind::kRollback, "prepare")});
  for (int i = 0; i < 900; ++i) {
    if (i % 10 == 0) world.values_["statements.fresh_refs"] += 1;
    world.tick();
  }
  EXPECT_THAT(world.trace_, ::testing::IsEmpty()) << "its reader would fail";
  EXPECT_EQ(world.state_.mode, Mode::kRollingBack);
  // Nobody reads it any more: it goes after a while, and a person is told for how long to wait.
  for (int i = 0; i < 20; ++i) world.tick();
  EXPECT_THAT(world.decision_.report.waiting,
              ::testing::Contains(::testing::HasSubstr("nobody to refer to the new side for another")));
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kRolledBack; }));
  EXPECT_THAT(world.trace_, ::testing::Contains("undo dual_write.add_column"));
}

TEST(Decide, AnAdditiveColumnIsNotAddedUnderASelectStar) {
  Plan plan = make_test_plan({"select_star"});
  plan.fresh = {{"public", "orders", "note"}};
  const auto expand = *plan.index_of("dual_write.add_column");
  plan.items.resize(expand + 1);
  plan.items.insert(plan.items.begin() + static_cast<std::ptrdiff_t>(expand),
                    testing::make_item("prepare.gates", ItemKind::kGates, Phase::kPrepare, Moment::kPrepare));
  plan.flag.reset();
  World world(std::move(plan));
  world.values_ = {{"collector.pg_stat_statements", 1},
                   {"statements.clock_s", 1},
                   {"statements.unreadable", 0},
                   {"statements.star", 1}};
  for (int i = 0; i < 100; ++i) world.tick();
  EXPECT_THAT(world.trace_, ::testing::ElementsAre("prepare.dry_run"));
  EXPECT_THAT(world.state_.pause_reason, ::testing::HasSubstr("SELECT *"));
  world.values_["statements.star"] = 0;
  EXPECT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kDone; }));
}

TEST(Decide, AbortEndsWithNothingLeft) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("expose.all_25"));
  world.tick({ask(RequestKind::kAbort)});
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kAborted; }));
  EXPECT_THAT(world.trace_, ::testing::Contains("undo dual_write.add_column"));
  world.tick({ask(RequestKind::kResume)});
  ASSERT_TRUE(world.decision_.answers[0].has_value());
  EXPECT_EQ(world.decision_.answers[0]->disposition, Disposition::kConflict);
}

TEST(Decide, AFailedCheckEndsPrepareWithItsVerdict) {
  World world(make_test_plan());
  world.fail_["prepare.dry_run"] = make_error(Disposition::kRefused, "dry_run.slow", "it took 300 s");
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kRolledBack; }));
  EXPECT_EQ(world.state_.rollbacks.back().cause, "step:prepare.dry_run");
  EXPECT_THAT(world.state_.rollbacks.back().reason, ::testing::HasSubstr("300 s"));
}

TEST(Decide, ATransientFailureIsTriedAgainLaterAndThenAPersonIsAsked) {
  World world(make_test_plan());
  world.fail_["dual_write.add_column"] =
      make_error(Disposition::kRetry, "pg.lock_timeout", "somebody holds the table");
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kPaused; }, 5000));
  EXPECT_EQ(world.state_.steps["dual_write.add_column"].attempts, 40U);
  EXPECT_THAT(world.state_.pause_reason, ::testing::HasSubstr("somebody holds the table"));
  world.fail_.clear();
  world.tick({ask(RequestKind::kResume)});
  EXPECT_TRUE(world.reach("dual_write.window"));
}

TEST(Decide, AnOutcomeOfAnOlderGenerationCountsForNothing) {
  World world(make_test_plan());
  world.stall_ = "dual_write.add_column";
  ASSERT_TRUE(world.reach("dual_write.add_column"));
  world.outcomes_.push_back(
      {"dual_write.add_column", world.state_.generation - 1, OutcomeKind::kDone, {}, {}, {}});
  world.tick();
  EXPECT_EQ(world.at(), "dual_write.add_column");
}

TEST(Decide, ExposureWaitsForEveryReaderAndDepartedOnesDoNotCount) {
  World world(make_test_plan());
  world.app_.instances.resize(1);
  world.app_.instances[0].instance = "a";
  ASSERT_TRUE(world.reach("expose.all_25"));
  world.hold_ack_ = true;
  world.app_.instances[0].applied = {1, 0};
  for (int i = 0; i < 100; ++i) world.tick();
  EXPECT_EQ(world.at(), "expose.all_25");
  EXPECT_THAT(world.decision_.report.waiting, ::testing::Contains(::testing::HasSubstr("reader a")));
  world.app_.instances[0].departed = true;
  EXPECT_TRUE(world.reach("expose.all_100"));
}

TEST(Decide, AfterAStatisticsResetEveryCounterBeginsAnew) {
  World world(make_test_plan());
  world.values_ = {{"statements.write_rows", 0}, {"statements.versions", 50'000}};
  ASSERT_TRUE(world.reach("dual_write.window"));
  world.tick();
  world.values_ = {{"statements.write_rows", 30'000}, {"statements.versions", 80'000}};
  world.tick();
  // The view of statements is reset, the one of tables is not.
  world.values_ = {{"statements.write_rows", 10}, {"statements.versions", 80'010}};
  world.tick();
  EXPECT_EQ(world.state_.marks["statements.write_rows"], 10);
  EXPECT_EQ(world.state_.marks["statements.versions"], 80'010)
      << "else each row was written thousands of times";
  const auto mark = world.state_.mark;
  world.values_["scans.table_scans"] = 7;
  world.tick();
  world.values_["scans.table_scans"] = 0;
  world.tick();
  EXPECT_GT(world.state_.mark, mark) << "scans are judged for each attempt";
}

TEST(Decide, OneReadOfTheNewSideDelaysExposureAndDoesNotPreventIt) {
  World world(make_test_plan({"new_reads_while_off"}));
  world.plan_.fresh = {{"public", "orders", "new_status"}};
  world.plan_.items[*world.plan_.index_of("dual_write.window")].duration = Millis{1'800'000};
  world.values_ = {{"collector.pg_stat_statements", 1},
                   {"statements.clock_s", 1},
                   {"statements.unreadable", 0},
                   {"statements.fresh_reads", 0}};
  const auto window = [&] { return world.state_.windows["dual_write"]; };
  ASSERT_TRUE(world.run_until([&] { return window() >= Millis{600'000}; }, 700));
  world.values_["statements.fresh_reads"] = 1;
  world.tick();
  const auto read = world.now_;
  for (int i = 0; i < 10; ++i) world.tick();
  EXPECT_LT(window(), Millis{60'000}) << "who reads it daily has to be seen again";
  EXPECT_TRUE(world.run_until([&] { return world.at() != "dual_write.window"; }, 3'000));
  EXPECT_GE(world.now_ - read, Millis{1'790'000});
}

TEST(Decide, InternalTrafficAloneIsASmallExposure) {
  World world(make_test_plan({"error_rate"}));
  auto& internal = world.plan_.items[*world.plan_.index_of("expose.all_25")];
  internal.flag->percentage = 0;
  const auto report = [&] {
    world.app_.instances.resize(1);
    world.app_.newest = world.now_;
    world.app_.paths.resize(1);
    // 0.1 % of errors, so that the bound is near 0.15 %: enough at a tenth of all users, not for all.
    world.app_.paths[0].fresh.counts = {20'000, 0, 0, 0, 10};
    world.app_.paths[0].legacy.counts = {20'000, 0, 0, 0, 10};
  };
  ASSERT_TRUE(world.run_until([&] {
    report();
    return world.at() == "expose.all_25" && !world.state_.gates.empty();
  }));
  const auto verdict = [&] {
    for (const auto& one : world.state_.gates)
      if (one.gate == "error_rate") return one.verdict;
    return Verdict::kFail;
  };
  EXPECT_EQ(verdict(), Verdict::kPass) << "a tenth is assumed where contexts are not known";
  world.app_.contexts = {{"internal", 0, 19'000}, {"", 1'000, 0}, {"batch", 900'000, 0}};
  report();
  world.tick();
  ASSERT_EQ(world.at(), "expose.all_25");
  EXPECT_EQ(verdict(), Verdict::kHold) << "nearly everybody is internal";
}

TEST(Decide, ReadersThatNobodySeesAreNotUpToDate) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("dual_write.window"));
  world.state_.baseline = Baseline{};
  world.no_app_ = true;
  for (int i = 0; i < 200; ++i) world.tick();
  EXPECT_EQ(world.at(), "expose.all_25") << "an application was seen, and now its figures are missing";
  world.no_app_ = false;
  EXPECT_TRUE(world.reach("expose.all_100"));
}

// A provider of flagd's has no way to acknowledge; a rollout must not wait for it for ever.
TEST(Decide, AReaderThatCannotAcknowledgeIsWaitedForUntilItIsDelivered) {
  World world(make_test_plan());
  world.app_.instances.resize(1);
  world.app_.instances[0].acknowledges = false;
  world.hold_ack_ = true;
  for (int i = 0; i < 200; ++i) world.tick();
  const std::string held = world.at();
  EXPECT_NE(held, "expose.all_100") << "nothing was delivered to it";
  ASSERT_TRUE(world.run_until([&] {
    world.app_.instances[0].delivered = world.revision_;
    return world.at() == "expose.all_100";
  })) << world.at();
}

TEST(Decide, AClockThatIsSetOpensNoWindowAndDelaysNoRetry) {
  World world(make_test_plan());
  world.steady_ = true;
  ASSERT_TRUE(world.reach("dual_write.window"));
  const auto before = world.state_.windows["dual_write"];
  world.clock_jump_ = Millis{3'600'000};
  world.tick();
  EXPECT_EQ(world.state_.windows["dual_write"] - before, Millis{1000});

  World back(make_test_plan());
  back.steady_ = true;
  back.fail_["dual_write.add_column"] = make_error(Disposition::kRetry, "pg.lock_timeout", "held");
  ASSERT_TRUE(back.reach("dual_write.add_column"));
  for (int i = 0; i < 5; ++i) back.tick();
  back.clock_jump_ = Millis{-3'600'000};
  back.fail_.clear();
  EXPECT_TRUE(back.run_until([&] { return back.at() == "dual_write.window"; }, 60))
      << "it waited for the hour to come round";
}

TEST(Decide, AClockThatWasSetBackWhileNobodyWatchedDelaysNothingForThatLong) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("dual_write.add_column"));
  world.state_.last_tick = {};  // as a controller finds it that takes over
  world.state_.mark_at = world.state_.retry_at = world.now_ + Millis{3'600'000};
  world.tick();
  EXPECT_LE(world.state_.mark_at, world.now_);
  EXPECT_LE(world.state_.retry_at - world.now_, kBackoffMax);
}

TEST(Decide, AnOperatorsPauseOutlastsAGates) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("dual_write.window"));
  world.state_.mode = Mode::kPaused;
  world.state_.paused_by_gate = true;
  world.tick({ask(RequestKind::kPause)});
  EXPECT_FALSE(world.decision_.answers[0].has_value());
  for (int i = 0; i < 5; ++i) world.tick();
  EXPECT_EQ(world.state_.mode, Mode::kPaused);
}

TEST(Decide, PromoteShortensADwellAndNothingElse) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("dual_write.window"));
  world.tick({ask(RequestKind::kPromote)});
  EXPECT_TRUE(world.decision_.answers[0].has_value()) << "a window protects data";
  ASSERT_TRUE(world.reach("expose.all_25"));
  world.tick();
  world.tick({ask(RequestKind::kPromote)});
  EXPECT_FALSE(world.decision_.answers[0].has_value());
  world.tick();
  EXPECT_EQ(world.at(), "expose.all_100");
}

Plan plan_with_baseline(const std::set<std::string>& gates) {
  Plan plan = make_test_plan(gates);
  plan.items.insert(plan.items.begin() + 1, testing::make_item("prepare.baseline", ItemKind::kBaseline,
                                                               Phase::kPrepare, Moment::kBaseline));
  return plan;
}

TEST(Decide, TheBaselineWaitsForFiguresOnlyWhereAGateComparesThem) {
  for (const bool compared : {true, false}) {
    World world(
        plan_with_baseline(compared ? std::set<std::string>{"index_usage"} : std::set<std::string>{}));
    world.no_app_ = true;  // readers with one flag and nothing else
    const bool over = world.run_until([&] { return world.state_.baseline.has_value(); }, 200);
    EXPECT_EQ(over, !compared) << world.at();
  }
}

TEST(Decide, ARarePathDoesNotKeepTheBaselineFromEnding) {
  World world(plan_with_baseline({"latency_p99"}));
  const auto seen = [&](std::size_t index, const char* name, std::uint64_t attempts) {
    PathStats& path = world.app_.paths.at(index);
    path.path = name;
    path.legacy.counts.attempts = attempts;
    path.legacy.latency = {};
    path.legacy.latency.add(3000, attempts);
  };
  world.app_.instances.resize(1);
  world.app_.paths.resize(2);
  seen(0, "by_status", 9'000);
  seen(1, "by_note", 3);
  for (int i = 0; i < 100; ++i) world.tick();
  EXPECT_EQ(world.at(), "prepare.baseline") << "10,000 are asked for";
  EXPECT_THAT(world.decision_.report.waiting, ::testing::Contains(::testing::HasSubstr("by_note (3)")));
  seen(0, "by_status", 20'000);
  ASSERT_TRUE(world.run_until([&] { return world.at() != "prepare.baseline"; }, 10));
  ASSERT_TRUE(world.state_.baseline);
  EXPECT_EQ(world.state_.baseline->paths["by_note"].attempts, 3U);
  EXPECT_THAT(world.state_.journal, ::testing::Contains(::testing::HasSubstr("compare with on by_note (3)")));
}

TEST(Decide, NobodyIsExposedBeforeReplicasHaveTheColumn) {
  Plan plan = make_test_plan({"replicas_replayed"});
  World world(std::move(plan));
  world.values_ = {{"replication.replicas", 1},
                   {"replication.written_lsn", 5'000},
                   {"replication.replayed_lsn", 6'000},
                   {"collector.replicas", 0}};
  ASSERT_TRUE(world.reach("expose.open_sync")) << world.at();
  // The replica turns out to be behind when the last step before the exposure is done.
  world.values_["replication.replayed_lsn"] = 4'000;
  for (int i = 0; i < 50; ++i) world.tick();
  EXPECT_EQ(world.at(), "expose.open_sync");
  EXPECT_EQ(world.state_.flag.stage, "dualwrite");
  EXPECT_THAT(world.decision_.report.waiting, ::testing::Contains(::testing::HasSubstr("not replayed")));
  world.values_["replication.replayed_lsn"] = 6'000;
  EXPECT_TRUE(world.reach("expose.all_25"));
}

TEST(Decide, AnOpenBreakerBringsEverybodyBackByItself) {
  World world(make_test_plan({"breakers"}));
  world.app_.instances.resize(1);
  world.app_.newest = world.now_;
  ASSERT_TRUE(world.run_until([&] {
    world.app_.newest = world.now_;
    return world.at() == "expose.all_25";
  }));
  world.app_.breakers.push_back({"by_status", "a", "error burst", true, 1});
  world.app_.newest = world.now_;
  world.tick();
  EXPECT_EQ(world.state_.flag.stage, "dualwrite");
  ASSERT_FALSE(world.state_.rollbacks.empty());
  EXPECT_EQ(world.state_.rollbacks.back().cause, "gate:breakers");
}

// The tick that resumes has asked the applications before: what they said is of the try that was taken back.
TEST(Decide, ATripOfTheLastTryDoesNotEndTheNextOne) {
  World world(make_test_plan({"breakers"}));
  world.app_.instances.resize(1);
  ASSERT_TRUE(world.run_until([&] {
    world.app_.newest = world.now_;
    return world.at() == "expose.all_25";
  }));
  world.app_.breakers.push_back({"by_status", "a", "error burst", true, 1});
  ASSERT_TRUE(world.run_until([&] {
    world.app_.newest = world.now_;
    return world.state_.mode == Mode::kRolledBack;
  }));
  ASSERT_EQ(world.state_.rollbacks.size(), 1U);
  world.app_.newest = world.now_;
  world.tick({ask(RequestKind::kResume)});
  EXPECT_EQ(world.state_.mode, Mode::kRunning);
  EXPECT_EQ(world.state_.rollbacks.size(), 1U);
}

TEST(Decide, IsPure) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("expose.all_25"));
  Observations seen;
  const auto one = decide(world.state_, world.plan_, seen, world.now_);
  const auto two = decide(world.state_, world.plan_, seen, world.now_);
  EXPECT_EQ(to_json(one.state), to_json(two.state));
  EXPECT_EQ(one.commands.size(), two.commands.size());
}

}  // namespace
}  // namespace poundlock::rollout
