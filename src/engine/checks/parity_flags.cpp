// In what the flag definitions of two environments differ.
#include <algorithm>
#include <map>
#include <set>

#include "base/json.h"
#include "engine/checks/parity_sides.h"

namespace poundlock::engine {
namespace {

constexpr int kDepthMax = 64;  // definitions are read with fewer

// The same value gives the same text, whatever the order of its keys.
std::string canonical(const json::Value& value, int depth = 0) {
  if (depth > kDepthMax) return "...";
  std::string out;
  if (const auto* object = value.if_object()) {
    std::map<std::string, const json::Value*> sorted;
    for (const auto& [key, member] : *object) sorted.emplace(std::string(key), &member);
    for (const auto& [key, member] : sorted)
      out += (out.empty() ? "" : ",") + json::dump(json::Value(key)) + ":" + canonical(*member, depth + 1);
    return "{" + out + "}";
  }
  if (const auto* list = value.if_array()) {
    for (const auto& item : *list) out += (out.empty() ? "" : ",") + canonical(item, depth + 1);
    return "[" + out + "]";
  }
  // 1 and 1.0 are the same number in a rule.
  if (value.is_double() &&
      value.get_double() == static_cast<double>(static_cast<long long>(value.get_double())))
    return json::dump(json::Value(static_cast<std::int64_t>(value.get_double())));
  return json::dump(value);
}

// The attributes of the evaluation context that a rule reads. A path below an attribute is that attribute's.
void collect_attributes(const json::Value& rule, std::set<std::string>& out, int depth = 0) {
  if (depth > kDepthMax) return;
  if (const auto* list = rule.if_array()) {
    for (const auto& item : *list) collect_attributes(item, out, depth + 1);
    return;
  }
  const auto* object = rule.if_object();
  if (object == nullptr) return;
  for (const auto& [key, argument] : *object) {
    const json::Value* name = &argument;
    if (const auto* list = argument.if_array(); list != nullptr && !list->empty()) name = &(*list)[0];
    if (key == "var" && name->is_string()) out.emplace(name->get_string());
    collect_attributes(argument, out, depth + 1);
  }
}

std::string text_of(const json::Object& flag, std::string_view key, std::string_view absent) {
  const auto* value = json::find(flag, key);
  return value == nullptr ? std::string(absent) : canonical(*value);
}

std::string attributes_of(const json::Object& flag) {
  std::set<std::string> names;
  if (const auto* rule = json::find(flag, "targeting")) collect_attributes(*rule, names);
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out.empty() ? "none" : out;
}

// An empty rule is no rule.
std::string rule_of(const json::Object& flag) {
  const std::string rule = text_of(flag, "targeting", "none");
  return rule == "{}" ? "none" : rule;
}

using Aspect = std::pair<const char*, std::string (*)(const json::Object&)>;
constexpr Aspect kAspects[] = {
    {"flag state", [](const json::Object& flag) { return text_of(flag, "state", "\"ENABLED\""); }},
    {"flag variants", [](const json::Object& flag) { return text_of(flag, "variants", "{}"); }},
    // Without a default variant, each application answers with what its code says.
    {"flag default",
     [](const json::Object& flag) { return text_of(flag, "defaultVariant", "the default in the code"); }},
    {"flag targeting", rule_of},
    {"flag context", attributes_of},
    {"flag metadata", [](const json::Object& flag) { return text_of(flag, "metadata", "{}"); }},
};

const json::Object* flag_at(const json::Object& flags, std::string_view key) {
  const auto* value = json::find(flags, key);
  return value == nullptr ? nullptr : value->if_object();
}

}  // namespace

std::vector<Difference> compare_flags(const flag::Definition& from, const flag::Definition& to,
                                      const Concern* concern) {
  std::set<std::string> keys;
  for (const auto& [key, flag] : from.flags) keys.emplace(key);
  for (const auto& [key, flag] : to.flags) keys.emplace(key);
  std::vector<Difference> out;
  for (const auto& key : keys) {
    const bool blocks = concern == nullptr || concern->flags.contains(key);
    const auto* a = flag_at(from.flags, key);
    const auto* b = flag_at(to.flags, key);
    const auto put = [&](const char* kind, std::optional<std::string> left,
                         std::optional<std::string> right) {
      if (left != right) out.push_back({kind, key, std::move(left), std::move(right), blocks});
    };
    if (a == nullptr || b == nullptr) {
      put("flag", a ? std::optional(text_of(*a, "variants", "{}")) : std::nullopt,
          b ? std::optional(text_of(*b, "variants", "{}")) : std::nullopt);
      continue;
    }
    for (const auto& [kind, aspect] : kAspects) put(kind, aspect(*a), aspect(*b));
  }
  std::stable_sort(out.begin(), out.end(), [](const Difference& x, const Difference& y) {
    return std::string_view(x.kind) < std::string_view(y.kind);
  });
  return out;
}

}  // namespace poundlock::engine
