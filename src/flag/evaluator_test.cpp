// The evaluator on vectors of our own: every operator, every way a flag can be answered.
#include <gtest/gtest.h>

#include "base/json.h"
#include "flag/snapshot.h"

namespace poundlock::flag {
namespace {

std::shared_ptr<const Snapshot> snapshot_of(const std::string& document) {
  auto snapshot = Snapshot::compile(document, "test");
  EXPECT_TRUE(snapshot) << snapshot.error().to_string();
  return snapshot ? *snapshot : nullptr;
}

// A flag whose variants are named as results are: the variant tells what the rule answered.
std::string answer(const std::string& rule, const std::string& context = "{}") {
  const std::string document =
      R"({"flags": {"f": {"state": "ENABLED", "defaultVariant": "fallback",
         "variants": {"true": 1, "false": 2,
         "fallback": 3, "a": 4, "b": 5, "c": 6, "7": 7, "0.5": 8}, "targeting": )" +
      rule + "}}}";
  auto snapshot = snapshot_of(document);
  if (!snapshot) return "refused";
  auto parsed = json::parse(context, "context");
  EXPECT_TRUE(parsed);
  const Resolution got = snapshot->evaluate("f", JsonAttributes(parsed->as_object()), 1000);
  if (got.reason == Reason::kError) return to_string(got.error);
  if (got.reason == Reason::kDefault) return "default";
  return got.variant->name;
}

struct Vector {
  const char* rule;
  const char* context;
  const char* expected;
};

const Vector kVectors[] = {
    {R"({"if": [{"var": "x"}, "a", "b"]})", R"({"x": true})", "a"},
    {R"({"if": [{"var": "x"}, "a", "b"]})", R"({})", "b"},
    {R"({"if": [false, "a", 0, "b", "c"]})", "{}", "c"},
    {R"({"if": [false, "a"]})", "{}", "default"},
    {R"({"==": [{"var": "n"}, "7"]})", R"({"n": 7})", "true"},
    {R"({"==": [{"var": "n"}, 0]})", R"({"n": null})", "false"},
    {R"({"===": [{"var": "n"}, "7"]})", R"({"n": 7})", "false"},
    {R"({"!=": [{"var": "n"}, 7]})", R"({"n": 8})", "true"},
    {R"({"!==": [{"var": "n"}, "7"]})", R"({"n": 7})", "true"},
    {R"({"!": [{"var": "n"}]})", R"({"n": 0})", "true"},
    {R"({"!!": [{"var": "n"}]})", R"({"n": []})", "false"},
    {R"({"and": [true, {"var": "n"}]})", R"({})", "default"},
    {R"({"!!": [{"and": [true, {"var": "n"}]}]})", R"({})", "false"},
    {R"({"or": [false, {"var": "n"}]})", R"({"n": "a"})", "a"},
    {R"({"<": [1, {"var": "n"}, 5]})", R"({"n": 3})", "true"},
    {R"({"<": [1, {"var": "n"}, 5]})", R"({"n": 5})", "false"},
    {R"({"<=": [{"var": "n"}, 5]})", R"({"n": 5})", "true"},
    {R"({">": ["b", "a"]})", "{}", "true"},
    {R"({">=": [{"var": "n"}, "x"]})", R"({"n": 1})", "false"},
    {R"({"+": [3, "4"]})", "{}", "7"},
    {R"({"-": [10, 3]})", "{}", "7"},
    {R"({"*": [3.5, 2]})", "{}", "7"},
    {R"({"/": [1, 2]})", "{}", "0.5"},
    {R"({"%": [17, 10]})", "{}", "7"},
    {R"({"min": [9, 7, 8]})", "{}", "7"},
    {R"({"max": [5, 7, 6]})", "{}", "7"},
    {R"({"+": [1, null]})", "{}", "PARSE_ERROR"},
    // Text as Go's strconv.ParseFloat reads it.
    {R"({"+": ["+5", 2]})", "{}", "7"},
    {R"({"+": ["++5", 7]})", "{}", "7"},
    {R"({"+": ["+-5", 7]})", "{}", "7"},
    {R"({"+": ["1e-999", "-0.0001e-400", 7]})", "{}", "7"},
    {R"({"<": [1e308, {"*": [1, "1e999"]}]})", "{}", "true"},
    {R"({">": [-1e308, {"*": [1, "-0.01e99999999999999999999"]}]})", "{}", "true"},
    {R"({"+": ["0.00000000001e-330", "100e-99999999999999999999", 7]})", "{}", "7"},
    {R"({"cat": ["", {"var": "x"}, " "]})", R"({"x": "a"})", "a"},
    {R"({"cat": [{"var": "x"}]})", R"({"x": true})", "PARSE_ERROR"},
    {R"({"substr": ["xaz", 1, 1]})", "{}", "a"},
    {R"({"substr": ["xé", -1]})", "{}", "GENERAL"},
    {R"({"==": [{"substr": ["xé", -1]}, "é"]})", "{}", "true"},
    {R"({"in": ["b", ["a", "b"]]})", "{}", "true"},
    {R"({"in": ["nd", "index"]})", "{}", "true"},
    {R"({"in": [7, "index"]})", "{}", "PARSE_ERROR"},
    {R"({"in": ["a", {"merge": ["a", ["b"]]}]})", "{}", "true"},
    {R"({"in": ["int", {"merge": [{"var": "c"}]}]})", R"({"c": "internal"})", "false"},
    {R"({"starts_with": [{"var": "x"}, "ab"]})", R"({"x": "abc"})", "true"},
    {R"({"starts_with": [{"var": "x"}, "ab"]})", R"({"x": 7})", "default"},
    {R"({"ends_with": [{"var": "x"}, "bc"]})", R"({"x": "abc"})", "true"},
    {R"({"var": ["x", "b"]})", "{}", "b"},
    {R"({"var": "u.l.1"})", R"({"u": {"l": ["c", "a"]}})", "a"},
    {R"({"==": [{"var": "$flagd.timestamp"}, 1000]})", R"({"$flagd": {"timestamp": 1}})", "true"},
    {R"({"==": [{"var": "$flagd.flagKey"}, "f"]})", R"({"$flagd": {"flagKey": "g"}})", "true"},
    {R"({"!!": [{"missing": ["x", "y"]}]})", R"({"x": 1})", "true"},
    {R"({"!!": [{"missing_some": [1, ["x", "y"]]}]})", R"({"x": 1})", "false"},
    {R"({"all": [{"var": "l"}, {">": [{"var": ""}, 0]}]})", R"({"l": []})", "false"},
    {R"({"none": [{"var": "l"}, {">": [{"var": ""}, 5]}]})", R"({"l": [1]})", "true"},
    {R"({"some": [{"filter": [{"var": "l"}, {">": [{"var": ""}, 2]}]}, {"==": [{"var": ""}, 5]}]})",
     R"({"l": [1, 5]})", "true"},
    {R"({"sem_ver": [{"var": "v"}, ">=", "1.2"]})", R"({"v": "v1.10.0"})", "true"},
    {R"({"sem_ver": [{"var": "v"}, "<", "2.0.0"]})", R"({"v": "2.0.0-rc.1"})", "true"},
    {R"({"sem_ver": [{"var": "v"}, "^", "2.0.0"]})", R"({"v": "2.9.9+build"})", "true"},
    {R"({"sem_ver": [{"var": "v"}, "~", "2.1.0"]})", R"({"v": "2.2.0"})", "false"},
    {R"({"sem_ver": [{"var": "v"}, "=", "1.0.0"]})", R"({"v": "01.0.0"})", "default"},
    {R"({"fractional": [{"var": "id"}, ["a", 0], ["b", 1]]})", R"({"id": "x"})", "b"},
    {R"({"fractional": [["a", 1]]})", R"({"targetingKey": "u"})", "a"},
    {R"({"fractional": [["a", 1]]})", R"({})", "default"},
    {R"({"fractional": [["a", 1]]})", R"({"targetingKey": 7})", "default"},
    {R"({"fractional": ["x", ["a", 1.5], ["b", 1]]})", "{}", "default"},
    {R"({"fractional": ["x", ["a", 2147483647], ["b", 1]]})", "{}", "default"},
    {R"({"fractional": ["x", ["a", -5], ["b", 1]]})", "{}", "b"},
    // murmur3("hello", seed 0) = 613153351, so 613153351 * 100 >> 32 = 14.
    {R"({"fractional": ["hello", ["a", 14], ["b", 86]]})", "{}", "b"},
    {R"({"fractional": ["hello", ["a", 15], ["b", 85]]})", "{}", "a"},
    {R"({"no_such": []})", "{}", "PARSE_ERROR"},
    {R"({"a": 1, "b": 2})", "{}", "GENERAL"},
    {R"("nowhere")", "{}", "GENERAL"},
    {"{}", "{}", "fallback"},
};

TEST(Evaluator, OperatorsAnswerAsJsonLogicDoes) {
  for (const Vector& vector : kVectors) {
    SCOPED_TRACE(std::string(vector.rule) + " with " + vector.context);
    EXPECT_EQ(answer(vector.rule, vector.context), vector.expected);
  }
}

TEST(Evaluator, ReduceSumsWhatMapMade) {
  EXPECT_EQ(answer(R"({"==": [6, {"reduce": [{"map": [{"var": "l"}, {"+": [{"var": ""}, 1]}]},
                      {"+": [{"var": "current"}, {"var": "accumulator"}]}, 0]}]})",
                   R"({"l": [1, 3]})"),
            "true");
}

