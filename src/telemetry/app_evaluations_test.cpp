// Evaluations that this server did for others, which flags are still needed, and how far a revision has come.
#include <gmock/gmock.h>

#include "telemetry/app_metrics.h"

namespace poundlock::telemetry {
namespace {

using testing::ElementsAre;
using testing::Pair;

class FakeClock : public Clock {
 public:
  TimePoint now() const override { return TimePoint{1'700'000'000'000 + at_.ms}; }
  TimePoint steady() const override { return at_; }
  void sleep(Millis duration) override { at_ = at_ + duration; }

 private:
  TimePoint at_{5'000};
};

class AppEvaluationsTest : public testing::Test {
 protected:
  AppEvaluationsTest() { metrics_.follow(&log_, &usage_); }
  rollout::AppWindow window(std::uint64_t mark) { return *metrics_.window("f", mark, {"cron"}); }
  static const rollout::ContextStats* context(const rollout::AppWindow& window, const std::string& name) {
    for (const auto& one : window.contexts)
      if (one.context == name) return &one;
    return nullptr;
  }
  InstanceReach reach(const std::string& instance, flag::Revision revision, TimePoint at) {
    for (const auto& one : metrics_.reach(revision, at))
      if (one.info.instance == instance) return one;
    return {};
  }
  void beat(const std::string& instance, std::optional<flag::Revision> applied, Millis interval = Millis{0},
            std::string_view start = {}) {
    flag::Report hello;
    hello.service = "orders";
    hello.instance = instance;
    EXPECT_EQ(metrics_.heartbeat(hello, applied, interval, start), Ingested::kCounted);
  }

