#include "flag/definition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poundlock::flag {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Definition read(std::string_view text, std::string file = "flags.json") {
  auto definition = parse_definition(text, std::move(file));
  EXPECT_TRUE(definition) << definition.error().to_string();
  return definition ? *definition : Definition{};
}

std::string only_problem(std::string_view text, std::string file = "flags.json") {
  const Definition definition = read(text, std::move(file));
  EXPECT_EQ(definition.problems.size(), 1u);
  return definition.problems.empty() ? "" : definition.problems[0].to_string();
}

std::string failure(std::string_view text, std::string file = "flags.json") {
  auto definition = parse_definition(text, std::move(file));
  EXPECT_FALSE(definition);
  return definition ? "" : definition.error().to_string();
}

std::string variant(const Definition& definition, std::string_view key, const json::Object& context) {
  const std::string document = json::dump(json::Object{{"flags", definition.flags}});
  auto snapshot = Snapshot::compile(document, "compiled");
  EXPECT_TRUE(snapshot) << snapshot.error().to_string();
  if (!snapshot) return "";
  const Resolution got = (*snapshot)->evaluate(key, JsonAttributes(context), 0);
  return got.variant == nullptr ? to_string(got.error) : got.variant->name;
}

constexpr const char* kFlagd = R"({
  "metadata": {"flagSetId": "shop", "version": 3},
  "$evaluators": {"staff": {"ends_with": [{"var": "email"}, "@shop.example"]}},
  "flags": {
    "banner": {
      "state": "ENABLED",
      "variants": {"on": true, "off": false},
      "defaultVariant": "off",
      "metadata": {"version": 4},
      "targeting": {"if": [{"$ref": "staff"}, "on", "off"]}
    },
    "limit": {"state": "DISABLED", "variants": {"low": 1, "high": 2.5}}
  }
})";

TEST(Definition, FlagsNeedNothingElse) {
  const Definition definition = read(kFlagd);
  EXPECT_THAT(definition.problems, IsEmpty());
  EXPECT_EQ(variant(definition, "banner", {{"email", "a@shop.example"}}), "on");
  EXPECT_EQ(variant(definition, "banner", {{"email", "a@b.example"}}), "off");
  const json::Object& banner = definition.flags.at("banner").as_object();
  EXPECT_EQ(json::dump(banner.at("metadata")), R"({"flagSetId":"shop","version":4})");
  EXPECT_EQ(json::dump(banner).find("$ref"), std::string::npos);
  EXPECT_EQ(json::dump(definition.flags.at("limit").at("metadata")), R"({"flagSetId":"shop","version":3})");
}

TEST(Definition, YamlSaysTheSame) {
  const char* yaml = R"(
metadata: {flagSetId: shop, version: 3}
$evaluators:
  staff: {ends_with: [{var: email}, "@shop.example"]}
flags:
  banner:
    state: ENABLED
    variants: {on: true, off: false}
    defaultVariant: off
    metadata: {version: 4}
    targeting:
      if: [{$ref: staff}, on, off]
  limit: {state: DISABLED, variants: {low: 1, high: 2.5}}
)";
  EXPECT_EQ(json::dump(read(yaml, "flags.yaml").flags), json::dump(read(kFlagd).flags));
  EXPECT_EQ(json::dump(read(kFlagd, "-").flags), json::dump(read(kFlagd).flags));
}

TEST(Definition, AListOfFlagsHasKeys) {
  const Definition definition = read(R"({"flags": [
    {"key": "a", "state": "ENABLED", "variants": {"x": "1"}, "defaultVariant": "x"},
    {"state": "ENABLED", "variants": {"x": "1"}},
    {"key": "a", "state": "ENABLED", "variants": {"x": "1"}}]})");
  EXPECT_EQ(variant(definition, "a", {}), "x");
  ASSERT_EQ(definition.problems.size(), 2u);
  EXPECT_THAT(definition.problems[0].to_string(), HasSubstr("flags.json:3:5: flag 2 of the list has no key"));
  EXPECT_THAT(definition.problems[1].to_string(),
              HasSubstr("flags.json:4:13: the flag 'a' is defined twice"));
}

