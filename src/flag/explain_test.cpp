#include "flag/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"

namespace poundlock::flag {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<const Snapshot> snapshot_of(const std::string& rule, const std::string& metadata = "{}") {
  auto snapshot = Snapshot::compile(R"({"metadata": )" + metadata + R"(, "flags": {
      "off": {"state": "DISABLED", "variants": {"a": 1}},
      "fixed": {"state": "ENABLED", "variants": {"a": 1}, "defaultVariant": "a"},
      "f": {"state": "ENABLED", "variants": {"a": 1, "b": 2}, "targeting": )" +
                                        rule + "}}}",
                                    "f.json");
  EXPECT_TRUE(snapshot) << snapshot.error().to_string();
  return snapshot ? *snapshot : nullptr;
}

std::vector<std::string> lines(const std::string& rule, const json::Object& context, const char* key = "f",
                               const std::string& metadata = "{}") {
  return explain(*snapshot_of(rule, metadata), key, JsonAttributes(context), 1'000).lines;
}

TEST(Explain, SaysWhichConditionHeldAndWhy) {
  EXPECT_THAT(lines(R"({"if": [{"==": [{"var": "tier"}, "gold"]}, "a",
                              {"and": [{"var": "beta"}, {">": [{"var": "age"}, 18]}]}, "b", null]})",
                    {{"tier", "iron"}, {"beta", true}, {"age", 20}}),
              ElementsAre("condition 1: {\"==\": [{\"var\": \"tier\"}, \"gold\"]}",  //
                          "  {\"var\": \"tier\"} = \"iron\"",                        //
                          "  {\"==\": [{\"var\": \"tier\"}, \"gold\"]} = false",     //
                          "condition 1 does not hold: it is false",                  //
                          "condition 2: {\"and\": [{\"var\": \"beta\"}, {\">\": [{\"var\": \"age\"}, 18]}]}",
                          "    {\"var\": \"beta\"} = true",                //
                          "    {\"var\": \"age\"} = 20",                   //
                          "    {\">\": [{\"var\": \"age\"}, 18]} = true",  //
                          "  'and' = true",                                //
                          "condition 2 holds: its branch answers \"b\"",   //
                          "variant 'b', reason TARGETING_MATCH"));
}

TEST(Explain, SaysWhichBucketASplitChose) {
  const char* rule = R"({"fractional": [{"cat": ["f", {"var": "targetingKey"}]}, ["a", 25], ["b", 75]]})";
  // 401514366 x 100 / 2^32 = 9.3
  const auto said = lines(rule, {{"targetingKey", "u"}});
  ASSERT_EQ(said.size(), 3u);
  EXPECT_EQ(said[0], "fractional hashes 'fu': hash 401514366, sum of weights 100");
  EXPECT_EQ(said[1], "bucket 9 of 100 lies in 0 to 24: \"a\"");
  EXPECT_THAT(lines(R"({"fractional": [["a", 1], ["b", 1]]})", {})[0], HasSubstr("there is nothing to hash"));
  EXPECT_THAT(lines(R"({"fractional": [{"var": "n"}, ["a"], ["b"]]})", {{"n", 5}}, "f",
                    R"({"poundlock.fractional": 3})")[0],
              HasSubstr("fractional hashes 5 (as CBOR, 1 bytes): hash "));
}

TEST(Explain, SaysWhyThereIsNoVariant) {
  EXPECT_THAT(lines("null", {}, "off"),
              ElementsAre("the flag is DISABLED", "no variant: the caller's default holds, reason DISABLED"));
  EXPECT_THAT(lines("null", {}, "fixed")[1], "variant 'a', reason STATIC");
  EXPECT_THAT(
      lines("null", {}, "none"),
      ElementsAre("no variant: the caller's default holds, reason ERROR, FLAG_NOT_FOUND: no such flag"));
  EXPECT_THAT(lines(R"({"if": [{"+": [true, {"var": "x"}]}, "a"]})", {}).back(), HasSubstr("PARSE_ERROR"));
  EXPECT_THAT(lines(R"({"nope": 1})", {}), ElementsAre(HasSubstr("PARSE_ERROR: unknown operator 'nope'")));
}

TEST(Explain, TheBranchThatAnsweredIsKnown) {
  auto snapshot =
      snapshot_of(R"({"if": [{"var": "x"}, "a", {"var": "y"}, "b", {"if": [{"var": "z"}, "a"]}]})");
  const auto branch = [&](const json::Object& context) {
    return snapshot->evaluate("f", JsonAttributes(context), 0).branch;
  };
  EXPECT_EQ(branch({{"x", 1}, {"y", 1}}), 0);
  EXPECT_EQ(branch({{"y", 1}}), 1);
  EXPECT_EQ(branch({}), 2);
  EXPECT_EQ(snapshot->evaluate("fixed", JsonAttributes({}), 0).branch, -1);
  const CompiledFlag& flag = *snapshot->find("f");
  EXPECT_EQ(flag.branches, 3);
  EXPECT_EQ(branch_condition(flag, 1), R"({"var": "y"})");
  EXPECT_EQ(branch_condition(flag, 2), "else");
  EXPECT_EQ(branch_condition(flag, 3), "");
  auto open = snapshot_of(R"({"if": [{"var": "x"}, "a"]})");
  EXPECT_EQ(open->evaluate("f", JsonAttributes({}), 0).branch, -1);
  EXPECT_EQ(open->find("f")->branches, 1);
}

TEST(Explain, IsBounded) {
  std::string rule = R"({"if": [)";
  for (int i = 0; i < 500; ++i)
    rule += R"({"==": [{"var": "x"}, ")" + std::string(1'000, 'y') + R"("]}, "a", )";
  const auto said = lines(rule + "null]}", {{"x", std::string(10'000, 'z')}});
  EXPECT_EQ(said.size(), kExplanationLinesMax);
  for (const std::string& line : said) EXPECT_LT(line.size(), 500u);
  EXPECT_EQ(said.back(), "no variant: the caller's default holds, reason DEFAULT");
}

}  // namespace
}  // namespace poundlock::flag
