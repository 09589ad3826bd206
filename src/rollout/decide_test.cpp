#include "rollout/decide.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "rollout/decide_test_plan.h"
#include "rollout/decider.h"

namespace poundlock::rollout {
namespace {

using testing::make_test_plan;

// Plays controller and a perfect world: publishes what is commanded, carries steps out at once, and
// lets time go by a second a tick.
class World {
 public:
  explicit World(Plan plan) : plan_(std::move(plan)), state_(begin(plan_, now_)) {}

  const Decision& tick(std::vector<Request> requests = {}) {
    Observations seen;
    seen.requests = std::move(requests);
    seen.outcomes = std::exchange(outcomes_, {});
    seen.published = published_;
    if (!no_app_) seen.app = app_;
    for (const auto& [name, value] : values_) seen.values[name] = {value, now_ + Millis{1000}, "primary", ""};
    if (!app_.instances.empty())
      app_.instances[0].applied = hold_ack_ ? app_.instances[0].applied : revision_;
    now_ = now_ + Millis{1000} + std::exchange(clock_jump_, Millis{0});
    decision_ = decide(state_, plan_, seen, now_, steady_ ? std::optional(Millis{1000}) : std::nullopt);
    // The store keeps nothing that JSON does not keep.
    auto again = state_from_json(boost::json::parse(boost::json::serialize(to_json(decision_.state))));
    EXPECT_TRUE(again.has_value()) << again.error().to_string();
    EXPECT_EQ(to_json(*again), to_json(decision_.state));
    state_ = *again;
    for (const Command& command : decision_.commands) carry_out(command);
    return decision_;
  }

  void carry_out(const Command& command) {
    if (command.kind == CommandKind::kPublish) {
      revision_.number += 1;
      published_ = Published{command.flags, revision_};
      flags_.push_back(command.flags);
      return;
    }
    StepOutcome outcome{command.step->id, command.generation, OutcomeKind::kDone, {}, {}, {}};
    if (command.kind == CommandKind::kUndoStep) outcome.kind = OutcomeKind::kUndone;
    if (command.kind == CommandKind::kProbeStep)
      outcome.kind = drop_committed_ ? OutcomeKind::kDone : OutcomeKind::kUndone;
    if (command.kind == CommandKind::kRunStep && fail_.contains(command.step->id)) {
      outcome.kind = OutcomeKind::kFailed;
      outcome.error = fail_.at(command.step->id);
    }
    if (stall_ == command.step->id && command.kind == CommandKind::kRunStep) return;
    trace_.push_back((command.kind == CommandKind::kUndoStep ? "undo " : "") + command.step->id);
    outcomes_.push_back(outcome);
  }

  bool run_until(const std::function<bool()>& done, int ticks = 500) {
    for (int i = 0; i < ticks && !done(); ++i) tick();
    return done();
  }
  bool reach_drop() {
    if (!reach("contract.approve_release")) return false;
    tick({{RequestKind::kApprove, "alice", "test", "release"}});
    if (!reach("contract.approve_drop")) return false;
    tick({{RequestKind::kApprove, "alice", "test", "drop"}});
    return run_until([&] {
      return at() == "contract.drop" &&
             std::any_of(decision_.commands.begin(), decision_.commands.end(),
                         [](const Command& one) { return one.kind == CommandKind::kRunStep; });
    });
  }
  bool reach(const std::string& item) {
    return run_until([&] { return state_.position == plan_.index_of(item); });
  }
  std::string at() const {
    return state_.position < plan_.items.size() ? plan_.items[state_.position].id : "end";
  }

