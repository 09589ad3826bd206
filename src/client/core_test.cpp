// Which snapshot holds: order, refusal, disk, overrides, and that `complete` is not forgotten.
#include "client/core.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "client/disk_cache.h"
#include "client/override_file.h"
#include "flag/rollout_flag.h"

namespace poundlock::client {
namespace {

using flag::Revision;

std::string document(Revision revision, flag::Stage stage, double percentage = 100) {
  flag::RolloutFlag rollout;
  rollout.key = "k";
  rollout.reached = stage;
  rollout.percentage = percentage;
  const auto flags = flag::compile_rollout_flag(rollout);
  return *flag::snapshot_document(std::vector{*flags}, revision);
}

std::string empty_document(Revision revision) {
  return *flag::snapshot_document({}, revision);
}

class CoreTest : public ::testing::Test {
 protected:
  CoreTest() {
    folder_ = std::filesystem::temp_directory_path() /
              ("poundlock-core-" + std::to_string(::getpid()) + "-" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  ~CoreTest() override { std::filesystem::remove_all(folder_); }
  std::string file(const char* name) const { return (folder_ / name).string(); }
  static std::string stage(Core& core, const char* key = "k.stage") {
    return std::string(core.evaluate(key, Context{"user-1", {}}).name);
  }
  static void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

  std::filesystem::path folder_;
};

TEST_F(CoreTest, ObeysNewerSnapshotsOnlyAndANewEpochAboveAll) {
  Core core({});
  EXPECT_EQ(stage(core), "");
  EXPECT_EQ(core.offer(document({1, 5}, flag::Stage::kLive)), Offer::kApplied);
  EXPECT_EQ(stage(core), "live");
  EXPECT_EQ(core.offer(document({1, 5}, flag::Stage::kOff)), Offer::kSame);
  EXPECT_EQ(core.offer(document({1, 4}, flag::Stage::kOff)), Offer::kRefused);
  EXPECT_EQ(core.offer(document({0, 99}, flag::Stage::kOff)), Offer::kRefused);
  EXPECT_EQ(stage(core), "live");
  EXPECT_EQ(core.offer(document({2, 1}, flag::Stage::kOff)), Offer::kApplied);
  EXPECT_EQ(stage(core), "off");
  EXPECT_EQ(core.applied(), (Revision{2, 1}));
  EXPECT_EQ(core.status().refused, 2u);
}

TEST_F(CoreTest, KeepsTheLastGoodSnapshotWhenABadOneComes) {
  Core core({});
  core.offer(document({1, 1}, flag::Stage::kLive));
  EXPECT_EQ(core.offer("{\"flags\": 7}"), Offer::kRefused);
  EXPECT_EQ(core.offer(std::string(flag::Limits{}.bytes_max + 1, ' ')), Offer::kRefused);
  EXPECT_EQ(stage(core), "live");
  EXPECT_NE(core.status().last_error.find("refused"), std::string::npos);
}

TEST_F(CoreTest, StartsFromTheDiskUntilTheServerSpeaks) {
  ClientOptions options;
  options.cache_file = file("cache");
  {
    Core core(options);
    core.offer(document({1, 7}, flag::Stage::kLive));
    core.save_cache();
  }
  Core core(options);
  core.load_cache();
  EXPECT_EQ(stage(core), "live");
  EXPECT_TRUE(core.status().from_disk);
  EXPECT_EQ(core.offer(document({1, 6}, flag::Stage::kOff)), Offer::kRefused);
  EXPECT_EQ(core.offer(document({1, 7}, flag::Stage::kLive)), Offer::kApplied) << "the server confirms it";
  EXPECT_FALSE(core.status().from_disk);
}

TEST_F(CoreTest, ADamagedCacheIsNotUsed) {
  ASSERT_TRUE(write_cache(file("cache"), document({1, 7}, flag::Stage::kLive), {1, 7}));
  std::string text;
  {
    std::ifstream in(file("cache"));
    text.assign(std::istreambuf_iterator<char>(in), {});
  }
  for (std::size_t cut : {std::size_t{0}, std::size_t{10}, text.size() / 2, text.size() - 1}) {
    write(file("cache"), text.substr(0, cut));
    EXPECT_FALSE(read_cache(file("cache"), 1 << 20)) << "cut at " << cut;
  }
  text[text.size() - 5] ^= 1;
  write(file("cache"), text);
  EXPECT_FALSE(read_cache(file("cache"), 1 << 20));
  auto none = read_cache(file("absent"), 1 << 20);
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->has_value());
}

TEST_F(CoreTest, AClientStartsWithADamagedCacheAndMendsIt) {
  ClientOptions options;
  options.cache_file = file("cache");
  write(file("cache"), "poundlock-snapshot 1 1 7 100 0000000000000000\n{\"flags\": {");
  Core core(options);
  core.load_cache();
  EXPECT_FALSE(core.ready());
  EXPECT_NE(core.status().last_error.find("damaged"), std::string::npos);
  ASSERT_EQ(core.offer(document({1, 1}, flag::Stage::kLive)), Offer::kApplied)
      << "the damaged one orders nothing";
  core.save_cache();
  Core next(options);
  next.load_cache();
  EXPECT_EQ(stage(next), "live");
}

TEST_F(CoreTest, ADocumentOverALimitIsRefusedAndTheLastGoodOneStaysOnDiskToo) {
  ClientOptions options;
  options.cache_file = file("cache");
  Core core(options);
  core.offer(document({1, 1}, flag::Stage::kLive));
  core.save_cache();
  std::string many = R"({"metadata": {"epoch": 1, "revision": 2}, "flags": {)";
  for (std::size_t i = 0; i <= flag::Limits{}.flags_max; ++i) {
    many += (i == 0 ? "\"" : ",\"") + std::to_string(i) +
            R"(":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"})";
  }
  EXPECT_EQ(core.offer(many + "}}"), Offer::kRefused);
  EXPECT_EQ(stage(core), "live");
  core.save_cache();
  Core next(options);
  next.load_cache();
  EXPECT_EQ(next.applied(), (Revision{1, 1}));
}

// The process that was told `complete` ends; the next one has the override file of an old emergency.
TEST_F(CoreTest, AnOverrideDoesNotBringLegacyBackAfterARestart) {
  ClientOptions options;
  options.cache_file = file("cache");
  options.override_file = file("override.json");
  {
    Core core(options);
    core.offer(document({1, 7}, flag::Stage::kComplete));
    core.save_cache();
  }
  write(file("override.json"), R"({"flags": {"k": false, "k.stage": "off", "other": "x"}})");
  const Client client = Client::create(options);
  EXPECT_EQ(client.string_value("k.stage", "none", {}), "complete");
  EXPECT_TRUE(client.bool_value("k", false, {}));
  EXPECT_EQ(client.string_value("other", "none", {}), "x");
}

TEST_F(CoreTest, AnOverrideOutranksTheSnapshotUntilClosing) {
  Core core({});
  core.offer(document({1, 1}, flag::Stage::kLive));
  core.set_overrides({{"k", "off"}});
  EXPECT_EQ(stage(core), "off") << "the override of KEY steers KEY.stage too";
  EXPECT_EQ(stage(core, "k"), "off");
  core.offer(document({1, 2}, flag::Stage::kRampdown));
  EXPECT_EQ(stage(core), "off");
  core.offer(document({1, 3}, flag::Stage::kComplete));
  EXPECT_EQ(stage(core), "complete") << "legacy is about to be dropped";
  core.set_overrides({{"k.stage", "off"}});
  EXPECT_EQ(stage(core), "complete");
}

TEST_F(CoreTest, AnOverrideSteersBothFlagsOfARolloutOrNone) {
  Core core({});
  core.offer(document({1, 1}, flag::Stage::kLive, 0));
  for (const char* word : {"on", "true"}) {
    core.set_overrides({{"k", word}});
    EXPECT_EQ(stage(core), "live") << word;
    EXPECT_EQ(stage(core, "k"), "on") << word;
  }
  for (const char* word : {"off", "false"}) {
    core.set_overrides({{"k", word}});
    EXPECT_EQ(stage(core), "off") << word;
    EXPECT_EQ(stage(core, "k"), "off") << word;
  }
  EXPECT_EQ(core.status().last_error, "");
  for (const char* word : {"live", "banana", "1"}) {
    core.set_overrides({{"k", word}});
    EXPECT_FALSE(core.evaluate("k.stage", {}).overridden) << word;
    EXPECT_FALSE(core.evaluate("k", {}).overridden) << word;
    EXPECT_NE(core.status().last_error.find(std::string("k: ") + word), std::string::npos)
        << core.status().last_error;
  }
  core.set_overrides({{"k.stage", "true"}});
  EXPECT_FALSE(core.evaluate("k.stage", {}).overridden);
}

TEST_F(CoreTest, AnOverrideOfABooleanFlagCountsByValue) {
  Core core({});
  ASSERT_EQ(core.offer(R"({"metadata": {"epoch": 1, "revision": 1}, "flags": {"k": {"state": "ENABLED",
    "variants": {"enabled": true, "control": false, "disabled": false}, "defaultVariant": "enabled"}}})"),
            Offer::kApplied);
  const auto killed = parse_overrides(R"({"flags": {"k": false}})", "o");
  ASSERT_TRUE(killed);
  core.set_overrides(*killed);
  EXPECT_EQ(stage(core, "k"), "control");
  ASSERT_NE(core.evaluate("k", {}).variant, nullptr);
  core.set_overrides({{"k", "disabled"}});
  EXPECT_EQ(stage(core, "k"), "disabled");
  core.set_overrides({{"k", "true"}});
  EXPECT_EQ(stage(core, "k"), "enabled");
}

