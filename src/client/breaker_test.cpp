// The breaker: what trips it, what does not, and how it closes again. Time is made up.
#include "client/breaker.h"

#include <gtest/gtest.h>

namespace poundlock::client {
namespace {

using std::chrono::milliseconds;
using Answer = Breaker::Answer;

const Failure kTimeout{FailureKind::kTimeout, ""};
const Failure kDeadlock{FailureKind::kDeadlock, ""};
const Failure kOther{FailureKind::kOther, ""};

class BreakerTest : public ::testing::Test {
 protected:
  void fail_with(const Failure& failure, int times) {
    for (int i = 0; i < times; ++i) breaker_.record(&failure, false, now_);
  }
  void succeed(int times) {
    for (int i = 0; i < times; ++i) breaker_.record(nullptr, false, now_);
  }
  Breaker breaker_{BreakerOptions{}};
  Breaker::Time now_{};
};

TEST_F(BreakerTest, ThreeTimeoutsInARowTrip) {
  fail_with(kTimeout, 2);
  succeed(1);
  fail_with(kTimeout, 2);
  EXPECT_FALSE(breaker_.open());
  fail_with(kTimeout, 1);
  EXPECT_TRUE(breaker_.open());
  EXPECT_EQ(breaker_.cause(), "timeout");
}

TEST_F(BreakerTest, DeadlocksAmongTheLastTriesTrip) {
  fail_with(kDeadlock, 1);
  succeed(5);
  fail_with(kDeadlock, 1);
  succeed(5);
  EXPECT_FALSE(breaker_.open());
  fail_with(kDeadlock, 1);
  EXPECT_TRUE(breaker_.open());
  EXPECT_EQ(breaker_.cause(), "deadlock");
}

TEST_F(BreakerTest, AnErrorBurstIsMoreThanHalfOfTheWindow) {
  for (int i = 0; i < 30; ++i) {
    succeed(1);
    fail_with(kOther, 1);
  }
  EXPECT_FALSE(breaker_.open()) << "half is not more than half";
  fail_with(kOther, 1);
  EXPECT_TRUE(breaker_.open());
  EXPECT_EQ(breaker_.cause(), "error burst");
  EXPECT_EQ(breaker_.trips(), 1u);
}

TEST_F(BreakerTest, FourFailuresAloneAreNoBurst) {
  fail_with(kOther, 4);
  EXPECT_FALSE(breaker_.open());
  fail_with(kOther, 1);
  EXPECT_TRUE(breaker_.open());
}

TEST_F(BreakerTest, ProbesOneAtATimeAndClosesAfterThree) {
  fail_with(kTimeout, 3);
  EXPECT_EQ(breaker_.ask(now_ + milliseconds(999)), Answer::kStay);
  now_ += milliseconds(1'000);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(breaker_.open());
    EXPECT_EQ(breaker_.ask(now_), Answer::kProbe);
    EXPECT_EQ(breaker_.ask(now_), Answer::kStay) << "one probe at a time";
    breaker_.record(nullptr, true, now_);
  }
  EXPECT_FALSE(breaker_.open());
  EXPECT_EQ(breaker_.ask(now_), Answer::kGo);
  fail_with(kTimeout, 2);
  EXPECT_FALSE(breaker_.open()) << "what happened before the trip is forgotten";
}

TEST_F(BreakerTest, AFailedProbeDoublesTheWaitUpToItsLimit) {
  fail_with(kTimeout, 3);
  milliseconds wait{1'000};
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(breaker_.ask(now_ + wait - milliseconds(1)), Answer::kStay);
    now_ += wait;
    ASSERT_EQ(breaker_.ask(now_), Answer::kProbe);
    breaker_.record(&kOther, true, now_);
    wait = std::min(wait * 2, milliseconds(30'000));
  }
}

TEST_F(BreakerTest, TriesThatBeganBeforeTheTripChangeNothing) {
  fail_with(kTimeout, 3);
  succeed(50);
  EXPECT_TRUE(breaker_.open());
}

}  // namespace
}  // namespace poundlock::client
