// The JSON Schemas for editors must know every key that the parsers accept, and no other: an editor that
// underlines a right key is as bad as one that completes a wrong one.
#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <fstream>
#include <set>
#include <sstream>

#include "base/json.h"
#include "lint/config.h"
#include "rollout/config.h"
#include "rollout/gate.h"
#include "rollout/spec.h"

namespace poundlock::rollout {
namespace {

using Keys = std::set<std::string>;

json::Value schema_of(const std::string& file) {
  std::ifstream stream(std::string(POUNDLOCK_SOURCE_DIR) + "/schemas/" + file);
  std::stringstream text;
  text << stream.rdbuf();
  auto parsed = json::parse(text.str(), file);
  EXPECT_TRUE(parsed) << parsed.error().to_string();
  return parsed ? *parsed : json::Value();
}

Keys keys_of(const json::Value& schema, std::string_view pointer) {
  Keys keys;
  boost::system::error_code code;
  const json::Value* object = schema.find_pointer(std::string(pointer) + "/properties", code);
  EXPECT_NE(object, nullptr) << pointer;
  if (!object) return keys;
  for (const auto& entry : object->as_object()) keys.emplace(entry.key());
  return keys;
}

// A key that resembles none makes the parser list those that it knows.
Keys keys_from(const Error& error) {
  Keys keys;
  constexpr std::string_view kPrefix = "known keys: ";
  EXPECT_EQ(error.code, "yaml.unknown_key") << error.to_string();
  EXPECT_TRUE(error.hint.starts_with(kPrefix)) << error.to_string();
  std::stringstream list(error.hint.substr(std::min(error.hint.size(), kPrefix.size())));
  for (std::string key; std::getline(list, key, ',');) keys.insert(key.substr(key.find_first_not_of(' ')));
  return keys;
}

Keys rollout_keys(std::string_view text) {
  const auto spec = parse_rollout(text, "r.yaml");
  EXPECT_FALSE(spec);
  return spec ? Keys{} : keys_from(spec.error());
}

Keys config_keys(std::string_view text) {
  const auto config =
      parse_config(text, "c.yaml", [](std::string_view) { return std::optional<std::string>(); });
  EXPECT_FALSE(config);
  return config ? Keys{} : keys_from(config.error());
}

std::string in_rollout(std::string_view from, std::string_view to) {
  std::string text(example_rollout());
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(EditorSchema, OfARolloutKnowsEveryKey) {
  const json::Value schema = schema_of("rollout.schema.json");
  EXPECT_EQ(keys_of(schema, ""), rollout_keys("qqqqqqqqqqqq: 1\n"));
  EXPECT_EQ(keys_of(schema, "/$defs/path"), rollout_keys(in_rollout("- name: by", "- qqqqqqqqqqqq: by")));
  EXPECT_EQ(keys_of(schema, "/$defs/flag"),
            rollout_keys(in_rollout("    enabled:", "    qqqqqqqqqqqqqqqqqqq:")));
  EXPECT_EQ(keys_of(schema, "/$defs/rule"), rollout_keys(in_rollout("- {context:", "- {qqqqqqqqqqqq:")));
  EXPECT_EQ(keys_of(schema, "/properties/windows"), rollout_keys(in_rollout("{overlap:", "{qqqqqqqqqqqq:")));
  EXPECT_EQ(keys_of(schema, "/$defs/gate"),
            rollout_keys(in_rollout("gates: {}", "gates: {error_rate: {qqqqqqqqqqqq: 1}}")));
  EXPECT_EQ(keys_of(schema, "/$defs/every_gate"),
            rollout_keys(in_rollout("gates: {}", "gates: {all: {qqqqqqqqqqqq: 1}}")));
}

TEST(EditorSchema, OfARolloutKnowsEveryOperationWithItsKeys) {
  const json::Value schema = schema_of("rollout.schema.json");
  Keys operations;
  for (const change::OperationKind* kind : change::all_operations()) {
    operations.emplace(kind->name);
    std::string text = "rollout: r\nchange:\n  - " + std::string(kind->name) + ":\n";
    std::stringstream example{std::string(kind->example)};
    for (std::string line; std::getline(example, line);) text += "      " + line + "\n";
    text += "      qqqqqqqqqqqqqqqqqqqq: 1\n";
    EXPECT_EQ(keys_of(schema, "/$defs/operation/properties/" + std::string(kind->name)), rollout_keys(text));
  }
  EXPECT_EQ(keys_of(schema, "/$defs/operation"), operations);
}

TEST(EditorSchema, OfTheConfigurationKnowsEveryKey) {
  const json::Value schema = schema_of("poundlock.schema.json");
  EXPECT_EQ(keys_of(schema, ""), config_keys("qqqqqqqqqqqqqqqqqqqqqqqq: 1\n"));
  const auto database = [](const std::string& body) {
    return "environments: {a: {databases: {b: " + body + "}}}\n";
  };
  EXPECT_EQ(keys_of(schema, "/$defs/environment"), config_keys("environments: {a: {qqqqqqqqqqqq: 1}}\n"));
  EXPECT_EQ(keys_of(schema, "/$defs/database"), config_keys(database("{qqqqqqqqqqqqqqqqqqqq: 1}")));
  EXPECT_EQ(keys_of(schema, "/$defs/replica"),
            config_keys(database("{url: postgres://a, replicas: [{qqqqqqqqqqqqqqqqqqqq: 1}]}")));
  EXPECT_EQ(keys_of(schema, "/$defs/shadow"),
            config_keys(database("{url: postgres://a, shadow: {qqqqqqqqqqqqqqqqqqqq: 1}}")));
  EXPECT_EQ(keys_of(schema, "/$defs/server"),
            config_keys(database("{url: postgres://a}") + "server: {qqqqqqqqqqqq: 1}\n"));
}

TEST(EditorSchema, OfTheLinterKnowsEveryKeyInBothPlaces) {
  const json::Value whole = schema_of("poundlock.schema.json");
  const json::Value own = schema_of("lint.schema.json");
  const std::string environments = "environments: {a: {databases: {b: {url: postgres://a}}}}\n";
  EXPECT_EQ(keys_of(whole, "/$defs/lint"), config_keys(environments + "lint: {qqqqqqqqqqqqqqqqqqqqq: 1}\n"));
  const auto settings =
      lint::parse_settings("rules: {truncate: {severity: error, qqqqqqqqqqqqqq: 1}}\n", "l");
  ASSERT_FALSE(settings);
  boost::system::error_code code;
  const json::Value* rule = own.find_pointer("/$defs/lint_rule/oneOf/1", code);
  ASSERT_NE(rule, nullptr);
  EXPECT_EQ(keys_of(*rule, ""), keys_from(settings.error()));
  EXPECT_EQ(own.at("properties"), whole.at("$defs").at("lint").at("properties"));
  EXPECT_EQ(own.at("$defs").at("lint_rule"), whole.at("$defs").at("lint_rule"));
}

// Every key of the example is where the schema expects one.
void expect_known(const json::Value& schema, const json::Value& rule, const yaml::Node& node,
                  std::string path) {
  if (const json::Value* ref = json::find(rule.as_object(), "$ref")) {
    boost::system::error_code code;
    const json::Value* target = schema.find_pointer(std::string_view(ref->as_string()).substr(1), code);
    ASSERT_NE(target, nullptr) << path;
    return expect_known(schema, *target, node, path);
  }
  if (const json::Value* any = json::find(rule.as_object(), "oneOf");
      any && !rule.as_object().contains("type")) {
    const std::size_t pick = node.kind == yaml::Kind::kMapping ? 1 : 0;
    return expect_known(schema, any->as_array()[pick], node, path);
  }
  for (const yaml::Node& item : node.items) expect_known(schema, rule.at("items"), item, path + "[]");
  for (const auto& [key, value] : node.entries) {
    const json::Value* properties = json::find(rule.as_object(), "properties");
    const json::Value* next = properties ? json::find(properties->as_object(), key.scalar) : nullptr;
    if (!next) next = json::find(rule.as_object(), "additionalProperties");
    ASSERT_TRUE(next && next->is_object()) << path << "." << key.scalar;
    expect_known(schema, *next, value, path + "." + key.scalar);
  }
}

TEST(EditorSchema, TheExamplesFitTheirSchemas) {
  const json::Value rollout = schema_of("rollout.schema.json");
  const json::Value config = schema_of("poundlock.schema.json");
  expect_known(rollout, rollout, *yaml::parse(example_rollout(), "r.yaml"), "rollout");
  expect_known(config, config, *yaml::parse(example_config(), "c.yaml"), "config");
}

}  // namespace
}  // namespace poundlock::rollout
