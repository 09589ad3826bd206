#include "base/histogram.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace poundlock {
namespace {

constexpr std::uint64_t kLargest = std::uint64_t{1} << 36;

TEST(Histogram, BucketsAreAtMostOnePointSixPercentWideAndLeaveNoGap) {
  const std::uint16_t last = Histogram::index_of(kLargest);
  for (std::uint16_t index = 1; index <= last; ++index) {
    const double below = Histogram::upper_edge(static_cast<std::uint16_t>(index - 1));
    const double edge = Histogram::upper_edge(index);
    ASSERT_GT(edge, below) << index;
    if (edge >= 64) {
      ASSERT_LE((edge - below) / (below + 1), 0.016) << index;
    }
    // The edges are whole: the first value of a bucket follows the last of the one before.
    ASSERT_EQ(Histogram::index_of(static_cast<std::uint64_t>(below) + 1), index);
    if (index < last) {
      ASSERT_EQ(Histogram::index_of(static_cast<std::uint64_t>(edge)), index);
    }
  }
}

TEST(Histogram, TheLongestShareOneBucket) {
  EXPECT_EQ(Histogram::index_of(kLargest), Histogram::index_of(UINT64_MAX));
}

TEST(Histogram, CountsAboveAThreshold) {
  Histogram histogram;
  for (std::uint64_t us = 1; us <= 1000; ++us) histogram.add(us);
  EXPECT_EQ(histogram.count(), 1000U);
  EXPECT_EQ(histogram.above(-1), 1000U);
  EXPECT_EQ(histogram.above(10), 990U);  // exact below 64
  const auto above = histogram.above(500);
  EXPECT_LE(above, 500U);
  EXPECT_GE(above, 500U - 8);  // what shares the bucket of 500 does not count
  EXPECT_EQ(histogram.above(1000), 0U);
  EXPECT_EQ(histogram.above(1e30), 0U);
}

TEST(Histogram, QuantilesAreWithinABucket) {
  Histogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0);
  EXPECT_EQ(histogram.at_rank(1), 0);
  for (std::uint64_t us = 1; us <= 100'000; ++us) histogram.add(us);
  for (const double q : {0.01, 0.5, 0.95, 0.99, 1.0}) {
    const double exact = q * 100'000;
    EXPECT_GE(histogram.quantile(q), exact - 1) << q;
    EXPECT_LE(histogram.quantile(q), exact * 1.016) << q;
  }
  EXPECT_EQ(histogram.at_rank(1), 1);
  EXPECT_EQ(histogram.quantile(0), 1);
  EXPECT_GE(histogram.at_rank(1'000'000), 100'000);
}

TEST(Histogram, MergeAndWireFormKeepEverything) {
  Histogram one;
  one.add(100, 3);
  one.add(5'000);
  Histogram two;
  two.add(5'000, 2);
  two.add(7, 0);
  EXPECT_TRUE(two.buckets().size() == 1);
  one.merge(two);
  EXPECT_EQ(one.count(), 6U);
  Histogram copy;
  for (const auto& [index, count] : one.buckets()) copy.add_bucket(index, count);
  EXPECT_EQ(copy.buckets(), one.buckets());
  EXPECT_EQ(copy.count(), 6U);
  EXPECT_EQ(copy.above(200), 3U);
}

}  // namespace
}  // namespace poundlock
