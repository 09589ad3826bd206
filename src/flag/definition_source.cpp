// A definition file as one JSON value with positions. JSON and YAML are told apart by the file's name, else
// by the first character.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/strings.h"
#include "flag/definition_parts.h"

namespace poundlock::flag::parts {
namespace {

constexpr std::size_t kYamlNodesMax = 500'000;

bool is_json(std::string_view text, std::string_view file) {
  if (file.ends_with(".json")) return true;
  if (file.ends_with(".yaml") || file.ends_with(".yml")) return false;
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string_view::npos || text[first] == '{' || text[first] == '[';
}

yaml::Limits yaml_limits(const Limits& limits) {
  return {limits.bytes_max, limits.rule_depth_max + 8, std::min(limits.bytes_max, kYamlNodesMax)};
}

// What YAML 1.2's core schema makes of a plain scalar; text where it is nothing else.
Result<json::Value> scalar(const yaml::Node& node) {
  const std::string& text = node.scalar;
  if (node.quoted) return json::Value(boost::json::string(text));
  if (const auto truth = node.as_bool(""); truth) return json::Value(*truth);
  const std::string_view digits = text.starts_with('+') ? std::string_view(text).substr(1) : text;
  const char* end = digits.data() + digits.size();
  const bool numeric = !digits.empty() && digits.find_first_not_of("-+.0123456789eE") == std::string::npos &&
                       digits.find_first_of("0123456789") != std::string::npos;
  if (!numeric) return json::Value(boost::json::string(text));
  std::int64_t whole = 0;
  if (const auto [stop, code] = std::from_chars(digits.data(), end, whole);
      code == std::errc{} && stop == end) {
    const std::size_t sign = digits.starts_with('-') ? 1 : 0;
    if (digits.size() > sign + 1 && digits[sign] == '0') {
      return fail(
          node.error("yaml.type", fmt::format("{} is octal to some readers of YAML", quote_for_message(text)))
              .with_hint("write the number without the leading zero, or quote it to make it text"));
    }
    return json::Value(whole);
  }
  double number = 0;
  const auto [stop, code] = std::from_chars(digits.data(), end, number);
  if (stop != end || code == std::errc::invalid_argument) return json::Value(boost::json::string(text));
  if (code != std::errc{} || !std::isfinite(number)) {
    return fail(node.error("yaml.range", fmt::format("no double holds {}", quote_for_message(text))));
  }
  return json::Value(number);
}

Result<json::Value> to_json(const yaml::Node& node) {
  switch (node.kind) {
    case yaml::Kind::kNull: return json::Value(nullptr);
    case yaml::Kind::kScalar: return scalar(node);
    case yaml::Kind::kSequence: {
      json::Array items;
      items.reserve(node.items.size());
      for (const yaml::Node& item : node.items) {
        PL_TRY(json::Value value, to_json(item));
        items.push_back(std::move(value));
      }
      return json::Value(std::move(items));
    }
    case yaml::Kind::kMapping: break;
  }
  json::Object members;
  members.reserve(node.entries.size());
  for (const yaml::Entry& entry : node.entries) {
    PL_TRY(json::Value value, to_json(entry.second));
    members.emplace(entry.first.scalar, std::move(value));
  }
  return json::Value(std::move(members));
}

// The node that `place` names, or the nearest one around it.
const yaml::Node& find(const yaml::Node& root, const Place& place, bool& exact) {
  if (place.parent == nullptr) return root;
  const yaml::Node& outer = find(root, *place.parent, exact);
  if (!exact) return outer;
  if (place.is_item) {
    if (place.index < outer.items.size()) return outer.items[place.index];
  } else {
    for (const yaml::Entry& entry : outer.entries) {
      if (entry.first.scalar == place.key) return place.at_key ? entry.first : entry.second;
    }
  }
  exact = false;
  return outer;
}

}  // namespace

Result<Source> Source::read(std::string_view text, std::string file, const Limits& limits) {
  Source source;
  source.text_ = text;
  source.file_ = std::move(file);
  if (is_json(text, source.file_)) {
    const json::Limits bounds{limits.bytes_max, limits.rule_depth_max + 8, limits.bytes_max};
    PL_TRY(source.root_, json::parse(text, source.file_, bounds));
    return source;
  }
  PL_TRY(source.yaml_, yaml::parse(text, source.file_, yaml_limits(limits)));
  PL_TRY(source.root_, to_json(*source.yaml_));
  return source;
}

SourcePosition Source::where(const Place& place) const {
  if (!yaml_) return position_at(text_, json::offset_of(text_, place), file_);
  bool exact = true;
  return find(*yaml_, place, exact).where;
}

Result<yaml::Node> Source::as_yaml(const Limits& limits) const {
  if (yaml_) return *yaml_;
  return yaml::parse(text_, file_, yaml_limits(limits));
}

}  // namespace poundlock::flag::parts