// Each is one mistake in an otherwise sound flag, and what is said of it.
struct Mistake {
  const char* flag;
  const char* said;
};

TEST(Definition, EachMistakeIsSaidWithItsPlace) {
  const Mistake mistakes[] = {
      {R"("state": "ENABLED", "varaints": {"on": true})",
       "f.json:2:25: flag 'f': unknown key 'varaints' (did you mean 'variants'?)"},
      {R"("state": "enabled", "variants": {"on": true})",
       "f.json:2:14: flag 'f': state: expected ENABLED or DISABLED, found 'enabled' (did you mean "
       "'ENABLED'?)"},
      {R"("state": true, "variants": {"on": true})", "found true or false"},
      {R"("variants": {"on": true})", "f.json:1:12: flag 'f': the key 'state' is missing"},
      {R"("state": "ENABLED", "variants": ["on"])", "f.json:2:37: flag 'f': variants: expected a mapping"},
      {R"("state": "ENABLED", "variants": {})", "0 variants, expected 1 to 256"},
      {R"("state": "ENABLED", "variants": {"on": true, "off": "no"})",
       "f.json:2:57: flag 'f': the variant 'off' is of type string, the ones before it are of type boolean"},
      {R"("state": "ENABLED", "variants": {"on": true, "off": null})", "the variant 'off' is null"},
      {R"("state": "ENABLED", "variants": {"on": true}, "defaultVariant": "om")",
       "f.json:2:69: flag 'f': defaultVariant: there is no variant 'om'"},
      {R"("state": "ENABLED", "variants": {"on": true}, "defaultVariant": true)", "quote it: \"true\""},
      {R"("state": "ENABLED", "variants": {"on": true}, "targeting": {"startswith": [1, 2]})",
       "f.json:2:65: flag 'f': unknown operator 'startswith' (did you mean 'starts_with'?)"},
      {R"("state": "ENABLED", "variants": {"on": true}, "targeting": {"if": [true, "onn"]})",
       "f.json:2:78: flag 'f': targeting names the variant 'onn', which does not exist"},
      {R"("state": "ENABLED", "variants": {"on": true}, "targeting": {"if": [true, true]})",
       "names the variant 'true'"},
      {R"("state": "ENABLED", "variants": {"on": true}, "targeting": {"fractional": [["on", 1], ["of", 1]]})",
       "names the variant 'of'"},
      {R"("state": "ENABLED", "variants": {"on": true}, "targeting": {"$ref": "evan"})",
       "f.json:2:73: flag 'f': there is no evaluator 'evan' (did you mean 'even'?)"},
      {R"("state": "ENABLED", "variants": {"on": true}, "metadata": {"owner": ["a"]})",
       "f.json:2:73: flag 'f': metadata 'owner': expected text, a number, or true or false, found a list"},
  };
  for (const Mistake& mistake : mistakes) {
    const std::string text = std::string("{\"flags\": {\"f\": {\n    ") + mistake.flag +
                             "}},\n \"$evaluators\": {\"even\": {\"==\": [1, 1]}}}";
    const Definition definition = read(text, "f.json");
    ASSERT_FALSE(definition.problems.empty()) << mistake.flag;
    EXPECT_THAT(definition.problems[0].to_string(), HasSubstr(mistake.said));
    EXPECT_EQ(definition.problems[0].disposition, Disposition::kUser);
  }
}

TEST(Definition, MistakesInYamlHaveTheirPlaceToo) {
  EXPECT_THAT(only_problem("flags:\n  f:\n    state: ENABLED\n    variants: {a: 1}\n    targeting:\n"
                           "      if:\n        - {'=': [1, 1]}\n        - a\n",
                           "f.yaml"),
              HasSubstr("f.yaml:7:13: flag 'f': unknown operator '=' (did you mean '=='?)"));
  EXPECT_THAT(failure("flags:\n  f: {state: ENABLED, variants: {a: 010}}\n", "f.yaml"),
              HasSubstr("f.yaml:2:37: '010' is octal to some readers of YAML"));
}