TEST_F(CoreTest, AnOverrideWorksWithoutAnySnapshot) {
  Core core({});
  core.set_overrides({{"k.stage", "live"}});
  EXPECT_EQ(stage(core), "live");
  EXPECT_TRUE(core.evaluate("k.stage", {}).overridden);
}

TEST_F(CoreTest, OnceCompleteAMissingKeyDoesNotBringLegacyBack) {
  Core core({});
  core.offer(document({1, 1}, flag::Stage::kComplete));
  core.offer(empty_document({1, 2}));
  EXPECT_EQ(stage(core), "complete");
  EXPECT_EQ(stage(core, "k"), "on");
  core.offer(document({1, 3}, flag::Stage::kLive));
  EXPECT_EQ(stage(core), "live") << "an explicit word is obeyed";
  core.offer(empty_document({1, 4}));
  EXPECT_EQ(stage(core), "");
}

// Disabled, broken or emptied, a flag says nothing: that is no order to go back to a side that is being
// dropped.
TEST_F(CoreTest, OnceCompleteAFlagThatSaysNothingDoesNotBringLegacyBack) {
  constexpr const char* kSilent[] = {
      R"("state": "DISABLED", "variants": {"off": "off"}, "defaultVariant": "off")",
      R"("state": "ENABLED", "variants": {"off": "off"}, "defaultVariant": "off", "targeting": {"no": 1})",
      R"("state": "ENABLED", "variants": {"off": "off"}, "defaultVariant": null)"};
  Core core({});
  core.offer(document({1, 1}, flag::Stage::kComplete));
  std::uint64_t revision = 1;
  for (const char* silent : kSilent) {
    ASSERT_EQ(core.offer(R"({"metadata": {"epoch": 1, "revision": )" + std::to_string(++revision) +
                         R"(}, "flags": {"k.stage": {)" + silent + "}}}"),
              Offer::kApplied);
    EXPECT_EQ(stage(core), "complete") << silent;
    EXPECT_EQ(stage(core, "k"), "on") << silent;
    core.set_overrides({{"k", "off"}});
    EXPECT_EQ(stage(core), "complete") << "nor does an override: " << silent;
  }
}

