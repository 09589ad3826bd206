// A context in an OFREP body and the same as a tree of JSON (gRPC, command line) have to give equal answers.
#include "server/evaluation_body.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <map>
#include <random>

#include "base/json.h"
#include "flag/snapshot.h"

namespace poundlock::server {
namespace {

constexpr int kDepth = 3;

// JSON text, from a fixed seed: a member may come twice.
class Random {
 public:
  explicit Random(std::uint32_t seed) : bits_(seed) {}
  std::size_t below(std::size_t end) { return bits_() % end; }
  std::string any_of(std::initializer_list<const char*> texts) { return texts.begin()[below(texts.size())]; }

  std::string value(int depth) {
    const std::size_t kind = below(depth > 0 ? 8 : 5);
    if (kind == 0) return any_of({"null", "true", "false"});
    if (kind <= 2) return any_of({"0", "1", "-3", "0.1", "12345678901", "1e21", "2.5e-7", "7"});
    if (kind <= 4)
      return any_of({R"("")", R"("x")", R"("5")", R"("+5")", R"("1e999")", R"("a b")", R"("\u00e9")"});
    if (kind == 5) return list(depth - 1);
    return object(depth - 1);
  }
  std::string object(int depth) {
    std::string text = "{";
    // Some with so many members that they are searched by an index.
    const std::size_t count = below(10) == 0 ? 20 + below(10) : below(5);
    for (std::size_t i = 0; i < count; ++i) {
      text += (i > 0 ? "," : "") + any_of({R"("a":)", R"("b":)", R"("l":)", R"("")", R"("targetingKey":)"});
      if (text.ends_with(R"("")")) text += ':';
      text += value(depth);
    }
    return text + "}";
  }
  std::string list(int depth) {
    std::string text = "[";
    const std::size_t count = below(5);
    for (std::size_t i = 0; i < count; ++i) text += (i > 0 ? "," : "") + value(depth);
    return text + "]";
  }

  std::string var() {
    const std::string path = any_of({"a", "b", "l", "a.b", "a.a.l", "l.0", "b.1.a", "", "targetingKey"});
    return R"({"var": ")" + path + "\"}";
  }
  std::string rule(int depth) {
    // No object: a document's keys stand once.
    if (depth == 0) return below(3) == 0 ? "[" + value(0) + ", " + value(0) + "]" : var();
    const auto next = [&] { return rule(depth - 1); };
    const std::string name =
        any_of({"==", "===", "!=", "<", ">=", "+",     "-",  "*",      "max",         "cat",
                "in", "and", "or", "!", "!!", "merge", "if", "substr", "starts_with", "missing"});
    const std::string visitor = any_of({"some", "all", "none", "filter", "map"});
    switch (below(4)) {
      case 0: return "{\"" + visitor + "\": [" + var() + ", " + next() + "]}";
      case 1: return var();
      default: return "{\"" + name + "\": [" + next() + ", " + next() + "]}";
    }
  }

 private:
  std::mt19937 bits_;
};

// Its own result by its hash, so that two results differ in the variant; and whether it is true.
std::string document(const std::string& rule) {
  std::string buckets;
  std::string variants = R"("on": 0, "off": 0)";
  for (int i = 0; i < 64; ++i) {
    const std::string name = "\"" + std::to_string(i) + "\"";
    buckets += ", [" + name + ", 1]";
    variants += ", " + name + ": 0";
  }
  const std::string begin = R"({"state": "ENABLED", "variants": {)" + variants + R"(}, "targeting": )";
  return R"({"metadata": {"poundlock.fractional": 3}, "flags": {"hash": )" + begin + R"({"fractional": [)" +
         rule + buckets + R"(]}}, "truth": )" + begin + R"({"if": [)" + rule +
         R"(, "on", "off"]}}, "raw": )" + begin + rule + "}}}";
}

std::string answer(const flag::Snapshot& snapshot, const char* key, const flag::Attributes& attributes) {
  const flag::Resolution got = snapshot.evaluate(key, attributes, 1'000);
  return std::string(to_string(got.reason)) + " " + to_string(got.error) + " " +
         (got.variant == nullptr ? "" : got.variant->name);
}

TEST(EvaluationBody, AnswersAsATreeOfJsonDoes) {
  Random random(20261122);
  EvaluationBody body;
  std::map<std::string, int> seen;
  for (int i = 0; i < 400; ++i) {
    const std::string text = document(random.rule(kDepth));
    auto snapshot = flag::Snapshot::compile(text, "test");
    ASSERT_TRUE(snapshot) << snapshot.error().to_string() << text;
    for (int j = 0; j < 10; ++j) {
      const std::string context = random.object(kDepth);
      const std::string request = R"({"context": )" + context + "}";
      ASSERT_TRUE(body.read(request)) << request;
      const boost::json::value tree = boost::json::parse(context);
      for (const char* key : {"hash", "truth", "raw"}) {
        const std::string from_tree = answer(**snapshot, key, flag::JsonAttributes(tree.get_object()));
        ASSERT_EQ(answer(**snapshot, key, body), from_tree) << key << "\n" << context << "\n" << text;
        ++seen[from_tree];
      }
    }
  }
  EXPECT_GT(seen.size(), 50U) << "so many different answers that equal ones mean something";
}

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

// A rule asks for the same list again and again; what it may not see is a shorter one.
TEST(EvaluationBody, ALongListAskedForOftenGivesTheAnswerOfTheTree) {
  std::string groups;
  for (int i = 0; i < 30'000; ++i) groups += (i > 0 ? ",\"g" : "\"g") + std::to_string(i) + "\"";
  const std::string context = R"({"groups": [)" + groups + "]}";
  std::string rule = R"({"if": [)";
  for (int i = 0; i < 60; ++i)
    rule += R"({"in": ["no)" + std::to_string(i) + R"(", {"var": "groups"}]}, "off", )";
  rule += R"({"in": ["g29999", {"var": "groups"}]}, "on"]})";
  const std::string begin = R"({"flags": {"f": {"state": "ENABLED", "variants": {"on": 1, "off": 2}, )";
  auto snapshot = flag::Snapshot::compile(begin + R"("targeting": )" + rule + "}}}", "test");
  ASSERT_TRUE(snapshot);
  EvaluationBody body;
  const std::string request = R"({"context": )" + context + "}";
  ASSERT_TRUE(body.read(request));
  const boost::json::value tree = boost::json::parse(context);
  EXPECT_EQ(answer(**snapshot, "f", body), "TARGETING_MATCH  on");
  EXPECT_EQ(answer(**snapshot, "f", flag::JsonAttributes(tree.get_object())), "TARGETING_MATCH  on");
}

}  // namespace
}  // namespace poundlock::server
