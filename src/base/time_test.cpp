#include "base/time.h"

#include <gtest/gtest.h>

namespace poundlock {
namespace {

TEST(Duration, ReadsUnitsAndSums) {
  EXPECT_EQ(parse_duration("250ms").value(), Millis{250});
  EXPECT_EQ(parse_duration("90s").value(), Millis{90'000});
  EXPECT_EQ(parse_duration("15m").value(), Millis{900'000});
  EXPECT_EQ(parse_duration("72h").value(), Millis{259'200'000});
  EXPECT_EQ(parse_duration("14d").value(), Millis{1'209'600'000});
  EXPECT_EQ(parse_duration("1h30m").value(), Millis{5'400'000});
  EXPECT_EQ(parse_duration("1m500ms").value(), Millis{60'500});
  EXPECT_EQ(parse_duration("0s").value(), Millis{0});
  EXPECT_EQ(parse_duration("3650d").value().count(), 3650LL * 86'400'000);
}

TEST(Duration, RefusesEverythingElseWithAHint) {
  for (const char* text : {"", "s", "5", "5x", "-5s", "+5s", "5 s", "1.5h", " 5s", "5s ", "3651d", "3650d1ms",
                           "99999999999999999999s", "9223372036854775807d", "5S", "1h-30m"}) {
    const auto duration = parse_duration(text);
    ASSERT_FALSE(duration) << text;
    EXPECT_EQ(duration.error().code, "duration.invalid");
    EXPECT_NE(duration.error().hint.find("1h30m"), std::string::npos);
  }
}

TEST(Duration, WhatIsWrittenIsReadBack) {
  EXPECT_EQ(format_duration(Millis{0}), "0s");
  EXPECT_EQ(format_duration(Millis{850}), "850ms");
  EXPECT_EQ(format_duration(Millis{5'400'000}), "1h30m");
  EXPECT_EQ(format_duration(Millis{259'200'000}), "3d");
  EXPECT_EQ(format_duration(Millis{-1'500}), "-1s500ms");
  for (const std::int64_t ms :
       {1LL, 999LL, 1000LL, 60'001LL, 86'399'999LL, 86'400'000LL, 123'456'789'012LL}) {
    EXPECT_EQ(parse_duration(format_duration(Millis{ms})).value(), Millis{ms});
  }
}

TEST(Timestamp, IsUtcWithMilliseconds) {
  EXPECT_EQ(format_timestamp({0}), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(format_timestamp({951'782'400'123}), "2000-02-29T00:00:00.123Z");
  EXPECT_EQ(format_timestamp({-1}), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(format_timestamp({4'102'444'799'999}), "2099-12-31T23:59:59.999Z");
}

TEST(TimePoint, Arithmetic) {
  EXPECT_EQ(TimePoint{5'000} - TimePoint{2'000}, Millis{3'000});
  EXPECT_EQ(TimePoint{5} + Millis{7}, TimePoint{12});
  EXPECT_LT(TimePoint{1}, TimePoint{2});
}

}  // namespace
}  // namespace poundlock
