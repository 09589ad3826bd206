// Gates on what applications report: pass, hold and fail with readable reasons.
#include "rollout/gates/gate_test_support.h"
#include "rollout/random_for_test.h"

namespace poundlock::rollout {
namespace {

TEST(ApplicationGates, HoldWithoutReportsAndPassWhereNoFlagSteersAnything) {
  GateBench bench;
  for (const char* id :
       {"error_rate", "latency_p99", "fallback_rate", "breakers", "slo_errors", "query_timeouts"}) {
    EXPECT_VERDICT(bench.judge(id), Verdict::kHold, "no application has reported");
    EXPECT_TRUE(bench.judge(id).no_data) << id;
  }
  bench.app().newest = bench.now + Millis{-20'000};
  EXPECT_VERDICT(bench.judge("breakers"), Verdict::kHold, "last report is 20s old");
  bench.plan.flag.reset();
  EXPECT_VERDICT(bench.judge("breakers"), Verdict::kPass, "no flag steers this change");
}

TEST(ErrorRate, PassesWithEnoughCleanAttempts) {
  GateBench bench;
  fill(bench.path().fresh, 12'000, 0);
  EXPECT_VERDICT(bench.judge("error_rate"), Verdict::kPass,
                 "0 of 12,000 attempts on the new side failed, 0 %");
}

TEST(ErrorRate, HoldsBelowItsMinimumAndAboveItsBound) {
  GateBench bench;
  fill(bench.path().fresh, 300, 0);
  EXPECT_VERDICT(bench.judge("error_rate"), Verdict::kHold, "10,000 are needed");
  fill(bench.path().fresh, 12'000, 14);
  EXPECT_VERDICT(bench.judge("error_rate"), Verdict::kHold, "is asked for here");
  EXPECT_FALSE(bench.judge("error_rate").no_data);
}

TEST(ErrorRate, HoldsWithoutDataWhileNobodyIsOnTheNewSide) {
  GateBench bench;
  fill(bench.path().legacy, 50'000, 0);
  EXPECT_TRUE(bench.judge("error_rate").no_data);
}

TEST(ErrorRate, FailsLongBeforeItsMinimumWhenThePathIsBroken) {
  GateBench bench;
  fill(bench.path().fresh, 40, 12);
  EXPECT_VERDICT(bench.judge("error_rate"), Verdict::kFail,
                 "12 of 40 attempts on the new side failed, 30.0 %: over 0.10 %");
}

TEST(ErrorRate, FailsOnOneBrokenPathAmongManyHealthyOnes) {
  GateBench bench;
  fill(bench.path("busy").fresh, 60'000, 0);
  fill(bench.path("rare").fresh, 12, 12);
  EXPECT_VERDICT(bench.judge("error_rate"), Verdict::kFail, "on path rare");
}

TEST(ErrorRate, SaysBeforeTheExpandThatLegacyAlreadyFails) {
  GateBench bench;
  bench.moment = Moment::kBaseline;
  fill(bench.path().legacy, 1000, 20);
  EXPECT_VERDICT(bench.judge("error_rate"), Verdict::kFail, "on the legacy side");
  bench.path().legacy = {};
  fill(bench.path().legacy, 50, 0);
  EXPECT_VERDICT(bench.judge("error_rate"), Verdict::kPass, "not over");
}

TEST(ErrorRate, DoesNotTakeOneBurstForARate) {
  GateBench bench;
  SideStats& side = bench.path().fresh;
  fill(side, 60'000, 150);
  for (int second = 0; second < 60; ++second) side.blocks.push_back({1000, second == 30 ? 150U : 0U, {}});
  EXPECT_VERDICT(bench.judge("error_rate"), Verdict::kHold, "150 of 60,000");
  for (int second = 0; second < 60; ++second)
    side.blocks[static_cast<std::size_t>(second)].errors = 2 + second % 2;
  EXPECT_VERDICT(bench.judge("error_rate"), Verdict::kFail, "150 of 60,000");
}

// Two days of a healthy path, and two minutes in which `share` of everything goes wrong.
void two_days_and_two_minutes(SideStats& side, std::uint64_t Block::*kind, double share) {
  side.counts.attempts += 50'000'000;
  for (int second = 0; second < 120; ++second) {
    Block& block = side.blocks.emplace_back();
    block.attempts = 300;
    block.*kind = static_cast<std::uint64_t>(300 * share);
  }
}

TEST(Newest, FailsWhatBeginsLateInALongWindow) {
  const auto verdict = [](const char* gate, std::uint64_t Block::*kind, double share) {
    GateBench bench;
    bench.moment = Moment::kObserve;
    bench.exposure = 1;
    two_days_and_two_minutes(bench.path().fresh, kind, share);
    return bench.judge(gate);
  };
  EXPECT_VERDICT(verdict("error_rate", &Block::errors, 0.2), Verdict::kFail,
                 "7,200 of the newest 36,000 attempts on the new side failed, 20.0 %: over 0.10 %");
  EXPECT_VERDICT(verdict("fallback_rate", &Block::fallbacks, 0.2), Verdict::kFail, "of the newest 36,000");
  EXPECT_VERDICT(verdict("slo_errors", &Block::user_errors, 0.2), Verdict::kFail, "of the newest 36,000");
  EXPECT_VERDICT(verdict("query_timeouts", &Block::timeouts, 0.2), Verdict::kFail, "in a query time-out");
  EXPECT_VERDICT(verdict("connection_timeouts", &Block::connection, 0.2), Verdict::kFail, "time-out");
  for (const char* gate : {"error_rate", "fallback_rate", "slo_errors", "query_timeouts"})
    EXPECT_EQ(verdict(gate, &Block::errors, 0).verdict, Verdict::kPass) << gate;
}

TEST(Newest, DoesNotTakeOneSecondForATrend) {
  GateBench bench;
  two_days_and_two_minutes(bench.path().fresh, &Block::timeouts, 0);
  bench.path().fresh.blocks[60].timeouts = 100;
  EXPECT_EQ(bench.judge("query_timeouts").verdict, Verdict::kPass);
}

TEST(FallbackRate, FailsWhenReadsAreRescuedByLegacy) {
  GateBench bench;
  fill(bench.path().fresh, 20'000, 0);
  EXPECT_VERDICT(bench.judge("fallback_rate"), Verdict::kPass, "fell back to legacy");
  bench.path().fresh.fallbacks = 100;
  EXPECT_VERDICT(bench.judge("fallback_rate"), Verdict::kFail,
                 "100 of 20,000 attempts on the new side fell back");
}

TEST(Latency, PassesAgainstTheLegacySideOfTheSameWindow) {
  GateBench bench;
  fill(bench.path().legacy, 20'000, 0);
  fill(bench.path().fresh, 10'000, 0);
  EXPECT_VERDICT(bench.judge("latency_p99"), Verdict::kPass, "1.00 times");
  EXPECT_VERDICT(bench.judge("latency_p95"), Verdict::kPass, "by_status");
}

TEST(Latency, FailsAgainstTheBaselineWhenEverybodyIsOnTheNewSide) {
  GateBench bench;
  bench.exposure = 1;
  bench.baseline.emplace();
  SideStats before;
  fill(before, 5000, 0);
  bench.baseline->paths["by_status"] = {5000, 0, before.latency};
  fill(bench.path().fresh, 3000, 0, 4500);
  EXPECT_VERDICT(bench.judge("latency_p99"), Verdict::kFail, "1.50 times, over 1.15");
}

TEST(Latency, HoldsWithoutAControlAndWithFewSamples) {
  GateBench bench;
  fill(bench.path().fresh, 10'000, 0);
  EXPECT_VERDICT(bench.judge("latency_p99"), Verdict::kHold, "688 samples of a path are needed");
  fill(bench.path().legacy, 20'000, 0);
  bench.path().fresh = {};
  EXPECT_TRUE(bench.judge("latency_p99").no_data);
  fill(bench.path().fresh, 1000, 0);
  EXPECT_VERDICT(bench.judge("latency_p99"), Verdict::kHold, "1,000 of 10,000 samples so far");
}

// Two minutes of attempts, each as slow as `micros` and half as much again.
std::vector<Block> minutes(double micros) {
  std::vector<Block> blocks(120);
  for (Block& block : blocks) {
    block.attempts = 100;
    for (int i = 0; i < 100; ++i)
      block.latency.add(static_cast<std::uint64_t>(micros * (1 + static_cast<double>(i) / 200)));
  }
  return blocks;
}

TEST(Latency, FailsWhatBecomesSlowLateInALongWindow) {
  GateBench bench;
  bench.moment = Moment::kObserve;
  bench.exposure = 1;
  bench.baseline.emplace();
  SideStats before;
  fill(before, 5000, 0);
  bench.baseline->paths["by_status"] = {5000, 0, before.latency};
  SideStats& side = bench.path().fresh;
  for (int i = 0; i < 1000; ++i) side.latency.add(static_cast<std::uint64_t>(2000 + i), 50'000);
  side.blocks = minutes(30'000);
  EXPECT_VERDICT(bench.judge("latency_p95"), Verdict::kFail, "in the newest 12,000 attempts against");
  side.blocks = minutes(3500);
  EXPECT_VERDICT(bench.judge("latency_p95"), Verdict::kPass, "0.");
  // A busy hour is slower for everybody: beside legacy that is seen, against a recording it is not judged.
  side.blocks = minutes(6000);
  EXPECT_VERDICT(bench.judge("latency_p95"), Verdict::kPass, "0.");
  bench.path().legacy.blocks = minutes(6000);
  EXPECT_VERDICT(bench.judge("latency_p95"), Verdict::kPass, "0.");
  bench.path().legacy.blocks = minutes(3000);
  EXPECT_VERDICT(bench.judge("latency_p95"), Verdict::kFail, "in the newest 12,000 attempts");
}

TEST(Latency, HoldsWhileAPathThatMattersCannotBeCompared) {
  GateBench bench;
  fill(bench.path("by_status").legacy, 20'000, 0);
  fill(bench.path("by_status").fresh, 10'000, 0);
  fill(bench.path("report").fresh, 100, 0);
  EXPECT_VERDICT(bench.judge("latency_p99"), Verdict::kPass, "too few samples to compare with for report");
  fill(bench.path("report").fresh, 2000, 0);
  EXPECT_VERDICT(bench.judge("latency_p99"), Verdict::kHold, "2,100 of 12,100 attempts");
  fill(bench.path("report").legacy, 1000, 0);
  EXPECT_VERDICT(bench.judge("latency_p99"), Verdict::kPass, "times");
}

TEST(Latency, LeavesDifferencesOfMicrosecondsAlone) {
  GateBench bench;
  fill(bench.path().legacy, 20'000, 0, 200);
  fill(bench.path().fresh, 10'000, 0, 300);
  EXPECT_VERDICT(bench.judge("latency_p99"), Verdict::kPass, "0.45 ms against 0.30 ms");
}

TEST(Latency, NeverFailsAnUnchangedHeavyTailAndCatchesALongerOne) {
  TestRandom random(11);
  for (int run = 0; run < 20; ++run) {
    GateBench bench;
    for (int i = 0; i < 4000; ++i)
      bench.path().legacy.latency.add(static_cast<std::uint64_t>(random.lognormal(3000, 1)));
    for (int look = 0; look < 10; ++look) {
      for (int i = 0; i < 1000; ++i)
        bench.path().fresh.latency.add(static_cast<std::uint64_t>(random.lognormal(3000, 1)));
      EXPECT_NE(bench.judge("latency_p99").verdict, Verdict::kFail) << bench.judge("latency_p99").reason;
    }
  }
  GateBench slow;
  for (int i = 0; i < 4000; ++i)
    slow.path().legacy.latency.add(static_cast<std::uint64_t>(random.lognormal(3000, 1)));
  for (int i = 0; i < 4000; ++i)
    slow.path().fresh.latency.add(static_cast<std::uint64_t>(random.lognormal(9000, 1)));
  EXPECT_VERDICT(slow.judge("latency_p95"), Verdict::kFail, "times, over");
}

TEST(SloErrors, CountsWhatUsersSawOnBothSides) {
  GateBench bench;
  fill(bench.path().legacy, 3000, 0);
  fill(bench.path().fresh, 1000, 0);
  EXPECT_VERDICT(bench.judge("slo_errors"), Verdict::kPass, "0 of 4,000 units of work");
  bench.path().legacy.user_errors = 200;
  EXPECT_VERDICT(bench.judge("slo_errors"), Verdict::kFail,
                 "200 of 4,000 units of work ended in an error for the user, 5.00 %");
  bench.app().paths.clear();
  fill(bench.path().legacy, 20, 0);
  EXPECT_VERDICT(bench.judge("slo_errors"), Verdict::kHold, "1,000 are needed");
}

TEST(ClientErrors, AreHeldAgainstTheBaselineOnBothSides) {
  GateBench bench;
  fill(bench.path().legacy, 5000, 0);
  EXPECT_VERDICT(bench.judge("query_timeouts"), Verdict::kPass,
                 "0 of 5,000 attempts ended in a query time-out");
  EXPECT_VERDICT(bench.judge("connection_timeouts"), Verdict::kPass, "connection time-out");
  bench.path().legacy.counts.timeouts = 60;
  bench.path().fresh.counts.connection = 60;
  EXPECT_VERDICT(bench.judge("query_timeouts"), Verdict::kFail, "60 of 5,000");
  EXPECT_VERDICT(bench.judge("connection_timeouts"), Verdict::kFail, "60 of 5,000");
  bench.baseline.emplace();
  bench.baseline->paths["by_status"] = {10'000, 150, {}};  // as bad before
  EXPECT_VERDICT(bench.judge("query_timeouts"), Verdict::kPass, "not over 3.00 %");
  bench.app().paths.clear();
  EXPECT_TRUE(bench.judge("query_timeouts").no_data);
}

TEST(Breakers, FailWhenOneIsOpenOrTrippedAndNameIt) {
  GateBench bench;
  bench.app().breakers = {{"by_status", "app-1", "timeout", false, 0}};
  EXPECT_VERDICT(bench.judge("breakers"), Verdict::kPass, "no breaker tripped");
  bench.app().breakers = {{"by_status", "app-1", "timeout", true, 1},
                          {"by_id", "app-2", "error burst", false, 2}};
  EXPECT_VERDICT(
      bench.judge("breakers"), Verdict::kFail,
      "2 breakers tripped: by_status at app-1 (timeout), by_id at app-2 (error burst, closed again)");
}

// Whoever asks by OFREP or gRPC reports nothing, and leaks all the same.
TEST(ExcludedOnNew, FailsOnOneLeakedEvaluationAlsoWithoutAReport) {
  GateBench bench;
  bench.app().newest = {};
  bench.app().contexts.push_back({.context = "batch_processor", .evaluated_fresh = 2});
  const auto reading = bench.judge("excluded_on_new");
  EXPECT_EQ(reading.verdict, Verdict::kFail);
  EXPECT_EQ(reading.reason, "2 evaluations on the new side from batch_processor");
}

TEST(ReadersApplied, WhatWasDeliveredCountsWhereNothingIsAcknowledged) {
  GateBench bench;
  bench.seen.published = Published{"{}", {1, 7}};
  InstanceInfo reader;
  reader.instance = "10.0.0.1:5";
  reader.connected = true;
  reader.acknowledges = false;
  reader.delivered = {1, 7};
  bench.app().instances = {reader};
  EXPECT_EQ(bench.judge("readers_applied").verdict, Verdict::kPass);
  bench.app().instances[0].delivered = {1, 6};
  EXPECT_EQ(bench.judge("readers_applied").verdict, Verdict::kHold);
  bench.app().instances[0].delivered = {1, 7};
  bench.app().instances[0].connected = false;
  EXPECT_EQ(bench.judge("readers_applied").verdict, Verdict::kHold) << "silence freezes expansion";
  bench.app().instances[0].departed = true;
  InstanceInfo other;
  other.connected = true;
  other.applied = {1, 7};
  bench.app().instances.push_back(other);
  EXPECT_EQ(bench.judge("readers_applied").verdict, Verdict::kPass) << "a proper leave does not";
}

TEST(InstancesAttested, ReadersThatAttestNothingHoldTheClosing) {
  GateBench bench;
  bench.moment = Moment::kBeforeDrop;
  bench.now = {100 * 3'600'000};
  bench.seen.published = Published{"{}", {1, 7}};
  InstanceInfo attested;
  attested.legacy_path = false;
  attested.connected = true;
  attested.applied = {1, 7};
  bench.app().instances = {attested};
  EXPECT_EQ(bench.judge("instances_attested").verdict, Verdict::kPass);
  bench.app().unattested_at = {99 * 3'600'000};
  const auto held = bench.judge("instances_attested");
  EXPECT_NE(held.verdict, Verdict::kPass);
  EXPECT_NE(held.reason.find("readers that attest no build (OFREP or gRPC) evaluated the flag 1h ago"),
            std::string::npos)
      << held.reason;
  bench.app().unattested_at = {70 * 3'600'000};
  EXPECT_EQ(bench.judge("instances_attested").verdict, Verdict::kPass) << "silent for a day";
  InstanceInfo reader;
  reader.instance = "10.0.0.1:5";
  reader.connected = true;
  reader.acknowledges = false;
  bench.app().instances.push_back(reader);
  EXPECT_NE(bench.judge("instances_attested").reason.find("attests nothing over this protocol"),
            std::string::npos);
}

TEST(ExcludedOnNew, FailsOnOneLeakedAttempt) {
  GateBench bench;
  EXPECT_VERDICT(bench.judge("excluded_on_new"), Verdict::kHold, "no application has reported");
  bench.app().contexts = {{"batch_processor", 40, 0}, {"", 10, 500}};
  EXPECT_VERDICT(bench.judge("excluded_on_new"), Verdict::kPass,
                 "40 attempts of excluded contexts, 0 of them");
  bench.app().contexts[0].fresh = 1;
  EXPECT_VERDICT(bench.judge("excluded_on_new"), Verdict::kFail,
                 "1 attempt on the new side from batch_processor");
  bench.plan.flag->rules.clear();
  EXPECT_VERDICT(bench.judge("excluded_on_new"), Verdict::kPass, "no context is excluded");
}

TEST(ExcludedOnNew, EvaluationsMadeHereAreEvidenceUnlessSomebodyEvaluatesInSilence) {
  GateBench bench;
  AppWindow only_evaluations;
  only_evaluations.contexts = {{"batch_processor", 0, 0, 7, 0}, {"", 0, 0, 3, 5}};
  bench.seen.app = only_evaluations;
  EXPECT_VERDICT(bench.judge("excluded_on_new"), Verdict::kPass, "15 evaluations, none of an excluded");
  InstanceInfo silent;
  silent.reports = false;
  bench.seen.app->instances = {silent};
  EXPECT_VERDICT(bench.judge("excluded_on_new"), Verdict::kHold, "no application has reported");
  bench.seen.app->contexts[0].evaluated_fresh = 1;
  EXPECT_VERDICT(bench.judge("excluded_on_new"), Verdict::kFail, "1 evaluation on the new side");
}

InstanceInfo instance(const char* name, std::uint64_t applied, bool connected = true) {
  InstanceInfo out;
  out.service = "orders";
  out.instance = name;
  out.build = "42";
  out.connected = connected;
  out.applied = {1, applied};
  out.legacy_path = false;
  return out;
}

TEST(ReadersApplied, HoldsForOneThatIsBehindOrSilent) {
  GateBench bench;
  bench.seen.published = Published{"", {1, 7}};
  EXPECT_VERDICT(bench.judge("readers_applied"), Verdict::kHold, "no application has reported");
  bench.app();
  EXPECT_VERDICT(bench.judge("readers_applied"), Verdict::kHold, "no reader is registered");
  bench.app().instances = {instance("app-1", 7), instance("app-2", 6), instance("app-3", 7, false)};
  EXPECT_VERDICT(bench.judge("readers_applied"), Verdict::kHold,
                 "2 of 3 readers not on the published revision: app-2 (an older revision), app-3 (silent)");
  bench.app().instances[1].applied = {1, 7};
  bench.app().instances[2].departed = true;
  EXPECT_VERDICT(bench.judge("readers_applied"), Verdict::kPass, "all of 2 readers");
}

TEST(InstancesAttested, BlocksWhileAnyLiveBuildHasTheLegacyPath) {
  GateBench bench;
  bench.moment = Moment::kBeforeDrop;
  bench.seen.published = Published{"", {1, 7}};
  bench.app();
  EXPECT_TRUE(bench.judge("instances_attested").no_data);
  bench.app().instances = {instance("app-1", 7), instance("app-2", 7), instance("app-3", 7, false)};
  bench.app().instances[1].legacy_path = true;
  EXPECT_VERDICT(bench.judge("instances_attested"), Verdict::kFail,
                 "2 of 3 instances cannot do without legacy: app-2 build 42 (has the legacy path), app-3");
  bench.app().instances[1].legacy_path = false;
  bench.app().instances[2].departed = true;
  EXPECT_VERDICT(bench.judge("instances_attested"), Verdict::kPass,
                 "2 instances live, none with a legacy path");
}

}  // namespace
}  // namespace poundlock::rollout
