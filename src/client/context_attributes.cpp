#include "client/context_attributes.h"

namespace poundlock::client {

namespace {

constexpr std::string_view kContext = "context";
constexpr std::string_view kTargetingKey = "targetingKey";
constexpr std::size_t kLabelMax = 128;  // what a report shows of it

flag::Value to_value(const AttributeValue& value, flag::Scratch& scratch) {
  if (const bool* boolean = std::get_if<bool>(&value)) return flag::Value::boolean(*boolean);
  if (const double* number = std::get_if<double>(&value)) return flag::Value::number(*number);
  if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    return flag::Value::number(static_cast<double>(*whole));
  }
  if (const auto* text = std::get_if<std::string>(&value)) return flag::Value::text(*text);
  const auto& list = std::get<std::vector<std::string>>(value);
  std::span<flag::Value> items = scratch.make<flag::Value>(list.size());
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = flag::Value::text(list[i]);
  return flag::Value::array(items);
}

const AttributeValue* find_attribute(const Context& context, std::string_view key) {
  for (const auto& [name, value] : context.attributes) {
    if (name == key) return &value;
  }
  return nullptr;
}

}  // namespace

flag::Value ContextAttributes::find(std::string_view key, flag::Scratch& scratch) const {
  if (key == kTargetingKey) {
    return context_->targeting_key.empty() ? flag::Value{} : flag::Value::text(context_->targeting_key);
  }
  const AttributeValue* value = find_attribute(*context_, key);
  return value == nullptr ? flag::Value{} : to_value(*value, scratch);
}

flag::Value ContextAttributes::all(flag::Scratch& scratch) const {
  std::span<flag::Member> members = scratch.make<flag::Member>(context_->attributes.size() + 1);
  if (members.empty()) return {};
  members[0] = {kTargetingKey, find(kTargetingKey, scratch)};
  for (std::size_t i = 1; i < members.size(); ++i) {
    const auto& [name, value] = context_->attributes[i - 1];
    members[i] = {name, to_value(value, scratch)};
  }
  return flag::Value::object(members);
}

std::optional<std::string_view> context_name(const Context& context) {
  const AttributeValue* value = find_attribute(context, kContext);
  if (value == nullptr) return "";
  if (const auto* text = std::get_if<std::string>(value)) return std::string_view(*text).substr(0, kLabelMax);
  if (std::holds_alternative<std::vector<std::string>>(*value)) return std::nullopt;
  return "";
}

std::string context_label(const Context& context) {
  if (const auto name = context_name(context)) return std::string(*name);
  std::string label;
  for (const std::string& name : std::get<std::vector<std::string>>(*find_attribute(context, kContext))) {
    if (!label.empty()) label += ',';
    label += name;
    if (label.size() >= kLabelMax) break;
  }
  label.resize(std::min(label.size(), kLabelMax));
  return label;
}

}  // namespace poundlock::client