TEST(Definition, AnEvaluatorIsCheckedOnceAndWhereItStands) {
  const std::string said = only_problem(R"({"flags": {
    "a": {"state": "ENABLED", "variants": {"x": 1}},
    "b": {"state": "ENABLED", "variants": {"x": 1}}},
  "$evaluators": {"e": {"!": [{"$ref": "e"}]}}})");
  EXPECT_THAT(said, HasSubstr("flags.json:4:32: evaluator 'e': an evaluator cannot hold a $ref of its own"));
}

TEST(Definition, AVariantThatAnEvaluatorNamesIsMissedAtTheReference) {
  EXPECT_THAT(only_problem(R"({"flags": {
    "a": {"state": "ENABLED", "variants": {"x": 1}, "targeting": {"$ref": "e"}}},
  "$evaluators": {"e": {"if": [true, "y"]}}})"),
              HasSubstr("flags.json:2:66: flag 'a': targeting names the variant 'y', which does not exist"));
}

TEST(Definition, FlagsWhoseRuleIsAtFaultAreKeptAndOthersAreNot) {
  const Definition definition = read(R"({"flags": {
    "rule": {"state": "ENABLED", "variants": {"x": 1}, "targeting": {"nope": []}},
    "good": {"state": "ENABLED", "variants": {"x": 1}, "defaultVariant": "x"}}})");
  EXPECT_TRUE(definition.only_rules_at_fault());
  EXPECT_EQ(variant(definition, "rule", {}), "PARSE_ERROR");
  EXPECT_EQ(variant(definition, "good", {}), "x");
  const Definition broken = read(R"({"flags": {"state": {"state": 1, "variants": {"x": 1}}}})");
  EXPECT_FALSE(broken.only_rules_at_fault());
  EXPECT_FALSE(broken.flags.contains("state"));
}

TEST(Definition, ADocumentWithoutFlagsIsRefused) {
  EXPECT_THAT(failure("[]"), HasSubstr("flags.json:1:1: a flag definition is a mapping with 'flags'"));
  EXPECT_THAT(failure("{}"), HasSubstr("neither 'flags' nor 'feature_flags'"));
  EXPECT_THAT(failure("{\n \"flgas\": {}}"), HasSubstr("flags.json:2:2: the definition: unknown key 'flgas' "
                                                       "(did you mean 'flags'?)"));
  EXPECT_THAT(failure(R"({"flags": 3})"), HasSubstr("flags.json:1:11: flags: expected a mapping"));
  EXPECT_THAT(failure(R"({"flags": {"a": 1, "a": 2}})"), HasSubstr("1:20: duplicate key 'a'"));
  EXPECT_THAT(failure("flags:\n  a: 1\n  a: 2\n", "f.yaml"), HasSubstr("f.yaml:3:3: duplicate key 'a'"));
  EXPECT_THAT(read(R"({"flags": {}, "owner": "me"})").warnings,
              ElementsAre("flags.json:1:15: the key 'owner' has no effect here"));
}

TEST(Definition, LimitsHold) {
  Limits limits;
  limits.flags_max = 1;
  const auto refused = parse_definition(kFlagd, "flags.json", limits);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().to_string(), HasSubstr("flags.json:4:12: 2 flags, at most 1 are allowed"));
  std::string many = R"({"flags": {)";
  for (int i = 0; i < 500; ++i) many += (i > 0 ? ",\"k" : "\"k") + std::to_string(i) + "\": 1";
  EXPECT_EQ(read(many + "}}").problems.size(), kProblemsMax);
}

