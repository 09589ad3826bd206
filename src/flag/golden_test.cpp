// The evaluator against vectors whose answers come from flagd's own evaluators. The folder is named by
// POUNDLOCK_GOLDEN; where it is absent the test says so and skips (evaluator_test.cpp covers the ground).
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/json.h"
#include "flag/snapshot.h"

namespace poundlock::flag {
namespace {

std::string golden_folder() {
  const char* folder = std::getenv("POUNDLOCK_GOLDEN");
  return folder != nullptr ? folder : std::string(POUNDLOCK_SOURCE_DIR) + "/../shared/golden";
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

VariantType type_named(std::string_view name) {
  if (name == "boolean") return VariantType::kBool;
  if (name == "number") return VariantType::kNumber;
  return name == "object" ? VariantType::kObject : VariantType::kString;
}

TEST(Golden, FlagdVersionTwoVectors) {
  const std::string flags = read_file(golden_folder() + "/flagd_v2_flags.json");
  if (flags.empty()) GTEST_SKIP() << "no golden vectors in " << golden_folder();
  auto snapshot = Snapshot::compile(flags, "flagd_v2_flags.json");
  ASSERT_TRUE(snapshot) << snapshot.error().to_string();
  auto cases = json::parse(read_file(golden_folder() + "/flagd_v2_cases.json"), "cases");
  ASSERT_TRUE(cases) << cases.error().to_string();
  int checked = 0;
  for (const json::Value& item : cases->at("cases").as_array()) {
    const json::Object& one = item.as_object();
    const json::Object& expect = one.at("expect").as_object();
    SCOPED_TRACE(json::dump(item));
    const JsonAttributes context(one.at("context").as_object());
    const std::string key(one.at("flagKey").as_string());
    const Resolution got = expect_type((*snapshot)->evaluate(key, context, 1'790'000'000),
                                       type_named(one.at("type").as_string()));
    EXPECT_EQ(to_string(got.reason), std::string(expect.at("reason").as_string()));
    const auto* variant = expect.if_contains("variant");
    ASSERT_EQ(got.variant != nullptr, variant != nullptr);
    if (variant != nullptr) {
      EXPECT_EQ(got.variant->name, std::string(variant->as_string()));
      EXPECT_EQ(got.variant->json, expect.at("value"));
    }
    const auto* code = expect.if_contains("errorCode");
    EXPECT_EQ(to_string(got.error), code == nullptr ? std::string() : std::string(code->as_string()));
    if (got.flag != nullptr) {
      EXPECT_EQ(json::Value(got.flag->metadata), expect.at("metadata"));
    }
    ++checked;
  }
  EXPECT_GT(checked, 100);
}

TEST(Golden, FractionalVersionThreeVectors) {
  const std::string flags = read_file(golden_folder() + "/fractional_v3_flags.json");
  if (flags.empty()) GTEST_SKIP() << "no golden vectors in " << golden_folder();
  auto document = json::parse(flags, "flags");
  ASSERT_TRUE(document);
  document->as_object()["metadata"] = {{"poundlock.fractional", 3}};
  auto snapshot = Snapshot::compile(json::dump(*document), "fractional_v3_flags.json");
  ASSERT_TRUE(snapshot) << snapshot.error().to_string();
  auto cases = json::parse(read_file(golden_folder() + "/fractional_v3_cases.json"), "cases");
  ASSERT_TRUE(cases) << cases.error().to_string();
  int checked = 0;
  for (const json::Value& item : cases->at("cases").as_array()) {
    SCOPED_TRACE(json::dump(item));
    const JsonAttributes context(item.at("context").as_object());
    const Resolution got = (*snapshot)->evaluate(std::string(item.at("flagKey").as_string()), context, 0);
    ASSERT_NE(got.variant, nullptr);
    EXPECT_EQ(got.variant->name, std::string(item.at("expect").at("variant").as_string()));
    EXPECT_EQ(to_string(got.reason), std::string(item.at("expect").at("reason").as_string()));
    ++checked;
  }
  EXPECT_GT(checked, 100);
}

// Where the JavaScript and the Go evaluator disagree we follow Go.
TEST(Golden, DisagreementsAreSettledAsTheGoEvaluatorDoes) {
  const std::string text = read_file(golden_folder() + "/divergent_js_go.json");
  if (text.empty()) GTEST_SKIP() << "no golden vectors in " << golden_folder();
  auto snapshot = Snapshot::compile(text, "divergent", {});
  ASSERT_TRUE(snapshot) << snapshot.error().to_string();
  auto document = json::parse(text, "divergent");
  ASSERT_TRUE(document);
  for (const json::Value& item : document->at("cases").as_array()) {
    const json::Object& one = item.as_object();
    SCOPED_TRACE(json::dump(item));
    const json::Object& go = one.at("go").as_object();
    const JsonAttributes context(one.at("context").as_object());
    const Resolution got = (*snapshot)->evaluate(std::string(one.at("flagKey").as_string()), context, 0);
    EXPECT_EQ(to_string(got.reason), std::string(go.at("reason").as_string()));
    if (const auto* code = go.if_contains("errorCode")) {
      EXPECT_EQ(to_string(got.error), std::string(code->as_string()));
    } else {
      ASSERT_NE(got.variant, nullptr);
      EXPECT_EQ(got.variant->name, std::string(go.at("variant").as_string()));
    }
  }
}

}  // namespace
}  // namespace poundlock::flag
