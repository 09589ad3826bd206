#include "base/suggest.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace poundlock {
namespace {

TEST(Suggest, CountsEdits) {
  EXPECT_EQ(edit_distance("steps", "steps", 3), 0U);
  EXPECT_EQ(edit_distance("stpes", "steps", 3), 1U);  // two neighbours swapped
  EXPECT_EQ(edit_distance("kitten", "sitting", 3), 3U);
  EXPECT_EQ(edit_distance("", "ab", 3), 2U);
  EXPECT_EQ(edit_distance("abcdef", "uvwxyz", 3), 4U);                                    // limit + 1
  EXPECT_EQ(edit_distance(std::string(100'000, 'a'), std::string(100'000, 'a'), 3), 4U);  // bounded work
}

TEST(Suggest, TakesTheNearestOrNone) {
  const std::vector<std::string> names{"interval", "steps", "step", "enabled"};
  EXPECT_EQ(nearest("stpes", names), "steps");
  EXPECT_EQ(nearest("stepps", names), "steps");
  EXPECT_EQ(nearest("enabeld", names), "enabled");
  EXPECT_EQ(nearest("intervall", names), "interval");
  EXPECT_EQ(nearest("colour", names), "");
  EXPECT_EQ(nearest("xy", names), "");
  EXPECT_EQ(nearest("", names), "");
  // Of equally near ones the first, so that the same mistake always gets the same answer.
  const std::vector<std::string> equals{"abcdefgxx", "abcdefxxi"};
  EXPECT_EQ(nearest("abcdefghi", equals), "abcdefgxx");
  constexpr std::array<std::string_view, 2> kViews{"legacy", "new"};
  EXPECT_EQ(nearest("legasy", kViews), "legacy");
}

}  // namespace
}  // namespace poundlock