TEST_F(CoreTest, TheOverrideFileIsReadAgainWhenItChanges) {
  OverrideFile overrides(file("override.json"));
  EXPECT_FALSE(*overrides.poll());
  write(file("override.json"), R"({"flags": {"k": false, "s": "live"}})");
  ASSERT_TRUE(*overrides.poll());
  EXPECT_EQ(overrides.overrides().at("k"), "off");
  EXPECT_FALSE(*overrides.poll());
  write(file("override.json"), R"({"flags": {"k")");
  EXPECT_FALSE(overrides.poll()) << "half a file is an error";
  EXPECT_EQ(overrides.overrides().at("s"), "live") << "and the last good one holds";
  std::filesystem::remove(file("override.json"));
  ASSERT_TRUE(*overrides.poll());
  EXPECT_TRUE(overrides.overrides().empty());
}

TEST_F(CoreTest, EvaluationsAreCountedExactlyOverThreadsAndSnapshots) {
  Core core({});
  core.offer(document({1, 1}, flag::Stage::kLive));
  constexpr int kThreads = 4;
  constexpr int kEach = 20'000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const Context context{"user-1", {{"context", std::string("internal")}}};
      for (int i = 0; i < kEach; ++i) core.evaluate("k", context);
    });
  }
  std::uint64_t counted = 0;
  const auto collect = [&] {
    for (const auto& row : core.report().evaluations) {
      EXPECT_EQ(row.context, "internal");
      counted += row.count;
    }
    core.recorder().delivered();
  };
  for (std::uint64_t revision = 2; revision < 40; ++revision) {
    core.offer(document({1, revision}, flag::Stage::kLive));
    collect();
  }
  for (std::thread& thread : threads) thread.join();
  collect();
  EXPECT_EQ(counted, static_cast<std::uint64_t>(kThreads) * kEach);
}

