#include "telemetry/app_metrics.h"

#include <gmock/gmock.h>

namespace poundlock::telemetry {
namespace {

using flag::Report;
using flag::Side;
using testing::SizeIs;

class FakeClock : public Clock {
 public:
  TimePoint now() const override { return TimePoint{1'700'000'000'000 + at_.ms}; }
  TimePoint steady() const override { return at_; }
  void sleep(Millis duration) override { at_ = at_ + duration; }

 private:
  TimePoint at_{5'000};
};

flag::PathReport path(Side side, std::uint64_t attempts, std::uint64_t timeouts = 0,
                      std::string context = "") {
  flag::PathReport row;
  row.flag = "f";
  row.path = "by_status";
  row.side = side;
  row.context = std::move(context);
  row.counts.attempts = attempts;
  row.counts.timeouts = timeouts;
  row.latency.add(1'000, attempts);
  return row;
}

Report report(const std::string& instance, std::uint64_t sequence, std::vector<flag::PathReport> paths = {}) {
  Report made;
  made.service = "orders";
  made.instance = instance;
  made.build = "42";
  made.sequence = sequence;
  made.paths = std::move(paths);
  return made;
}

class AppMetricsTest : public testing::Test {
 protected:
  rollout::AppWindow window(std::uint64_t mark, const std::vector<std::string>& excluded = {}) {
    return *metrics_.window("f", mark, excluded);
  }
  const rollout::SideStats& fresh(const rollout::AppWindow& window) { return window.paths.at(0).fresh; }

  FakeClock clock_;
  AppMetrics metrics_{clock_};
};

TEST_F(AppMetricsTest, AWindowBeginsEmptyWithItsMark) {
  metrics_.ingest(report("a", 1, {path(Side::kNew, 10)}));
  const auto begun = window(1);
  EXPECT_EQ(begun.mark, 1U);
  EXPECT_EQ(begun.since, clock_.now());
  EXPECT_EQ(begun.newest.ms, 0);
  EXPECT_TRUE(begun.paths.empty());
  EXPECT_EQ(metrics_.path_totals().at(0).counts.attempts, 10U);
}

TEST_F(AppMetricsTest, AddsUpWhatInstancesReport) {
  window(1);
  metrics_.ingest(report("a", 1, {path(Side::kNew, 10, 2)}));
  metrics_.ingest(report("b", 1, {path(Side::kNew, 5, 1), path(Side::kLegacy, 7)}));
  const auto seen = window(1);
  ASSERT_THAT(seen.paths, SizeIs(1));
  EXPECT_EQ(fresh(seen).counts.attempts, 15U);
  EXPECT_EQ(fresh(seen).counts.errors(), 3U);
  EXPECT_EQ(fresh(seen).latency.count(), 15U);
  EXPECT_EQ(seen.paths[0].legacy.counts.attempts, 7U);
  EXPECT_EQ(seen.newest, clock_.now());
}

TEST_F(AppMetricsTest, WhoOnlySendsFiguresIsNoReaderThatAnybodyWaitsFor) {
  window(1);
  auto figures = report("a", 2, {path(Side::kNew, 10)});
  figures.member = false;
  metrics_.ingest(figures);
  metrics_.ingest(figures);
  EXPECT_EQ(fresh(window(1)).counts.attempts, 20U) << "they have no sequence that could come twice";
  EXPECT_TRUE(window(1).instances.empty());
  metrics_.stream_opened("orders", "a", "42");
  EXPECT_THAT(window(1).instances, SizeIs(1)) << "it reads flags now";
}

TEST_F(AppMetricsTest, AReportThatComesTwiceCountsOnce) {
  window(1);
  EXPECT_EQ(metrics_.ingest(report("a", 1, {path(Side::kNew, 10)})), Ingested::kCounted);
  EXPECT_EQ(metrics_.ingest(report("a", 1, {path(Side::kNew, 10)})), Ingested::kDuplicate);
  EXPECT_EQ(metrics_.ingest(report("a", 2, {path(Side::kNew, 1)})), Ingested::kCounted);
  EXPECT_EQ(metrics_.ingest(report("a", 2, {path(Side::kNew, 1)})), Ingested::kDuplicate);
  EXPECT_EQ(fresh(window(1)).counts.attempts, 11U);
  EXPECT_EQ(metrics_.path_totals().at(0).counts.attempts, 11U);
}

TEST_F(AppMetricsTest, ARestartUnderTheSameNameIsCounted) {
  window(1);
  for (std::uint64_t i = 1; i <= 5; ++i) metrics_.ingest(report("a", i, {path(Side::kNew, 1)}));
  EXPECT_EQ(metrics_.ingest(report("a", 1, {path(Side::kNew, 1)})), Ingested::kCounted);
  EXPECT_EQ(metrics_.ingest(report("a", 2, {path(Side::kNew, 1)})), Ingested::kCounted);
  EXPECT_EQ(fresh(window(1)).counts.attempts, 7U);
}

TEST_F(AppMetricsTest, TheReportThatStraddlesAMarkIsLeftOut) {
  window(1);
  metrics_.ingest(report("a", 1, {path(Side::kNew, 100)}));
  window(2);
  metrics_.ingest(report("a", 2, {path(Side::kNew, 90)}));  // partly from before the mark
  EXPECT_TRUE(window(2).paths.empty());
  metrics_.ingest(report("a", 3, {path(Side::kLegacy, 80)}));
  metrics_.ingest(report("cron", 1, {path(Side::kLegacy, 3)}));  // was not there before: wholly after it
  const auto seen = window(2);
  EXPECT_EQ(fresh(seen).counts.attempts, 0U);
  EXPECT_EQ(seen.paths[0].legacy.counts.attempts, 83U);
  EXPECT_EQ(metrics_.path_totals().size(), 2U);
}

TEST_F(AppMetricsTest, AnAnnouncementCarriesNoFiguresAndIsNotTheStraddlingReport) {
  metrics_.ingest(report("a", 0));
  window(1);
  metrics_.ingest(report("a", 0));
  metrics_.ingest(report("a", 1, {path(Side::kNew, 9)}));
  EXPECT_TRUE(window(1).paths.empty());
  metrics_.ingest(report("a", 2, {path(Side::kNew, 8)}));
  EXPECT_EQ(fresh(window(1)).counts.attempts, 8U);
}

TEST_F(AppMetricsTest, ExcludedContextsAreKeptOutOfPathsAndListed) {
  window(1);
  metrics_.ingest(report(
      "a", 1, {path(Side::kNew, 10), path(Side::kLegacy, 4, 0, "batch"), path(Side::kNew, 1, 1, "batch")}));
  const auto seen = window(1, {"batch"});
  EXPECT_EQ(fresh(seen).counts.attempts, 10U);
  EXPECT_EQ(fresh(seen).counts.errors(), 0U);
  EXPECT_EQ(seen.paths[0].legacy.counts.attempts, 0U);
  ASSERT_THAT(seen.contexts, SizeIs(2));
  EXPECT_EQ(seen.contexts[1].context, "batch");
  EXPECT_EQ(seen.contexts[1].legacy, 4U);
  EXPECT_EQ(seen.contexts[1].fresh, 1U);
  EXPECT_EQ(fresh(window(1)).counts.attempts, 11U);  // once the exclusion is released
}

TEST_F(AppMetricsTest, BlocksTellEachKindOfFailure) {
  window(1);
  auto row = path(Side::kNew, 10, 1);
  row.counts.connection = 2;
  row.fallbacks = 3;
  row.user_errors = 4;
  auto batch = row;
  batch.context = "batch";
  metrics_.ingest(report("a", 1, {row, batch}));
  const auto blocks = fresh(window(1)).blocks;
  ASSERT_THAT(blocks, SizeIs(1));
  EXPECT_EQ(blocks[0].errors, 6U);
  EXPECT_EQ(blocks[0].timeouts, 2U);
  EXPECT_EQ(blocks[0].connection, 4U);
  EXPECT_EQ(blocks[0].fallbacks, 6U);
  EXPECT_EQ(blocks[0].user_errors, 8U);
}

TEST_F(AppMetricsTest, BlocksAreSecondsOldestFirstAndBounded) {
  window(1);
  for (std::uint64_t i = 1; i <= 130; ++i) {
    metrics_.ingest(report("a", i, {path(Side::kNew, i, i == 130 ? 3 : 0)}));
    metrics_.ingest(report("b", i, {path(Side::kNew, 1, 0, "internal")}));
    clock_.sleep(Millis{1'000});
  }
  const auto blocks = fresh(window(1)).blocks;
  ASSERT_THAT(blocks, SizeIs(120));
  EXPECT_EQ(blocks.front().attempts, 11U + 1U);
  EXPECT_EQ(blocks.back().attempts, 130U + 1U);
  EXPECT_EQ(blocks.back().errors, 3U);
  EXPECT_EQ(blocks.back().latency.count(), 131U);
}

TEST_F(AppMetricsTest, OneSecondsLatenciesOfSeveralReportsAreMerged) {
  window(1);
  auto slow = path(Side::kNew, 0);
  slow.counts.attempts = 2;
  slow.latency.add(50);
  slow.latency.add(900'000);
  metrics_.ingest(report("a", 1, {path(Side::kNew, 3)}));
  metrics_.ingest(report("b", 1, {slow}));
  metrics_.ingest(report("c", 1, {path(Side::kNew, 4)}));
  const auto seen = window(1);
  ASSERT_THAT(fresh(seen).blocks, SizeIs(1));
  EXPECT_EQ(fresh(seen).blocks[0].latency.buckets(), fresh(seen).latency.buckets());
  EXPECT_EQ(fresh(seen).latency.above(100'000), 1U);
}

TEST_F(AppMetricsTest, InstancesAreConnectedByStreamOrByReport) {
  metrics_.stream_opened("orders", "streaming", "7");
  metrics_.ingest(report("reporting", 1));
  clock_.sleep(Millis{5'001});
  metrics_.stream_opened("", "", "");  // a dashboard
  auto all = metrics_.instances();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_FALSE(all[0].connected);  // "reporting" fell silent
  EXPECT_TRUE(all[1].connected);
  EXPECT_EQ(all[1].build, "7");
  metrics_.stream_closed("orders", "streaming");
  EXPECT_FALSE(metrics_.instances()[1].connected);
  EXPECT_FALSE(metrics_.instances()[1].departed);
  metrics_.departed("orders", "streaming");
  EXPECT_TRUE(metrics_.instances()[1].departed);
}

TEST_F(AppMetricsTest, AnAcknowledgementIsNotTakenBackByAnOlderReport) {
  auto older = report("a", 1);
  older.applied = {1, 4};
  metrics_.ingest(report("a", 0));
  metrics_.acknowledge("orders", "a", {1, 5});
  metrics_.ingest(older);
  EXPECT_EQ(metrics_.instances().at(0).applied, (flag::Revision{1, 5}));
  metrics_.ingest(report("a", 0));  // a new process: nothing applied yet
  EXPECT_EQ(metrics_.instances().at(0).applied, (flag::Revision{0, 0}));
}

TEST_F(AppMetricsTest, BreakerTripsCountFromTheMark) {
  auto with = [&](std::uint64_t sequence, bool open, std::uint64_t trips) {
    auto made = report("a", sequence);
    made.breakers = {{"f", "by_status", open, trips, "deadlock"}};
    return made;
  };
  window(1);
  metrics_.ingest(with(1, true, 2));
  auto seen = window(1);
  ASSERT_THAT(seen.breakers, SizeIs(1));
  EXPECT_TRUE(seen.breakers[0].open);
  EXPECT_EQ(seen.breakers[0].trips, 2U);
  metrics_.ingest(with(2, false, 2));
  EXPECT_THAT(window(2).breakers, SizeIs(0));
  metrics_.ingest(with(3, false, 3));
  EXPECT_THAT(window(2).breakers, SizeIs(0)) << "it may have tripped before the mark";
  metrics_.ingest(with(4, false, 4));
  EXPECT_EQ(window(2).breakers.at(0).trips, 1U);
  window(3);
  metrics_.ingest(with(5, true, 5));
  EXPECT_TRUE(window(3).breakers.at(0).open) << "what is open is, whenever it tripped";
  metrics_.departed("orders", "a");
  EXPECT_THAT(window(2).breakers, SizeIs(0));
}

// Its last word was an open breaker. No later exposure may be judged by it.
TEST_F(AppMetricsTest, TheBreakerOfACrashedInstanceCountsNoMore) {
  const auto open = [&](std::uint64_t sequence) {
    auto made = report("a", sequence);
    made.breakers = {{"f", "by_status", true, 1, "timeout"}};
    return made;
  };
  window(1);
  metrics_.ingest(open(1));
  ASSERT_THAT(window(1).breakers, SizeIs(1));
  clock_.sleep(Millis{6'000});
  EXPECT_THAT(window(1).breakers, SizeIs(0)) << "nothing is known of it any more";
  metrics_.ingest(open(2));
  EXPECT_THAT(window(2).breakers, SizeIs(1)) << "it was silent, and is back";
  clock_.sleep(Millis{6'000});
  EXPECT_THAT(window(3).breakers, SizeIs(0));
}

TEST_F(AppMetricsTest, ANewProcessUnderTheSameNameHasNoOldBreakers) {
  auto before = report("a", 7);
  before.breakers = {{"f", "by_status", true, 1, "timeout"}, {"f", "by_id", true, 1, "timeout"}};
  window(1);
  metrics_.ingest(before);
  window(2);
  metrics_.ingest(report("a", 0));
  EXPECT_THAT(window(2).breakers, SizeIs(0));
  auto after = report("a", 1);
  after.breakers = {{"f", "by_id", false, 0, ""}};
  metrics_.ingest(after);
  EXPECT_THAT(window(2).breakers, SizeIs(0));
  EXPECT_THAT(window(3).breakers, SizeIs(0));
}

TEST_F(AppMetricsTest, ShadowReadsAreAddedUp) {
  window(1);
  auto made = report("a", 1);
  made.shadow = {{"f", "by_status", 100, 2, 5}, {"other", "x", 7, 7, 0}};
  metrics_.ingest(made);
  EXPECT_EQ(window(1).shadow_compared, 100U);
  EXPECT_EQ(window(1).shadow_mismatches, 2U);
}

TEST(AppMetricsBounds, EveryTableIsBoundedAndSaysSo) {
  FakeClock clock;
  AppMetricsLimits limits;
  limits.instances_max = 2;
  limits.series_max = 2;
  limits.totals_max = 3;
  limits.flags_max = 2;
  AppMetrics metrics(clock, limits);
  (void)metrics.window("f", 1, {});
  for (int i = 0; i < 5; ++i) {
    auto row = path(Side::kNew, 1);
    row.path = "p" + std::to_string(i);
    metrics.ingest(report("a", static_cast<std::uint64_t>(i) + 1, {row}));
  }
  EXPECT_THAT(metrics.window("f", 1, {})->paths, SizeIs(2));
  EXPECT_THAT(metrics.path_totals(), SizeIs(3));
  EXPECT_EQ(metrics.dropped(), 3U + 2U);
  EXPECT_EQ(metrics.ingest(report("b", 1)), Ingested::kCounted);
  EXPECT_EQ(metrics.ingest(report("c", 1)), Ingested::kRefused);
  metrics.departed("orders", "b");  // who left makes room; who is silent does not
  EXPECT_EQ(metrics.ingest(report("c", 1)), Ingested::kCounted);
}

// Names that somebody made up and never used again kept real instances out for a day.
TEST(AppMetricsBounds, WhoWasHeardOfOnceMakesRoomAtLast) {
  FakeClock clock;
  AppMetricsLimits limits;
  limits.instances_max = 3;
  AppMetrics metrics(clock, limits);
  metrics.ingest(report("real", 1));
  metrics.ingest(report("made up", 0));
  clock.sleep(Millis{60'000});
  metrics.ingest(report("real", 2));
  metrics.ingest(report("left", 1));
  metrics.departed("orders", "left");
  EXPECT_EQ(metrics.ingest(report("a", 1)), Ingested::kCounted) << "who left goes first";
  EXPECT_EQ(metrics.ingest(report("b", 1)), Ingested::kRefused) << "it may be slow, and come back";
  clock.sleep(Millis{545'000});
  EXPECT_EQ(metrics.ingest(report("b", 1)), Ingested::kCounted);
  std::vector<std::string> names;
  for (const auto& one : metrics.instances()) names.push_back(one.instance);
  EXPECT_THAT(names, testing::UnorderedElementsAre("real", "a", "b"));
  EXPECT_EQ(metrics.ingest(report("c", 1)), Ingested::kRefused) << "the real one was heard of again";
}

TEST(AppMetricsBounds, SilentInstancesStayUntilTheyAreLongGone) {
  FakeClock clock;
  AppMetrics metrics(clock);
  metrics.ingest(report("silent", 1));
  metrics.ingest(report("left", 1));
  metrics.departed("orders", "left");
  clock.sleep(Millis{600'000});
  metrics.ingest(report("new", 1));
  EXPECT_THAT(metrics.instances(), SizeIs(2));
  clock.sleep(Millis{24 * 3'600'000});
  metrics.ingest(report("newer", 1));
  EXPECT_THAT(metrics.instances(), SizeIs(1));
}

}  // namespace
}  // namespace poundlock::telemetry
