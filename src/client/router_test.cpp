// The router with made-up callables: which side is asked, what falls back, what is counted.
#include "poundlock/router.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <thread>

#include "client/core.h"
#include "flag/rollout_flag.h"

namespace poundlock {
namespace {

using client::Core;

template <typename Condition>
bool wait_for(Condition condition) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

class RouterTest : public ::testing::Test {
 protected:
  void stage(flag::Stage stage) {
    flag::RolloutFlag rollout;
    rollout.key = "k";
    rollout.reached = stage;
    rollout.percentage = 100;
    rollout.excluded = {"batch_processor"};
    const auto flags = flag::compile_rollout_flag(rollout);
    client_.core()->offer(*flag::snapshot_document(std::vector{*flags}, {1, ++revision_}));
  }
  Unit begin(UnitOptions options = {}) { return Router_().begin(user_, options); }
  const Router& Router_() {
    if (!router_) router_ = std::make_unique<Router>(client_, "k", options_);
    return *router_;
  }
  Outcome<int> read(Unit unit, bool new_fails = false, bool legacy_fails = false) {
    return unit.read(
        "p",
        [&](Attempt& attempt) -> Outcome<int> {
          EXPECT_EQ(attempt.side(), Side::kLegacy);
          ++legacy_calls_;
          if (legacy_fails) return Failure{FailureKind::kOther, "legacy"};
          return 1;
        },
        [&](Attempt& attempt) -> Outcome<int> {
          EXPECT_EQ(attempt.side(), Side::kNew);
          ++new_calls_;
          if (new_fails) return Failure{FailureKind::kTimeout, "new"};
          return 2;
        });
  }
  Outcome<Done> write(Unit unit, bool fails) {
    const auto call = [&](int& calls) -> Outcome<Done> {
      ++calls;
      if (fails) return Failure{FailureKind::kOther, "write"};
      return Done{};
    };
    return unit.write(
        "w", [&](Attempt&) { return call(legacy_calls_); }, [&](Attempt&) { return call(new_calls_); });
  }
  flag::Report report() { return client_.core()->report(); }