// An application that makes a thread for each request, and has no server that would take figures.
TEST_F(CoreTest, ThreadsThatHaveEndedCostNothingWhereNobodyReports) {
  Core core({});
  core.offer(document({1, 1}, flag::Stage::kLive));
  constexpr int kThreads = 10'000;
  std::size_t most = 0;
  for (int i = 0; i < kThreads; ++i) {
    std::thread([&] { EXPECT_EQ(stage(core), "live"); }).join();
    most = std::max(most, core.threads_held());
  }
  EXPECT_LE(most, 200u);
  const flag::Report report = core.report();
  ASSERT_EQ(report.evaluations.size(), 1u);
  EXPECT_EQ(report.evaluations[0].count, static_cast<std::uint64_t>(kThreads))
      << "what they counted is not lost";
}

TEST_F(CoreTest, WhatWasNotDeliveredComesAgain) {
  Core core({});
  core.recorder().attempt({"k", "p", Side::kNew, false, ""}, 100, nullptr);
  EXPECT_EQ(core.report().paths.at(0).counts.attempts, 1u);
  core.recorder().attempt({"k", "p", Side::kNew, false, ""}, 100, nullptr);
  const flag::Report again = core.report();
  EXPECT_EQ(again.paths.at(0).counts.attempts, 2u);
  EXPECT_EQ(again.paths.at(0).latency.count(), 2u);
  core.recorder().delivered();
  EXPECT_TRUE(core.report().paths.empty());
}