TEST(Evaluator, EveryOperatorsExampleCompiles) {
  for (const Operator* op : all_operators()) {
    SCOPED_TRACE(std::string(op->name));
    EXPECT_NE(answer(std::string(op->example)), "refused");
    EXPECT_NE(std::string(op->example).find("\"" + std::string(op->name) + "\""), std::string::npos);
    EXPECT_FALSE(op->summary.empty());
  }
  EXPECT_GE(all_operators().size(), 35u);
}

TEST(Evaluator, NestedListOperatorsAreBounded) {
  std::string list = "[0";
  for (int i = 1; i < 1000; ++i) list += ",0";
  list += "]";
  const std::string rule = R"({"all": [{"var": "l"}, {"all": [)" + list + R"(, {"==": [{"var": ""}, 0]}]}]})";
  EXPECT_EQ(answer(rule, R"({"l": )" + list + "}"), "GENERAL");
}

TEST(Snapshot, RefusesWhatIsNoDocument) {
  const std::pair<const char*, const char*> documents[] = {
      {"[]", "flag.document"},
      {R"({"flags": {"f": {"variants": {"on": true}}}})", "json.missing_key"},
      {R"({"flags": {"f": {"state": "on", "variants": {"on": true}}}})", "flag.state"},
      {R"({"flags": {"f": {"state": "ENABLED", "variants": {}}}})", "flag.variants"},
      {R"({"flags": {"f": {"state": "ENABLED", "variants": {"on": true, "x": 1}}}})", "flag.variants"},
      {R"({"flags": {"f": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "off"}}})",
       "flag.default"},
      {R"({"flags": {"f": {}, "f": {}}})", "json.duplicate_key"},
      {R"({"flags": {}, "metadata": {"epoch": -1}})", "json.range"},
      {"{", "json.syntax"},
  };
  for (const auto& [document, code] : documents) {
    auto snapshot = Snapshot::compile(document, "test");
    ASSERT_FALSE(snapshot) << document;
    EXPECT_EQ(snapshot.error().code, code) << document << ": " << snapshot.error().to_string();
  }
}