  Plan plan_;
  TimePoint now_{1'000'000'000};
  RolloutState state_;
  Decision decision_;
  std::vector<StepOutcome> outcomes_;
  std::vector<std::string> trace_;
  std::vector<std::string> flags_;
  flag::Revision revision_{1, 0};
  std::optional<Published> published_;
  AppWindow app_;
  std::map<std::string, double> values_;
  std::map<std::string, Error> fail_;
  std::string stall_;
  bool hold_ack_ = false;
  bool no_app_ = false;   // the source of figures does not answer
  bool steady_ = false;   // ticks say how much time has passed
  Millis clock_jump_{0};  // of wall time, at the next tick
  bool drop_committed_ = false;
};

Request ask(RequestKind kind, std::string subject = "") {
  return {kind, "alice", "test", std::move(subject)};
}

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

TEST(Decide, NothingIsDroppedWithoutApproval) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("contract.approve_release"));
  world.tick({ask(RequestKind::kApprove, "release")});
  ASSERT_TRUE(world.reach("contract.approve_drop"));
  for (int i = 0; i < 1000; ++i) world.tick();
  EXPECT_EQ(world.at(), "contract.approve_drop");
  EXPECT_THAT(world.trace_, ::testing::Not(::testing::Contains("contract.drop")));
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

TEST(Decide, RowsThatDifferAtTheLastVerifyKeepTheLegacySide) {
  World world(make_test_plan());
  world.fail_["contract.verify"] =
      make_error(Disposition::kRefused, "verify.mismatches", "1 of 5000 rows is out of step");
  ASSERT_TRUE(world.reach("contract.approve_release"));
  world.tick({ask(RequestKind::kApprove, "release"), ask(RequestKind::kApprove, "drop")});
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
  world.tick({ask(RequestKind::kApprove, "release"), ask(RequestKind::kApprove, "drop")});
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
  world.tick({ask(RequestKind::kApprove, "release"), ask(RequestKind::kApprove, "drop")});
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

TEST(Decide, AStatisticsResetBeginsTheClosingWindowAnew) {
  Plan plan = make_test_plan();
  auto at = plan.items.begin() + static_cast<std::ptrdiff_t>(*plan.index_of("contract.close") + 1);
  plan.items.insert(at, testing::window_item("contract.closing", "closing", Phase::kContract,
                                             Moment::kBeforeDrop, Millis{60'000}));
  World world(std::move(plan));
  world.values_["statements.legacy_refs"] = 7'000'000;
  ASSERT_TRUE(world.reach("contract.approve_release"));
  world.tick({ask(RequestKind::kApprove, "release"), ask(RequestKind::kApprove, "drop")});
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
  world.tick({ask(RequestKind::kApprove, "release"), ask(RequestKind::kApprove, "drop")});
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
  world.tick({ask(RequestKind::kApprove, "release"), ask(RequestKind::kApprove, "drop")});
  ASSERT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kPaused; }, 3'000)) << world.at();
  EXPECT_EQ(world.at(), "contract.closing");
  EXPECT_THAT(world.state_.pause_reason, ::testing::HasSubstr("PostgreSQL 14"));
  for (int i = 0; i < 3'000; ++i) world.tick();
  EXPECT_EQ(world.state_.flag.stage, "complete");
  EXPECT_TRUE(world.state_.rollbacks.empty());
  world.values_["collector.statements_evicted"] = 5;
  EXPECT_TRUE(world.run_until([&] { return world.state_.mode == Mode::kDone; })) << world.at();
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

TEST(Decide, WhoIsReleasedIsCountedFromTheRelease) {
  World world(make_test_plan());
  ASSERT_TRUE(world.reach("contract.approve_release"));
  const auto mark = world.state_.mark;
  world.tick({ask(RequestKind::kApprove, "release")});
  ASSERT_TRUE(world.reach("contract.observe")) << world.at();
  EXPECT_FALSE(world.state_.flag.exclusions);
  EXPECT_GT(world.state_.mark, mark) << "what was counted before was not about them";
}

TEST(Decide, ARarePathDoesNotKeepTheBaselineFromEnding) {
  Plan plan = make_test_plan();
  Item baseline =
      testing::make_item("prepare.baseline", ItemKind::kBaseline, Phase::kPrepare, Moment::kBaseline);
  plan.items.insert(plan.items.begin() + 1, std::move(baseline));
  World world(std::move(plan));
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