// An application that puts something of each request into `context`.
TEST_F(CoreTest, ContextsAreBoundedInNumberAndRoomIsMadeAgain) {
  Core core({});
  core.offer(document({1, 1}, flag::Stage::kLive));
  const auto evaluate = [&](const std::string& context, int times = 1) {
    for (int i = 0; i < times; ++i) core.evaluate("k", Context{"user-1", {{"context", context}}});
  };
  std::map<std::string, std::uint64_t> counted;
  const auto collect = [&] {
    for (const auto& row : core.report().evaluations) counted[row.context] += row.count;
    core.recorder().delivered();
  };
  evaluate("internal");
  collect();
  for (int i = 0; i < 1'000; ++i) {
    evaluate("request-" + std::to_string(i));
    evaluate("internal");
    if (i % 100 == 0) collect();
  }
  collect();
  EXPECT_EQ(counted.size(), Recorder::kContextsMax + 1);
  EXPECT_EQ(counted["internal"], 1'001U) << "a context that is in use keeps its name";
  EXPECT_EQ(counted["other"], 1'000U - (Recorder::kContextsMax - 1));
  for (std::uint64_t i = 0; i <= Recorder::kForgetAfter; ++i) collect();
  evaluate("late", 3);
  collect();
  EXPECT_EQ(counted["late"], 3U) << "what nobody uses any more makes room";
}

// What a thread made before its first evaluation is destroyed after everything of ours.
TEST_F(CoreTest, AThreadMayEvaluateWhileItEnds) {
  Core core({});
  core.offer(document({1, 1}, flag::Stage::kLive));
  struct Late {
    Core* core = nullptr;
    std::string* seen = nullptr;
    std::size_t* held = nullptr;
    ~Late() {
      if (core == nullptr) return;
      core->report();  // forgets threads that have ended
      *seen = stage(*core);
      *held = core->threads_held();
    }
  };
  std::string seen;
  std::size_t held = 0;
  std::thread([&] {
    static thread_local Late late;
    late.core = &core;
    late.seen = &seen;
    late.held = &held;
    EXPECT_EQ(stage(core), "live");
  }).join();
  EXPECT_EQ(seen, "live");
  EXPECT_EQ(held, 1U) << "it evaluated through what was freed already";
  core.report();
  EXPECT_EQ(core.threads_held(), 0U) << "and what it got then is given back";
}

TEST_F(CoreTest, FiguresThatNobodyTakesStayBounded) {
  Core core({});
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 1'000; ++i) {
      const std::string name = std::to_string(round) + "-" + std::to_string(i);
      core.recorder().shadow("f" + name, "p" + name, Recorder::Shadow::kEqual);
      core.recorder().evaluations({"f" + name, "on", "STATIC", "c" + name}, 1);
      core.recorder().attempt({"f" + name, "p" + name, Side::kNew, false, ""}, 100, nullptr);
    }
    core.report();
  }
  const flag::Report report = core.report();
  const std::size_t most = 3 * Recorder::kRowsMax + 1;
  EXPECT_LE(report.shadow.size(), most);
  EXPECT_LE(report.evaluations.size(), most);
  EXPECT_LE(report.paths.size(), most);
  std::uint64_t compared = 0;
  for (const auto& row : report.shadow) compared += row.compared;
  EXPECT_EQ(compared, 20'000U);
}

TEST_F(CoreTest, AReportStaysWithinItsBounds) {
  ClientOptions options;
  options.service = options.instance = "x";
  Core core(options);
  for (int i = 0; i < 5'000; ++i) {
    for (int us = 1; us < 20'000; us *= 3) {
      core.recorder().attempt({"k", "p" + std::to_string(i), Side::kNew, false, "c" + std::to_string(i)},
                              static_cast<std::uint64_t>(us), nullptr);
    }
  }
  const std::string json = flag::to_json(core.report());
  EXPECT_LT(json.size(), 1u << 20);
  const auto read = flag::report_from_json(json);
  EXPECT_TRUE(read) << read.error().to_string();
}

}  // namespace
}  // namespace poundlock::client