  FakeClock clock_;
  EvaluationLog log_;
  FlagUsage usage_;
  AppMetrics metrics_{clock_};
};

TEST_F(AppEvaluationsTest, EvaluationsForOthersReachTheWindowOfTheirFlag) {
  window(1);
  log_.count("f", "on", "TARGETING_MATCH", "cron");
  log_.count("f.stage", "dualwrite", "DEFAULT", "cron");
  log_.count("f.stage", "live", "TARGETING_MATCH", "web");
  log_.count("g", "on", "STATIC", "cron");
  const auto seen = window(1);
  ASSERT_NE(context(seen, "cron"), nullptr);
  EXPECT_EQ(context(seen, "cron")->evaluated_fresh, 1U);
  EXPECT_EQ(context(seen, "cron")->evaluated_legacy, 1U);
  EXPECT_EQ(context(seen, "web")->evaluated_fresh, 1U);
  EXPECT_EQ(seen.unattested_at, clock_.now());
  EXPECT_EQ(seen.newest.ms, 0) << "nobody has reported";
  log_.count("f", "on", "STATIC", "cron");
  EXPECT_EQ(window(2).contexts.size(), 0U) << "what came before the mark is not counted after it";
}

TEST_F(AppEvaluationsTest, AReaderThatAttestsNothingIsRememberedOverMarksAndRestarts) {
  window(1);
  log_.count("f.stage", "live", "TARGETING_MATCH", "cron");
  window(1);
  const TimePoint then = clock_.now();
  clock_.sleep(Millis{3'600'000});
  EXPECT_EQ(window(2).unattested_at, then);
  FlagUsage after;
  ASSERT_TRUE(after.load(usage_.save()));
  AppMetrics next(clock_);
  next.follow(&log_, &after);
  EXPECT_EQ(next.window("f", 3, {})->unattested_at, then);
  EXPECT_EQ(next.window("g", 3, {})->unattested_at.ms, 0);
}

TEST_F(AppEvaluationsTest, AnExcludedContextKeepsItsNameAmongAnyNumberOfOthers) {
  for (int i = 0; i < 500; ++i) log_.count("f", "off", "STATIC", "user-" + std::to_string(i));
  window(1);
  log_.count("f", "on", "STATIC", "cron");
  const auto seen = window(1);
  ASSERT_NE(context(seen, "cron"), nullptr);
  EXPECT_EQ(context(seen, "cron")->evaluated_fresh, 1U);
}

TEST_F(AppEvaluationsTest, WhatAnInstanceReportsIsAttested) {
  window(1);
  flag::Report report;
  report.service = "orders";
  report.instance = "a";
  report.sequence = 1;
  report.evaluations = {{"f", "on", "TARGETING_MATCH", "cron", 4, 1}};
  metrics_.ingest(report);
  const auto seen = window(1);
  EXPECT_EQ(context(seen, "cron")->evaluated_fresh, 4U);
  EXPECT_THAT(usage_.all().at("f").branches, ElementsAre(Pair(1, testing::_)));
}

TEST_F(AppEvaluationsTest, ARandomContextEachTimeFillsNoTable) {
  window(1);
  for (int i = 0; i < 500; ++i) log_.count("f", "on", "STATIC", "user-" + std::to_string(i));
  const auto seen = window(1);
  EXPECT_EQ(seen.contexts.size(), kContextsMax + 1);
  ASSERT_NE(context(seen, std::string(kOtherContext)), nullptr);
  EXPECT_EQ(context(seen, std::string(kOtherContext))->evaluated_fresh, 500U - kContextsMax);
}

TEST_F(AppEvaluationsTest, ReachTellsWhoAcknowledgedAndHowLongItTook) {
  const flag::Revision before{1, 4}, now{1, 5};
  for (const char* name : {"fast", "slow", "silent", "beats"}) beat(name, before);
  metrics_.grpc_opened("python", "10.0.0.1:5", "", true, true);
  clock_.sleep(Millis{1});
  const TimePoint published = clock_.steady();
  clock_.sleep(Millis{20});
  beat("fast", now);
  metrics_.delivered("python", "10.0.0.1:5", now);
  clock_.sleep(Millis{65});
  metrics_.acknowledge("orders", "slow", {1, 6});
  beat("beats", std::nullopt, Millis{30'000});
  EXPECT_EQ(reach("fast", now, published).took, Millis{20});
  EXPECT_EQ(reach("slow", now, published).took, Millis{85});
  EXPECT_EQ(reach("10.0.0.1:5", now, published).reach, Reach::kDelivered);
  EXPECT_FALSE(reach("10.0.0.1:5", now, published).took);
  EXPECT_EQ(reach("silent", now, published).reach, Reach::kUnknown);
  beat("late", now);
  EXPECT_EQ(reach("late", now, published).reach, Reach::kAcknowledged);
  EXPECT_FALSE(reach("late", now, published).took) << "it came after the publication";
  clock_.sleep(Millis{60'000});
  EXPECT_TRUE(reach("beats", now, published).info.connected) << "two and a half of its intervals";
  EXPECT_FALSE(reach("silent", now, published).info.connected);
  clock_.sleep(Millis{20'000});
  EXPECT_FALSE(reach("beats", now, published).info.connected);
}

TEST_F(AppEvaluationsTest, ANewProcessDoesNotInheritWhatItsPredecessorHadApplied) {
  const flag::Revision now{1, 5};
  const auto told = [&] { return reach("a", now, {}).reach; };
  beat("a", now, Millis{0}, "boot 1");
  beat("a", std::nullopt, Millis{0}, "boot 1");
  beat("a", std::nullopt);
  EXPECT_EQ(told(), Reach::kAcknowledged) << "the same process, or one that says nothing of it";
  beat("a", std::nullopt, Millis{0}, "boot 2");
  EXPECT_EQ(told(), Reach::kUnknown);
  EXPECT_EQ(reach("a", now, {}).info.applied, flag::Revision{});
  const TimePoint published = clock_.steady();
  clock_.sleep(Millis{5});
  beat("a", now, Millis{0}, "boot 2");
  EXPECT_EQ(told(), Reach::kAcknowledged);
  clock_.sleep(Millis{5});
  beat("a", flag::Revision{1, 4}, Millis{0}, "boot 3");
  EXPECT_EQ(told(), Reach::kUnknown) << "an older revision is all that this one has";
  beat("a", now, Millis{0}, "boot 3");
  EXPECT_FALSE(reach("a", now, published).took) << "it came after the publication";
  metrics_.acknowledge("orders", "b", now);
  metrics_.stream_opened("orders", "b", "");
  metrics_.acknowledge("orders", "b", now);
  beat("b", std::nullopt, Millis{0}, "boot 1");
  EXPECT_EQ(reach("b", now, {}).reach, Reach::kAcknowledged) << "its first beat tells of no other process";
}

// Its next connection comes from another port: nobody could ever tell that it is back.
TEST_F(AppEvaluationsTest, AReaderWithoutANameIsForgottenOnceItMustHaveComeBack) {
  metrics_.grpc_opened("python", "10.0.0.1:5", "", true, true);
  metrics_.grpc_opened("python", "named", "", false, true);
  clock_.sleep(Millis{500'000});
  beat("other", std::nullopt);
  EXPECT_TRUE(reach("10.0.0.1:5", {}, {}).info.connected);
  metrics_.stream_closed("python", "10.0.0.1:5");
  metrics_.stream_closed("python", "named");
  clock_.sleep(Millis{100'000});
  beat("other", std::nullopt);
  EXPECT_EQ(reach("10.0.0.1:5", {1, 1}, {}).reach, Reach::kUnknown) << "it may be cut off, with old flags";
  EXPECT_EQ(reach("10.0.0.1:5", {1, 1}, {}).info.instance, "10.0.0.1:5");
  clock_.sleep(Millis{30'000});
  beat("other", std::nullopt);
  EXPECT_EQ(reach("10.0.0.1:5", {}, {}).info.instance, "");
  EXPECT_EQ(reach("named", {}, {}).info.instance, "named");
}

TEST_F(AppEvaluationsTest, AFleetThatOnlyStreamsIsForgottenAsWell) {
  const auto known = [&] { return metrics_.instances().size(); };
  const auto come_and_go = [&](const std::string& name) {
    metrics_.grpc_opened("python", name, "", true, true);
    metrics_.stream_closed("python", name);
  };
  come_and_go("10.0.0.1:5");
  clock_.sleep(Millis{130'000});
  EXPECT_EQ(metrics_.reach({1, 1}, {}).size(), 0U) << "asking how far a kill has come";
  come_and_go("10.0.0.1:6");
  clock_.sleep(Millis{130'000});
  EXPECT_EQ(window(1).instances.size(), 0U) << "a rollout that looks";
  come_and_go("10.0.0.1:7");
  clock_.sleep(Millis{130'000});
  metrics_.stream_opened("python", "named", "");
  EXPECT_EQ(known(), 1U) << "the next one that comes";
}

TEST(AppMetricsRoom, WhoHasNoNameMakesRoomAndWhoMayBeCutOffDoesNot) {
  FakeClock clock;
  AppMetricsLimits limits;
  limits.instances_max = 2;
  AppMetrics metrics(clock, limits);
  metrics.stream_opened("orders", "cut-off", "");
  metrics.stream_closed("orders", "cut-off");
  metrics.grpc_opened("python", "10.0.0.1:5", "", true, true);
  metrics.grpc_opened("python", "10.0.0.1:6", "", true, true);
  EXPECT_EQ(metrics.dropped(), 1U) << "both hold a stream, or may still work with old flags";
  metrics.stream_closed("python", "10.0.0.1:5");
  metrics.grpc_opened("python", "10.0.0.1:6", "", true, true);
  const auto all = metrics.instances();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].instance, "cut-off");
  EXPECT_EQ(all[1].instance, "10.0.0.1:6");
}

TEST(FlagUsage, KeepsDaysOverARestartAndForgetsFlagsThatAreGone) {
  FlagUsage usage;
  usage.begin({10'000'000});
  const TimePoint day3{3 * 86'400'000LL + 5}, day5{5 * 86'400'000LL};
  usage.add({{"a", "on", "STATIC", "", 2, -1}, {"b", "x", "TARGETING_MATCH", "", 1, 2}}, day3);
  const auto version = usage.version();
  usage.add({{"a", "on", "STATIC", "", 9, -1}}, day3);
  EXPECT_EQ(usage.version(), version) << "the day is known already";
  usage.add({{"a", "off", "STATIC", "", 1, -1}, {"c", "on", "STATIC", "", 0, -1}}, day5);
  FlagUsage again;
  ASSERT_TRUE(again.load(usage.save()));
  again.begin(day5);
  EXPECT_EQ(again.since().ms, 10'000'000);
  const auto all = again.all();
  EXPECT_EQ(all.at("a").last_day, 5);
  EXPECT_THAT(all.at("a").variants, ElementsAre(Pair("off", 5), Pair("on", 3)));
  EXPECT_THAT(all.at("b").branches, ElementsAre(Pair(2, 3)));
  EXPECT_FALSE(all.contains("c")) << "it was not evaluated";
  again.keep_only({"a"});
  EXPECT_EQ(again.all().size(), 1U);
  EXPECT_FALSE(again.load("{"));
  EXPECT_EQ(again.all().size(), 1U) << "a damaged record takes nothing away";
}

}  // namespace
}  // namespace poundlock::telemetry