  Client client_ = Client::offline("{\"flags\": {}}");
  Context user_{"user-1", {}};
  RouterOptions options_;
  std::unique_ptr<Router> router_;
  std::uint64_t revision_ = 0;
  int legacy_calls_ = 0;
  int new_calls_ = 0;
};

TEST_F(RouterTest, EachStageHasItsSide) {
  EXPECT_EQ(begin().side(), Side::kLegacy) << "no such flag";
  for (flag::Stage each : {flag::Stage::kOff, flag::Stage::kDualwrite, flag::Stage::kShadow}) {
    stage(each);
    EXPECT_EQ(begin().side(), Side::kLegacy);
    EXPECT_EQ(begin().stage(), flag::to_string(each));
  }
  for (flag::Stage each : {flag::Stage::kLive, flag::Stage::kRampdown, flag::Stage::kComplete}) {
    stage(each);
    EXPECT_EQ(begin().side(), Side::kNew);
  }
}

TEST_F(RouterTest, ExcludedContextsStayOnLegacy) {
  stage(flag::Stage::kLive);
  user_.attributes = {{"context", std::vector<std::string>{"internal", "batch_processor"}}};
  EXPECT_EQ(begin().side(), Side::kLegacy);
  user_.attributes = {{"context", std::string("batch_processor")}};
  EXPECT_EQ(read(begin()).value(), 1);
  EXPECT_EQ(new_calls_, 0);
}

TEST_F(RouterTest, TheSideIsKeptForTheWholeUnit) {
  stage(flag::Stage::kLive);
  Unit unit = begin();
  stage(flag::Stage::kOff);
  EXPECT_EQ(unit.side(), Side::kNew);
  EXPECT_EQ(begin().side(), Side::kLegacy);
}

TEST_F(RouterTest, AFailedReadFallsBackAndIsCountedBeforeItDoes) {
  stage(flag::Stage::kLive);
  EXPECT_EQ(read(begin(), true).value(), 1);
  const flag::Report counted = report();
  ASSERT_EQ(counted.paths.size(), 2u);
  for (const auto& row : counted.paths) {
    EXPECT_EQ(row.counts.attempts, 1u);
    EXPECT_EQ(row.user_errors, 0u);
    EXPECT_EQ(row.counts.timeouts, row.side == flag::Side::kNew ? 1u : 0u);
    EXPECT_EQ(row.fallbacks, row.side == flag::Side::kNew ? 1u : 0u);
    EXPECT_EQ(row.latency.count(), 1u);
  }
}

TEST_F(RouterTest, WhereBothSidesFailTheUserSeesOneError) {
  stage(flag::Stage::kLive);
  const auto outcome = read(begin(), true, true);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.failure().message, "legacy");
  std::uint64_t errors = 0, fallbacks = 0;
  for (const auto& row : report().paths) {
    errors += row.user_errors;
    fallbacks += row.fallbacks;
  }
  EXPECT_EQ(errors, 1u);
  EXPECT_EQ(fallbacks, 0u);
}

TEST_F(RouterTest, InsideATransactionNothingFallsBack) {
  stage(flag::Stage::kLive);
  EXPECT_FALSE(read(begin({.in_transaction = true}), true).ok());
  EXPECT_EQ(legacy_calls_, 0);
}

TEST_F(RouterTest, WritesNeverFallBack) {
  stage(flag::Stage::kLive);
  EXPECT_FALSE(write(begin(), true).ok());
  EXPECT_EQ(new_calls_, 1);
  EXPECT_EQ(legacy_calls_, 0);
  stage(flag::Stage::kDualwrite);
  EXPECT_TRUE(write(begin(), false).ok());
  EXPECT_EQ(legacy_calls_, 1);
}

TEST_F(RouterTest, AnOpenBreakerSendsReadsToLegacyAtOnceAndIsReported) {
  options_.breaker.retry_after = std::chrono::milliseconds(3'600'000);
  options_.breaker.retry_after_max = options_.breaker.retry_after;
  stage(flag::Stage::kLive);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(read(begin(), true).value(), 1);
  EXPECT_EQ(new_calls_, 3);
  EXPECT_EQ(legacy_calls_, 10);
  EXPECT_FALSE(read(begin({.in_transaction = true}), true).ok()) << "a transaction stays on its side";
  const flag::Report counted = report();
  ASSERT_EQ(counted.breakers.size(), 1u);
  EXPECT_TRUE(counted.breakers[0].open);
  EXPECT_EQ(counted.breakers[0].path, "p");
  EXPECT_EQ(counted.breakers[0].cause, "timeout");
  EXPECT_EQ(write(begin(), false).ok(), true);
  EXPECT_EQ(new_calls_, 5) << "a write stays on its side whatever the breaker says";
}

TEST_F(RouterTest, ABreakerThatMayProbeClosesAgain) {
  options_.breaker.retry_after = std::chrono::milliseconds(0);
  stage(flag::Stage::kLive);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(read(begin(), true).value(), 1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(read(begin()).value(), 2) << "a probe's answer is used";
  EXPECT_FALSE(report().breakers.at(0).open);
}

TEST_F(RouterTest, InCompleteNothingCallsLegacy) {
  stage(flag::Stage::kComplete);
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(read(begin(), true).ok());
  EXPECT_EQ(legacy_calls_, 0);
  EXPECT_EQ(new_calls_, 20) << "no breaker either";
  client_.core()->offer(*flag::snapshot_document({}, {1, ++revision_}));
  EXPECT_EQ(read(begin()).value(), 2) << "nor a missing key";
  EXPECT_EQ(legacy_calls_, 0);
}

TEST_F(RouterTest, ABuildWithoutLegacyCodeIsOnTheNewSideInEveryStage) {
  options_.legacy_path = false;
  stage(flag::Stage::kOff);
  Unit unit = begin();
  EXPECT_EQ(unit.side(), Side::kNew);
  EXPECT_FALSE(read(begin(), true).ok());
  EXPECT_EQ(unit.read_new("p", [](Attempt&) -> Outcome<int> { return 5; }).value(), 5);
  EXPECT_TRUE(unit.write_new("w", [](Attempt&) -> Outcome<Done> { return Done{}; }).ok());
  EXPECT_EQ(legacy_calls_, 0);
}

TEST_F(RouterTest, WhatACallableThrowsBecomesAFailure) {
  stage(flag::Stage::kLive);
  auto outcome = begin({.in_transaction = true})
                     .read(
                         "p", [](Attempt&) -> Outcome<int> { return 1; },
                         [](Attempt&) -> Outcome<int> { throw std::runtime_error("boom"); });
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.failure().message, "boom");
  outcome = begin().read(
      "p", [](Attempt&) -> Outcome<int> { throw 7; }, [](Attempt&) -> Outcome<int> { throw 8; });
  EXPECT_FALSE(outcome.ok());
}

TEST_F(RouterTest, TheWaitForAConnectionIsNoLatency) {
  stage(flag::Stage::kLive);
  (void)begin().read(
      "p", [](Attempt&) -> Outcome<int> { return 1; },
      [](Attempt& attempt) -> Outcome<int> {
        attempt.exclude_wait(std::chrono::hours(1));
        return 2;
      });
  EXPECT_LT(report().paths.at(0).latency.quantile(1), 1e6);
}

TEST_F(RouterTest, ShadowReadsAreComparedOffTheCallersPath) {
  stage(flag::Stage::kShadow);
  const auto caller = std::this_thread::get_id();
  std::atomic<int> shadowed{0};
  for (int answer : {1, 2}) {
    auto outcome = begin().read(
        "p", [](Attempt&) -> Outcome<int> { return 1; },
        [](Attempt&) -> Outcome<int> {
          return Failure{FailureKind::kOther, "not in shadow"};
        },
        [&, answer](Attempt& attempt) -> Outcome<int> {
          EXPECT_NE(std::this_thread::get_id(), caller);
          EXPECT_NE(attempt.deadline(), Attempt::Clock::time_point::max());
          ++shadowed;
          return answer;
        });
    EXPECT_EQ(outcome.value(), 1);
  }
  std::uint64_t compared = 0, mismatches = 0;
  for (int i = 0; i < 10'000 && compared < 2; ++i) {
    const flag::Report counted = report();
    compared = counted.shadow.empty() ? 0 : counted.shadow[0].compared;
    mismatches = counted.shadow.empty() ? 0 : counted.shadow[0].mismatches;
    for (const auto& row : counted.paths) EXPECT_EQ(row.side, flag::Side::kLegacy);
    std::this_thread::yield();
  }
  EXPECT_EQ(shadowed, 2);
  EXPECT_EQ(compared, 2u);
  EXPECT_EQ(mismatches, 1u);
}

// What an application gives us may throw; the read that its user waits for has been answered by then.
struct Touchy {
  bool throws_when_copied = false;
  bool throws_when_compared = false;
  Touchy(bool copied, bool compared) : throws_when_copied(copied), throws_when_compared(compared) {}
  Touchy(Touchy&&) = default;
  Touchy& operator=(Touchy&&) = default;
  Touchy(const Touchy& other)
      : throws_when_copied(other.throws_when_copied), throws_when_compared(other.throws_when_compared) {
    if (throws_when_copied) throw std::runtime_error("no copy");
  }
  bool operator==(const Touchy&) const {
    if (throws_when_compared) throw std::runtime_error("no comparison");
    return true;
  }
};

TEST_F(RouterTest, AValueThatThrowsInAShadowReadIsNotCountedAndEndsNothing) {
  stage(flag::Stage::kShadow);
  for (const bool copied : {true, false}) {
    const auto side = [copied](Attempt&) -> Outcome<Touchy> { return Touchy(copied, true); };
    EXPECT_TRUE(begin().read("p", side, side, side).ok());
  }
  EXPECT_TRUE(wait_for([&] {
    const flag::Report counted = report();
    return !counted.shadow.empty() && counted.shadow[0].skipped == 2;
  }));
}

// Both must be destroyed by their worker's own thread, which cannot wait for itself.
TEST_F(RouterTest, AShadowReadMayBeTheLastToHoldItsRouter) {
  stage(flag::Stage::kShadow);
  std::promise<void> released;
  std::shared_future<void> release = released.get_future().share();
  auto sentinel = std::make_shared<int>(1);
  const std::weak_ptr<int> alive = sentinel;
  {
    auto router = std::make_shared<Router>(client_, "k", options_);
    const auto side = [](Attempt&) -> Outcome<int> { return 1; };
    (void)router->begin(user_).read("p", side, side, [router, sentinel, release](Attempt&) -> Outcome<int> {
      release.wait();
      return *sentinel;
    });
  }
  sentinel.reset();
  released.set_value();
  EXPECT_TRUE(wait_for([&] { return alive.expired(); }));
}

TEST_F(RouterTest, AShadowReadThatHangsHoldsUpNobody) {
  stage(flag::Stage::kShadow);
  options_.shadow_limit = std::chrono::milliseconds(50);
  std::promise<void> released, begun;
  auto sentinel = std::make_shared<int>(1);
  const std::weak_ptr<int> alive = sentinel;
  const auto side = [](Attempt&) -> Outcome<int> { return 1; };
  auto hang = [sentinel, &begun, release = released.get_future().share()](Attempt&) -> Outcome<int> {
    begun.set_value();
    release.wait();
    return *sentinel;
  };
  (void)begin().read("p", side, side, std::move(hang));
  sentinel.reset();
  begun.get_future().wait();
  router_.reset();  // comes back
  EXPECT_FALSE(alive.expired());
  released.set_value();
  EXPECT_TRUE(wait_for([&] { return alive.expired(); }));
}

}  // namespace
}  // namespace poundlock