TEST(Definition, FeatureFlagsBecomeTheKeyAndItsStage) {
  const Definition definition = read(R"(
metadata: {owner: team}
feature_flags:
  everybody: {enabled: true}
  nobody: {enabled: false, initial_percentage: 100}
  some:
    rollout_strategy: percentage
    initial_percentage: 100
    targeting_rules:
      - {context: batch, enabled: false}
)",
                                     "flags.yaml");
  EXPECT_THAT(definition.problems, IsEmpty());
  EXPECT_THAT(definition.warnings, IsEmpty());
  EXPECT_EQ(variant(definition, "everybody", {{"targetingKey", "u"}}), "on");
  EXPECT_EQ(variant(definition, "everybody.stage", {{"targetingKey", "u"}}), "live");
  EXPECT_EQ(variant(definition, "nobody", {{"targetingKey", "u"}}), "off");
  EXPECT_EQ(variant(definition, "nobody.stage", {{"targetingKey", "u"}}), "off");
  EXPECT_EQ(variant(definition, "some", {{"targetingKey", "u"}}), "on");
  EXPECT_EQ(variant(definition, "some", {{"targetingKey", "u"}, {"context", "batch"}}), "off");
  EXPECT_EQ(json::dump(definition.flags.at("some.stage").at("metadata")), R"({"owner":"team"})");
}

TEST(Definition, StepsWithoutARolloutAreWarnedOf) {
  const Definition definition =
      read("feature_flags:\n  f: {initial_percentage: 1, increment_step: 5}\n", "f.yaml");
  EXPECT_THAT(definition.warnings,
              ElementsAre("f.yaml:2:3: flag 'f': without a rollout nobody walks the steps: it stays at 1 %"));
}

TEST(Definition, ARolloutFileGivesItsFlagAtTheFirstStep) {
  const Definition definition = read(
      "rollout: r\nchange: []\nflags: ignored\nfeature_flags:\n  f: {enabled: true}\n", "rollouts/r.yaml");
  EXPECT_THAT(definition.problems, IsEmpty());
  int in = 0;
  for (int i = 0; i < 1000; ++i) {
    in += variant(definition, "f", {{"targetingKey", std::to_string(i)}}) == "on" ? 1 : 0;
  }
  EXPECT_GT(in, 0);
  EXPECT_LT(in, 40);
}

TEST(Definition, MistakesInFeatureFlagsAreSaid) {
  EXPECT_THAT(only_problem("feature_flags:\n  f: {initial_percentage: 101}\n", "f.yaml"),
              HasSubstr("f.yaml:2:27: "));
  EXPECT_THAT(only_problem("feature_flags:\n  f: {enabld: true}\n", "f.yaml"),
              HasSubstr("did you mean 'enabled'?"));
  EXPECT_THAT(
      only_problem("flags: {f: {state: ENABLED, variants: {a: 1}}}\nfeature_flags: {f: {}}\n", "f.yaml"),
      HasSubstr("f.yaml:2:17: the flag 'f' is defined twice"));
  EXPECT_THAT(failure("feature_flags: []\n", "f.yaml"),
              HasSubstr("f.yaml:1:16: feature_flags: expected a mapping"));
  EXPECT_THAT(only_problem(R"({"feature_flags": {"f": {"steps": [5, 1]}}})"),
              HasSubstr("flags.json:1:39: steps: 1"));
}

TEST(Definition, AllMistakesInFeatureFlagsAreSaidAtOnce) {
  const auto definition = parse_definition(R"(feature_flags:
  f:
    enabld: true
    enabled: perhaps
    rollout_strategy: dice
    initial_percentage: 101
    increment_interval: soon
    steps: [5, 1]
    targeting_rules:
      - {context: a}
      - {context: b, percentage: 5}
      - {context: b, percentage: 6}
  g: {initial_percentage: 0}
  fine: {initial_percentage: 100}
)",
                                           "f.yaml");
  ASSERT_TRUE(definition);
  std::string lines;
  for (const auto& problem : definition->problems)
    if (problem.where) lines += std::to_string(problem.where->line) + " ";
  EXPECT_EQ(lines, "3 4 5 6 8 7 10 12 13 ");
  EXPECT_TRUE(definition->flags.contains("fine"));
  EXPECT_FALSE(definition->flags.contains("f"));
}

}  // namespace
}  // namespace poundlock::flag
