// What is read of a body.
#include "server/evaluation_body.h"

#include <gtest/gtest.h>

namespace poundlock::server {
namespace {

TEST(EvaluationBody, OfEqualKeysTheLastCountsAtEveryDepth) {
  EvaluationBody body;
  flag::Scratch scratch;
  std::string many;
  for (int i = 0; i < 40; ++i) many += R"("k)" + std::to_string(i % 20) + R"(": )" + std::to_string(i) + ",";
  const std::string request = R"({"context": {"user": {"a": 1, "b": 2, "a": 3}, "many": {)" + many +
                              R"("last": [{"x": 1, "x": 2}]}, "user2": 0, "user2": 1}})";
  ASSERT_TRUE(body.read(request));
  const flag::Value user = body.find("user", scratch);
  ASSERT_EQ(user.members().size(), 2U);
  EXPECT_EQ(user.member("a").as_number(), 3);
  EXPECT_EQ(user.member("b").as_number(), 2);
  const flag::Value found = body.find("many", scratch);
  ASSERT_EQ(found.members().size(), 21U);
  EXPECT_EQ(found.member("k0").as_number(), 20);
  EXPECT_EQ(found.member("last").items()[0].members().size(), 1U);
  EXPECT_EQ(body.all(scratch).members().size(), 3U);
}

}  // namespace
}  // namespace poundlock::server