TEST(Snapshot, RefusesWhatIsOverALimit) {
  Limits limits;
  limits.flags_max = 1;
  const char* two = R"({"flags": {"f": {"state": "ENABLED", "variants": {"on": true}},
                                  "g": {"state": "ENABLED", "variants": {"on": true}}}})";
  EXPECT_FALSE(Snapshot::compile(two, "test", limits));
  limits = {};
  limits.bytes_max = 20;
  EXPECT_FALSE(Snapshot::compile(two, "test", limits));
}

TEST(Snapshot, KeepsRevisionAndReportsProblemsOfSingleFlags) {
  auto snapshot = snapshot_of(R"({"metadata": {"epoch": 3, "revision": 17}, "flags": {
      "good": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"},
      "bad": {"state": "ENABLED", "variants": {"on": true}, "targeting": {"iff": [true, "on"]}},
      "lost": {"state": "ENABLED", "variants": {"on": true}, "targeting": {"if": [true, "onn"]}},
      "odd": {"state": "ENABLED", "variants": {"on": true}, "defaultVarient": "on"}}})");
  ASSERT_NE(snapshot, nullptr);
  EXPECT_EQ(snapshot->revision(), (Revision{3, 17}));
  EXPECT_EQ(snapshot->problems().size(), 3u);
  const boost::json::object empty;
  const JsonAttributes nobody(empty);
  EXPECT_EQ(snapshot->evaluate("good", nobody, 0).reason, Reason::kStatic);
  EXPECT_EQ(snapshot->evaluate("bad", nobody, 0).error, ErrorCode::kParseError);
  EXPECT_EQ(snapshot->evaluate("none", nobody, 0).error, ErrorCode::kFlagNotFound);
  EXPECT_EQ(expect_type(snapshot->evaluate("good", nobody, 0), VariantType::kString).error,
            ErrorCode::kTypeMismatch);
}

