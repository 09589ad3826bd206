#include "engine/lock_watch.h"

#include <gtest/gtest.h>

namespace poundlock::engine {
namespace {

TEST(LongestBehind, FindsDirectAndIndirectWaitersBehindUs) {
  const std::set<int> ours{1};
  const std::vector<Waiter> waiters{
      {10, false, 30, {1}, "direct"},
      {11, false, 80, {10}, "behind the first"},
      {12, false, 500, {99}, "behind somebody else"},
      {13, true, 900, {1}, "one of ours"},
  };
  const Waiter* longest = longest_behind(waiters, ours);
  ASSERT_NE(longest, nullptr);
  EXPECT_EQ(longest->pid, 11);
  EXPECT_EQ(longest_behind({waiters[2], waiters[3]}, ours), nullptr);
  EXPECT_EQ(longest_behind({}, ours), nullptr);
}

TEST(LongestBehind, EndsOnACircleOfWaiters) {
  const std::vector<Waiter> circle{{10, false, 30, {11}, ""}, {11, false, 80, {10}, ""}};
  EXPECT_EQ(longest_behind(circle, {1}), nullptr);
}

}  // namespace
}  // namespace poundlock::engine
