// Warnings of rules that evaluators in other languages answer differently.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "base/json.h"
#include "flag/definition.h"

namespace poundlock::flag {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> warnings_of(const std::string& rule) {
  const std::string text = R"({"flags": {"f": {"state": "ENABLED", "variants": {"true": true, "false": false},
"targeting": )" + rule + "}}}";
  auto definition = parse_definition(text, "f.json");
  EXPECT_TRUE(definition) << definition.error().to_string();
  return definition ? definition->warnings : std::vector<std::string>();
}

TEST(Portability, EachConstructIsNamedWithItsLine) {
  const struct {
    const char* rule;
    const char* said;
  } cases[] = {
      {R"({"==": [{"var": "a"}, null]})", "f.json:2:14: flag 'f': '==' with null is not portable"},
      {R"({"!": [{"<=": [null, 1]}]})", "f.json:2:21: flag 'f': '<=' with null"},
      {R"({"==": [{"filter": [{"var": "xs"}, true]}, []]})", "'==' with a list or an object"},
      {R"({"==": [1]})", "'==' with 1 operand "},
      {R"({"<": [1, 2, 3, 4]})", "'<' with 4 operands"},
      {R"({">": [1, 2, 3]})", "'>' with 3 operands"},
      {R"({"==": [{"var": "a"}, " 1 "]})", "'==' with the text ' 1 '"},
      {R"({"==": [{"var": "a"}, "0x10"]})", "'==' with the text '0x10'"},
      {R"({"fractional": ["José", [true, 1]]})", "'fractional' by text outside ASCII"},
      {R"({"fractional": [{"cat": ["é", {"var": "id"}]}, [true, 1]]})", "'fractional' by text outside ASCII"},
      {R"({"fractional": [7, [true, 1]]})", "'fractional' by a number"},
      {R"({"fractional": [{"+": [{"var": "n"}, 1]}, [true, 1]]})", "'fractional' by a number"},
      {R"({"fractional": [[true, null]]})", "f.json:2:30: flag 'f': the weight null"},
      {R"({"fractional": [[true, 1, "x"]]})", "a share of more than two items"},
      {R"({"starts_with": [{"cat": [1e21]}, "1"]})", "'cat' of a number with an exponent"},
      {R"({"starts_with": [{"cat": ["a", true]}, "1"]})", "'cat' of null, true"},
      {R"({"==": [{"+": [{"var": "a"}, null]}, 3]})", "'+' of what is no number"},
      {R"({"==": [{"max": [{"var": "a"}, "10"]}, 3]})", "'max' of what is no number"},
      {R"({"==": [{"%": [7, 0]}, 3]})", "'%' by 0"},
      {R"({"in": [1, "123"]})", "'in' of this kind"},
      {R"({"in": [[1], [[1]]]})", "'in' of this kind"},
      {R"({"in": [{"var": "a"}, [1, [5, 9]]]})", "'in' a list of lists"},
      {R"({"sem_ver": [{"var": "v"}, "=", "vv1.0.0"]})", "the version 'vv1.0.0'"},
      {R"({"==": [{"var": "a.length"}, 3]})", "'a.length', a length to one evaluator"},
      {R"({"==": [{"substr": [5, 1]}, "b"]})", "'substr' of what is no text"},
      {R"({"all": ["abc", true]})", "'all' over what is no list"},
      {R"({"==": [1, 1], "!=": [1, 2]})", "an object with more than one operator"},
      {R"({"if": [true, [1]]})", "a list as a rule's answer"},
      {R"(true)", "a rule that is a constant"},
      {R"([{"var": "a"}])", "a list as a rule's answer"},
  };
  for (const auto& one : cases) EXPECT_THAT(warnings_of(one.rule), Contains(HasSubstr(one.said))) << one.rule;
}

TEST(Portability, OrdinaryRulesAreNotWarnedOf) {
  for (const char* rule : {
           R"({"<": [1, {"var": "a"}, 5]})",
           R"({"===": [{"var": "a"}, "1.5"]})",
           R"({"if": [{"missing": ["a", "b"]}, true, null]})",
           R"({"in": [{"var": "country"}, ["us", "ca"]]})",
           R"({"==": [{"cat": ["a-", {"var": "n"}, 5, 0.25]}, "a"]})",
           R"({"fractional": [{"cat": ["a", {"var": "targetingKey"}]}, [true, 25], [false]]})",
           R"({"all": [{"filter": [{"var": "xs"}, {">": [{"var": ""}, 1]}]}, {"var": ""}]})",
           R"({"sem_ver": [{"var": "v"}, ">=", "v1.2"]})",
       }) {
    EXPECT_THAT(warnings_of(rule), IsEmpty()) << rule;
  }
}

TEST(Portability, AnEvaluatorIsWarnedOfOnce) {
  auto definition = parse_definition(R"({"$evaluators": {"e": {"==": [{"var": "a"}, null]}}, "flags": {
    "a": {"state": "ENABLED", "variants": {"true": 1}, "targeting": {"$ref": "e"}},
    "b": {"state": "ENABLED", "variants": {"true": 1}, "targeting": {"$ref": "e"}}}})",
                                     "f.json");
  ASSERT_TRUE(definition);
  ASSERT_EQ(definition->warnings.size(), 1u);
  EXPECT_THAT(definition->warnings[0], HasSubstr("f.json:1:23: evaluator 'e': '==' with null"));
}

std::string golden(const std::string& name) {
  const char* folder = std::getenv("POUNDLOCK_GOLDEN");
  std::ifstream in((folder != nullptr ? folder : std::string(POUNDLOCK_SOURCE_DIR) + "/../shared/golden") +
                   name);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// The keys of a document's flags that are warned of.
std::set<std::string> warned(const std::string& text) {
  auto definition = parse_definition(text, "golden.json");
  EXPECT_TRUE(definition) << definition.error().to_string();
  std::set<std::string> keys;
  if (!definition) return keys;
  for (const std::string& line : definition->warnings) {
    if (line.find("not portable") == std::string::npos) continue;
    const std::size_t begin = line.find("flag '") + 6;
    keys.insert(line.substr(begin, line.find('\'', begin) - begin));
  }
  return keys;
}

TEST(Portability, WhatIsKnownToDivergeIsWarnedOf) {
  const std::string text = golden("/divergent_js_go.json");
  if (text.empty()) GTEST_SKIP() << "no golden vectors";
  // These differ only for some contexts: a name outside ASCII, null, text where a number belongs. Nothing in
  // their text tells them from rules that are answered alike.
  const std::set<std::string> by_context_only = {"x1",  "x2",  "x3",  "x11", "x12", "x15", "x18", "x19",
                                                 "x22", "x24", "x27", "x28", "x33", "x34", "x38", "x53"};
  const std::set<std::string> found = warned(text);
  auto document = json::parse(text, "golden");
  ASSERT_TRUE(document);
  for (const json::Value& item : document->at("cases").as_array()) {
    const std::string key(item.at("flagKey").as_string());
    EXPECT_EQ(found.contains(key), !by_context_only.contains(key))
        << key << " " << json::dump(document->at("flags").at(key).at("targeting"));
  }
}

TEST(Portability, WhatIsKnownToBePortableIsNot) {
  const std::string text = golden("/flagd_v2_flags.json");
  if (text.empty()) GTEST_SKIP() << "no golden vectors";
  EXPECT_THAT(warned(text), IsEmpty());
}

}  // namespace
}  // namespace poundlock::flag
