#include "client/context_attributes.h"

#include "base/strings.h"

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
  if (const flag::Value* made = scratch.made_of(&value)) return *made;
  const auto& list = std::get<std::vector<std::string>>(value);
  std::span<flag::Value> items = scratch.make<flag::Value>(list.size());
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = flag::Value::text(list[i]);
  return scratch.remember(&value, flag::Value::array(items));
}

const AttributeValue* find_attribute(const Context& context, std::string_view key) {
  for (const auto& [name, value] : context.attributes) {
    if (same_text(name, key)) return &value;
  }
  return nullptr;
}

const AttributeValue* find_attribute(const Context& context, const Context* base, std::string_view key) {
  const AttributeValue* value = find_attribute(context, key);
  return value != nullptr || base == nullptr ? value : find_attribute(*base, key);
}

}  // namespace

flag::Value ContextAttributes::find(std::string_view key, flag::Scratch& scratch) const {
  if (same_text(key, kTargetingKey)) {
    if (!context_->targeting_key.empty()) return flag::Value::text(context_->targeting_key);
    if (base_ != nullptr && !base_->targeting_key.empty()) return flag::Value::text(base_->targeting_key);
    return {};
  }
  const AttributeValue* value = find_attribute(*context_, base_, key);
  return value == nullptr ? flag::Value{} : to_value(*value, scratch);
}

flag::Value ContextAttributes::all(flag::Scratch& scratch) const {
  if (const flag::Value* made = scratch.made_of(context_)) return *made;
  const std::size_t of_base = base_ == nullptr ? 0 : base_->attributes.size();
  std::span<flag::Member> members = scratch.make<flag::Member>(context_->attributes.size() + of_base + 1);
  if (members.empty()) return {};
  members[0] = {kTargetingKey, find(kTargetingKey, scratch)};
  std::size_t used = 1;
  for (const auto& [name, value] : context_->attributes) members[used++] = {name, to_value(value, scratch)};
  for (std::size_t i = 0; i < of_base; ++i) {
    const auto& [name, value] = base_->attributes[i];
    if (find_attribute(*context_, name) == nullptr) members[used++] = {name, to_value(value, scratch)};
  }
  return scratch.remember(context_, flag::Value::object(members.first(used)));
}

std::optional<std::string_view> context_name(const Context& context, const Context* base) {
  const AttributeValue* value = find_attribute(context, base, kContext);
  if (value == nullptr) return "";
  if (const auto* text = std::get_if<std::string>(value)) return std::string_view(*text).substr(0, kLabelMax);
  if (std::holds_alternative<std::vector<std::string>>(*value)) return std::nullopt;
  return "";
}

std::string context_label(const Context& context, const Context* base) {
  if (const auto name = context_name(context, base)) return std::string(*name);
  std::string label;
  const AttributeValue* names = find_attribute(context, base, kContext);
  for (const std::string& name : std::get<std::vector<std::string>>(*names)) {
    if (!label.empty()) label += ',';
    label += name;
    if (label.size() >= kLabelMax) break;
  }
  label.resize(std::min(label.size(), kLabelMax));
  return label;
}

Context merged(const Context& over, const Context& base) {
  Context result = over;
  if (result.targeting_key.empty()) result.targeting_key = base.targeting_key;
  for (const auto& [name, value] : base.attributes) {
    if (find_attribute(over, name) == nullptr) result.attributes.emplace_back(name, value);
  }
  return result;
}

}  // namespace poundlock::client
