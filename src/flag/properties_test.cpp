// What must hold for every rule and every user: nobody falls out while a percentage grows, and shares are
// what they are said to be. Random cases come from a fixed seed; RC_PARAMS="seed=..." chooses another.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <sys/resource.h>

#include <cmath>
#include <cstdlib>

#include "base/json.h"
#include "flag/definition.h"
#include "flag/rollout_flag.h"

namespace poundlock::flag {
namespace {

// 0: what a person has set stays.
[[maybe_unused]] const int seeded = setenv("RC_PARAMS", "seed=20260901 max_success=60 noshrink=0", 0);

class User final : public Attributes {
 public:
  explicit User(std::string_view key, std::string_view context = {}) : key_(key), context_(context) {}
  Value find(std::string_view name, Scratch&) const override {
    if (name == "targetingKey") return Value::text(key_);
    return name == "context" && !context_.empty() ? Value::text(context_) : Value{};
  }
  Value all(Scratch&) const override { return {}; }

 private:
  std::string_view key_;
  std::string_view context_;
};

std::shared_ptr<const Snapshot> compiled(const json::Object& flags, const json::Object& metadata = {}) {
  auto snapshot =
      Snapshot::compile(json::dump(json::Object{{"flags", flags}, {"metadata", metadata}}), "test");
  if (!snapshot) ADD_FAILURE() << snapshot.error().to_string();
  return snapshot ? *snapshot : nullptr;
}

std::string_view answer(const Snapshot& snapshot, const std::string& key, const User& user) {
  const Resolution got = snapshot.evaluate(key, user, 0);
  return got.variant == nullptr ? std::string_view() : got.variant->name;
}

rc::Gen<std::string> any_key() {
  return rc::gen::nonEmpty(rc::gen::container<std::string>(
      rc::gen::elementOf(std::string("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_-"))));
}

const std::vector<std::string>& contexts() {
  static const std::vector<std::string> names{"", "internal", "web", "partner", "batch"};
  return names;
}

RolloutFlag any_rollout() {
  RolloutFlag rollout;
  rollout.key = *any_key();
  rollout.reached = *rc::gen::element(Stage::kLive, Stage::kRampdown);
  rollout.others = *rc::gen::element(Stage::kOff, Stage::kDualwrite, Stage::kShadow);
  if (*rc::gen::arbitrary<bool>())
    rollout.rules.push_back({"partner", *rc::gen::inRange(0, 101) * 1.0, true});
  if (*rc::gen::arbitrary<bool>()) rollout.excluded.emplace_back("batch");
  return rollout;
}

bool is_in(const Snapshot& snapshot, const RolloutFlag& rollout, const User& user) {
  const bool on = answer(snapshot, rollout.key, user) == "on";
  const auto stage = stage_from(answer(snapshot, rollout.key + ".stage", user));
  RC_ASSERT(stage.has_value());
  RC_ASSERT(on == is_new(*stage));
  return on;
}

TEST(Property, NobodyFallsOutWhileARolloutGrows) {
  EXPECT_TRUE(rc::check([] {
    RolloutFlag before = any_rollout();
    before.percentage = *rc::gen::inRange(0, 10'001) / 100.0;
    before.internal_percentage = *rc::gen::inRange(0, 10'001) / 100.0;
    RolloutFlag after = before;
    after.percentage += (100 - before.percentage) * *rc::gen::inRange(0, 101) / 100.0;
    after.internal_percentage += (100 - before.internal_percentage) * *rc::gen::inRange(0, 101) / 100.0;
    // A rule of its own may let in more or less than everybody gets, but grows as well.
    for (auto& rule : after.rules)
      rule.percentage += (100 - rule.percentage) * *rc::gen::inRange(0, 101) / 100.0;
    const auto first = compile_rollout_flag(before);
    const auto second = compile_rollout_flag(after);
    RC_ASSERT(first.has_value() && second.has_value());
    const auto then = compiled(*first);
    const auto now = compiled(*second);
    const std::string prefix = *any_key();
    for (int i = 0; i < 100; ++i) {
      const std::string key = prefix + std::to_string(i);
      for (const std::string& context : contexts()) {
        const User user(key, context);
        // Until everybody's steps begin, the rules of other contexts wait: partners come in at a later step.
        if (is_in(*then, before, user)) RC_ASSERT(is_in(*now, after, user));
      }
    }
  }));
}

TEST(Property, NobodyFallsOutWhileAFirstShareGrows) {
  EXPECT_TRUE(rc::check([] {
    const std::int64_t sum = *rc::gen::inRange<std::int64_t>(1, 2'147'483'648);
    const std::int64_t small = *rc::gen::inRange<std::int64_t>(0, sum + 1);
    const std::int64_t large = *rc::gen::inRange<std::int64_t>(small, sum + 1);
    const std::string key = *any_key();
    const auto split = [&](std::int64_t weight) {
      const json::Object input{{"cat", json::Array{key, json::Object{{"var", "targetingKey"}}}}};
      const json::Object rule{
          {"fractional", json::Array{input, json::Array{"in", weight}, json::Array{"out", sum - weight}}}};
      return json::Object{{key, json::Object{{"state", "ENABLED"},
                                             {"variants", json::Object{{"in", 1}, {"out", 2}}},
                                             {"targeting", rule}}}};
    };
    for (const int version : {2, 3}) {
      const json::Object metadata{{"poundlock.fractional", version}};
      const auto then = compiled(split(small), metadata);
      const auto now = compiled(split(large), metadata);
      for (int i = 0; i < 200; ++i) {
        const std::string name = std::to_string(i) + key;
        const User user(name);
        const auto before = answer(*then, key, user);
        RC_ASSERT(before == "in" || before == "out");
        if (before == "in") RC_ASSERT(answer(*now, key, user) == "in");
        if (small == 0) RC_ASSERT(before == "out");
        if (large == sum) RC_ASSERT(answer(*now, key, user) == "in");
      }
    }
  }));
}

constexpr int kKeys = 1'000'000;

// Chi-square with three degrees of freedom exceeds 30.7 once in a million fair hashes.
TEST(Property, SharesOfAMillionKeysAreWhatTheWeightsSay) {
  const json::Array weights{json::Array{"a", 1}, json::Array{"b", 9}, json::Array{"c", 40},
                            json::Array{"d", 50}};
  json::Array operands{json::Object{{"cat", json::Array{"shares", json::Object{{"var", "targetingKey"}}}}}};
  operands.insert(operands.end(), weights.begin(), weights.end());
  for (const int version : {2, 3}) {
    const auto snapshot =
        compiled({{"f", json::Object{{"state", "ENABLED"},
                                     {"variants", {{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}}},
                                     {"targeting", json::Object{{"fractional", operands}}}}}},
                 {{"poundlock.fractional", version}});
    ASSERT_NE(snapshot, nullptr);
    double seen[4] = {};
    for (int i = 0; i < kKeys; ++i) {
      const std::string key = "customer-" + std::to_string(i);
      const auto name = answer(*snapshot, "f", User(key));
      ASSERT_EQ(name.size(), 1u);
      ++seen[name[0] - 'a'];
    }
    double chi_square = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const double expected = weights[i].as_array()[1].to_number<double>() / 100 * kKeys;
      chi_square += (seen[i] - expected) * (seen[i] - expected) / expected;
    }
    EXPECT_LT(chi_square, 30.7) << "version " << version;
  }
}

// A share further than 4.9 standard deviations off happens once in a million fair hashes.
TEST(Property, ARolloutLetsInThePercentageOfAMillionKeys) {
  for (const double percentage : {0.01, 1.0, 12.34, 50.0, 99.99}) {
    RolloutFlag rollout;
    rollout.key = "shares_of_a_rollout";
    rollout.reached = Stage::kLive;
    rollout.percentage = percentage;
    const auto flags = compile_rollout_flag(rollout);
    ASSERT_TRUE(flags);
    const auto snapshot = compiled(*flags);
    const int keys = kKeys / 5;  // a million over the five
    int in = 0;
    for (int i = 0; i < keys; ++i) {
      const std::string key = std::to_string(i * 7919);
      in += answer(*snapshot, rollout.key, User(key)) == "on" ? 1 : 0;
    }
    const double share = percentage / 100;
    EXPECT_LT(std::fabs(in - share * keys), 4.9 * std::sqrt(keys * share * (1 - share)) + 1) << percentage;
  }
}

long resident_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

TEST(BadInput, DeepNestingIsRefusedInLittleMemory) {
  const std::string open(200'000, '[');
  const std::string objects = [] {
    std::string text;
    for (int i = 0; i < 200'000; ++i) text += R"({"!":)";
    return text;
  }();
  const long before = resident_mib();
  const auto code = [](const std::string& text, const char* file) {
    const auto definition = parse_definition(text, file);
    return definition ? std::string("accepted") : definition.error().code;
  };
  EXPECT_EQ(code(open, "f.json"), "json.depth");
  EXPECT_EQ(code(objects, "f.json"), "json.depth");
  EXPECT_EQ(code(open, "f.yaml"), "yaml.depth");
  EXPECT_EQ(
      code(R"({"flags": {"f": {"state": "ENABLED", "variants": {"a": 1}, "targeting": )" + open, "f.json"),
      "json.depth");
  EXPECT_EQ(code(std::string(5 << 20, ' '), "f.json"), "json.size");
  EXPECT_LT(resident_mib() - before, 64);
}

TEST(BadInput, WeightsThatOverflowGiveTheDefault) {
  for (const char* weights : {R"(["a", 1e300], ["b", 1])", R"(["a", 2147483647], ["b", 1])",
                              R"(["a", 18446744073709551615], ["b", 18446744073709551615])",
                              R"(["a", -1], ["b", 0])", R"(["a", 0.5], ["b", 1])"}) {
    const std::string text =
        std::string(
            R"({"flags": {"f": {"state": "ENABLED", "variants": {"a": 1, "b": 2}, "defaultVariant": "b",
        "targeting": {"fractional": ["x", )") +
        weights + "]}}}}";
    const auto definition = parse_definition(text, "f.json");
    ASSERT_TRUE(definition) << definition.error().to_string();
    const auto snapshot = compiled(definition->flags);  // what is resolved points into it
    const Resolution got = snapshot->evaluate("f", User("u"), 0);
    EXPECT_EQ(got.reason, Reason::kDefault) << weights;
    EXPECT_EQ(got.variant->name, "b") << weights;
  }
}

TEST(BadInput, KeysThatAreNoUtf8AreRefusedWithTheirPlace) {
  for (const char* file : {"f.json", "f.yaml"}) {
    const auto definition = parse_definition("{\"flags\": {\"a\xff\": {}}}", file);
    ASSERT_FALSE(definition);
    EXPECT_EQ(definition.error().to_string(), std::string(file) + ":1:14: invalid UTF-8");
  }
}

}  // namespace
}  // namespace poundlock::flag