TEST(Snapshot, ReferencesCannotUnfoldWithoutBound) {
  std::string body = "[0";
  for (int i = 0; i < 5000; ++i) body += ",0";
  std::string rule = "[0";
  for (int i = 0; i < 5000; ++i) rule += R"(,{"$ref":"e"})";
  auto snapshot = snapshot_of(R"({"$evaluators": {"e": )" + body + R"(]}, "flags": {"f": {"state": "ENABLED",
      "variants": {"on": true}, "targeting": {"in": [0, )" +
                              rule + "]]}}}}");
  ASSERT_NE(snapshot, nullptr);
  EXPECT_EQ(snapshot->problems().size(), 1u);
}

// As Go's evaluator names them: JSON without quotes.
TEST(Snapshot, ResultsThatAreNoTextNameVariantsByTheirJson) {
  auto snapshot = snapshot_of(R"({"flags": {"f": {"state": "ENABLED", "targeting": {"var": "x"},
      "variants": {"[1,{a:b,c:null}]": 1, "1e+21": 2, "1e-7": 3, "q\\q": 4, "q\"q": 5,
      "a<b": 6, "\\u0026": 7, "&": 8}}}})");
  ASSERT_NE(snapshot, nullptr);
  const auto number = [&](const char* context) {
    auto json = json::parse(context, "context");
    EXPECT_TRUE(json);
    const Resolution got = snapshot->evaluate("f", JsonAttributes(json->as_object()), 0);
    return got.variant == nullptr ? 0.0 : got.variant->value.as_number();
  };
  EXPECT_EQ(number(R"({"x": [1, {"c": null, "a": "b"}]})"), 1);
  EXPECT_EQ(number(R"({"x": 1e21})"), 2);
  EXPECT_EQ(number(R"({"x": 1e-7})"), 3);
  EXPECT_EQ(number(R"({"x": "q\"q"})"), 4);
  EXPECT_EQ(number(R"({"x": "a<b"})"), 6);
  EXPECT_EQ(number(R"({"x": "&"})"), 7);
  EXPECT_EQ(number(R"({"x": "[1"})"), 0);
  const json::Object large{{"x", json::Array(2000, 1)}};
  EXPECT_EQ(snapshot->evaluate("f", JsonAttributes(large), 0).error, ErrorCode::kGeneral);
}

TEST(Evaluator, AListInsideAListIsARange) {
  auto snapshot = snapshot_of(R"({"flags": {"f": {"state": "ENABLED",
      "variants": {"true": true, "false": false}, "targeting": {"in": [{"var": "x"}, [[10, 20], 5]]}}}})");
  ASSERT_NE(snapshot, nullptr);
  const auto in = [&](const json::Object& context) {
    return snapshot->evaluate("f", JsonAttributes(context), 0);
  };
  EXPECT_EQ(in({{"x", 15}}).variant->name, "true");
  EXPECT_EQ(in({{"x", 5}}).variant->name, "true");
  EXPECT_EQ(in({{"x", 21}}).variant->name, "false");
  EXPECT_EQ(in({{"x", true}}).error, ErrorCode::kParseError);
}

// The text in front of the targeting key is hashed when the flag is compiled, where the rule allows it; a
// second operand of `var` keeps the other rule away from that. Both have to answer alike, always.
TEST(Fractional, AHashedPrefixChangesNoAnswer) {
  const std::string buckets = R"(["a", 30], ["b", 30], ["c", 40]]})";
  const std::string contexts[] = {R"({})",
                                  R"({"targetingKey": ""})",
                                  R"({"targetingKey": null})",
                                  R"({"targetingKey": 7})",
                                  R"({"targetingKey": " "})",
                                  R"({"targetingKey": "x "})",
                                  R"({"targetingKey": " x"})",
                                  R"({"targetingKey": true})",
                                  R"({"targetingKey": ["x"]})"};
  for (const std::string prefix : {"k", "key", "key4", "key45", " key", "key ", ""}) {
    const std::string begin = R"({"fractional": [{"cat": [")" + prefix + R"(", {"var": )";
    const std::string fast = begin + R"("targetingKey"}]}, )" + buckets;
    const std::string general = begin + R"(["targetingKey", null]}]}, )" + buckets;
    for (const auto& context : contexts)
      EXPECT_EQ(answer(fast, context), answer(general, context)) << "'" << prefix << "' " << context;
    for (int user = 0; user < 200; ++user) {
      const std::string context = R"({"targetingKey": "customer-)" + std::to_string(user) + R"("})";
      EXPECT_EQ(answer(fast, context), answer(general, context)) << "'" << prefix << "' " << context;
    }
  }
}

}  // namespace
}  // namespace poundlock::flag
