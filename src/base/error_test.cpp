#include "base/error.h"

#include <gtest/gtest.h>

#include "base/result.h"

namespace poundlock {
namespace {

TEST(Error, RendersWhatIsKnown) {
  EXPECT_EQ(user_error("x.y", "it broke").to_string(), "it broke");
  Error error = user_error("x.y", "it broke").with_hint("mend it").at({"a.yaml", 3, 7});
  EXPECT_EQ(error.to_string(), "a.yaml:3:7: it broke (mend it)");
  error.sqlstate = "55P03";
  EXPECT_EQ(error.to_string(), "a.yaml:3:7: it broke [SQLSTATE 55P03] (mend it)");
}

TEST(Error, EveryDispositionHasItsExitCode) {
  const auto code = [](Disposition disposition) { return exit_code(make_error(disposition, "c", "m")); };
  EXPECT_EQ(code(Disposition::kRefused), 1);
  EXPECT_EQ(code(Disposition::kUser), 2);
  EXPECT_EQ(code(Disposition::kRetry), 3);
  EXPECT_EQ(code(Disposition::kReconnect), 3);
  EXPECT_EQ(code(Disposition::kInDoubt), 3);
  EXPECT_EQ(code(Disposition::kConflict), 4);
  EXPECT_EQ(code(Disposition::kInternal), 70);
  EXPECT_STREQ(to_string(Disposition::kInDoubt), "in_doubt");
}

Result<int> half(int number) {
  if (number % 2 != 0) return fail(user_error("odd", "an odd number"));
  return number / 2;
}
Result<int> quarter(int number) {
  PL_TRY(const int once, half(number));
  PL_TRY(const int twice, half(once));
  return twice;
}
Status check(int number) {
  PL_CHECK(quarter(number));
  return {};
}

TEST(Result, MacrosHandTheErrorOn) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().code, "odd");
  EXPECT_TRUE(check(4));
  EXPECT_EQ(check(2).error().message, "an odd number");
}

}  // namespace
}  // namespace poundlock
