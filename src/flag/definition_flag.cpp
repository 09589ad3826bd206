// One flag of a definition file: what it must have, what it may have, and the same flag made self-contained.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/strings.h"
#include "base/suggest.h"
#include "flag/compiler.h"
#include "flag/definition_parts.h"
#include "flag/fractional.h"

namespace poundlock::flag::parts {
namespace {

constexpr std::string_view kFlagKeys[] = {"state", "variants", "defaultVariant", "targeting", "metadata"};
constexpr std::string_view kStates[] = {"ENABLED", "DISABLED"};

class FlagReader {
 public:
  FlagReader(const Flag& flag, const Limits& limits, Findings& findings)
      : flag_(flag), limits_(limits), findings_(findings) {}

  std::optional<json::Object> read(std::size_t& reference_nodes_left) {
    if (!flag_.json.is_object()) {
      problem("flag.document", flag_.place,
              fmt::format("expected a mapping with state and variants, found {}", json::kind_of(flag_.json)));
      return std::nullopt;
    }
    const json::Object& object = flag_.json.get_object();
    unknown_keys(object);
    const bool has_state = state(object);  // said, too, where the variants are at fault
    if (!variants(object) || !has_state || !fallback(object)) return std::nullopt;
    json::Object result = object;
    for (const auto& entry : object) {
      if (std::find(std::begin(kFlagKeys), std::end(kFlagKeys), entry.key()) == std::end(kFlagKeys)) {
        result.erase(entry.key());
      }
    }
    merge_metadata(object, result);
    targeting(result, reference_nodes_left);
    return result;
  }

 private:
  void problem(const char* code, const Place& place, std::string_view message, std::string hint = {}) {
    findings_.problem(code, place, fmt::format("flag {}: {}", quote_for_message(flag_.key), message),
                      std::move(hint));
  }

  void unknown_keys(const json::Object& object) {
    for (const auto& entry : object) {
      const std::string_view key = entry.key();
      if (std::find(std::begin(kFlagKeys), std::end(kFlagKeys), key) != std::end(kFlagKeys)) continue;
      const std::string_view near = nearest(key, kFlagKeys);
      problem("flag.unknown_key", flag_.place.key_of(key),
              fmt::format("unknown key {}", quote_for_message(key)),
              near.empty() ? fmt::format("known keys: {}", fmt::join(kFlagKeys, ", "))
                           : fmt::format("did you mean '{}'?", near));
    }
  }

  bool state(const json::Object& object) {
    const json::Value* state = json::find(object, "state");
    if (state == nullptr) {
      problem("flag.state", flag_.key_place, "the key 'state' is missing", "write \"state\": \"ENABLED\"");
      return false;
    }
    if (state->is_string() && (state->get_string() == kStates[0] || state->get_string() == kStates[1])) {
      return true;
    }
    std::string hint;
    if (state->is_string()) {
      std::string upper(state->get_string());
      std::transform(upper.begin(), upper.end(), upper.begin(),
                     [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
      if (const auto near = nearest(upper, kStates); !near.empty()) {
        hint = fmt::format("did you mean '{}'?", near);
      }
    }
    problem("flag.state", flag_.place.member("state"),
            fmt::format("state: expected ENABLED or DISABLED, found {}",
                        state->is_string() ? quote_for_message(std::string_view(state->get_string()))
                                           : json::kind_of(*state)),
            std::move(hint));
    return false;
  }

  bool variants(const json::Object& object) {
    const json::Value* variants = json::find(object, "variants");
    if (variants == nullptr) {
      problem("flag.variants", flag_.key_place, "the key 'variants' is missing",
              "write for example \"variants\": {\"on\": true, \"off\": false}");
      return false;
    }
    const Place place = flag_.place.member("variants");
    if (!variants->is_object()) {
      problem(
          "flag.variants", place,
          fmt::format("variants: expected a mapping from name to value, found {}", json::kind_of(*variants)));
      return false;
    }
    variants_ = &variants->get_object();
    if (variants_->empty() || variants_->size() > limits_.variants_max) {
      problem("flag.variants", place,
              fmt::format("{} variants, expected 1 to {}", variants_->size(), limits_.variants_max));
      return false;
    }
    return std::all_of(variants_->begin(), variants_->end(),
                       [&](const auto& entry) { return variant(entry.key(), entry.value(), place); });
  }

  bool variant(std::string_view name, const json::Value& json, const Place& place) {
    if (name.empty() || name.size() > limits_.key_length_max) {
      problem("flag.variants", place.key_of(name),
              fmt::format("a variant's name has {} bytes, expected 1 to {}", name.size(),
                          limits_.key_length_max));
      return false;
    }
    const auto type = variant_type(json);
    if (!type) {
      problem("flag.variants", place.member(name),
              fmt::format("the variant {} is null", quote_for_message(name)),
              "a value is a boolean, text, a number or an object");
      return false;
    }
    if (!type_) type_ = type;
    if (type == type_) return true;
    problem("flag.variants", place.member(name),
            fmt::format("the variant {} is of type {}, the ones before it are of type {}",
                        quote_for_message(name), to_string(*type), to_string(*type_)),
            "all variants of a flag have one type, which applications ask for");
    return false;
  }

  bool fallback(const json::Object& object) {
    const json::Value* name = json::find(object, "defaultVariant");
    if (name == nullptr) return true;
    const Place place = flag_.place.member("defaultVariant");
    if (!name->is_string()) {
      problem("flag.default", place,
              fmt::format("defaultVariant: expected the name of a variant, found {}", json::kind_of(*name)),
              name->is_bool() ? fmt::format("quote it: \"{}\"", name->get_bool()) : "");
      return false;
    }
    const std::string_view text(name->get_string());
    if (text.empty() || variants_->contains(text)) return true;
    std::vector<std::string_view> known;
    for (const auto& entry : *variants_) known.emplace_back(entry.key());
    const std::string_view near = nearest(text, known);
    problem("flag.default", place,
            fmt::format("defaultVariant: there is no variant {}", quote_for_message(text)),
            near.empty() ? "" : fmt::format("did you mean '{}'?", near));
    return false;
  }

  void merge_metadata(const json::Object& object, json::Object& result) {
    json::Object merged = flag_.metadata;
    const json::Value* own = json::find(object, "metadata");
    const Place place = flag_.place.member("metadata");
    if (own != nullptr && !own->is_object()) {
      problem("flag.metadata", place,
              fmt::format("metadata: expected a mapping, found {}", json::kind_of(*own)));
    } else if (own != nullptr) {
      for (const auto& entry : own->get_object()) {
        const json::Value& value = entry.value();
        if (!value.is_string() && !value.is_number() && !value.is_bool()) {
          problem("flag.metadata", place.member(entry.key()),
                  fmt::format("metadata {}: expected text, a number, or true or false, found {}",
                              quote_for_message(entry.key()), json::kind_of(value)));
        }
        merged[entry.key()] = value;
      }
    }
    if (own != nullptr && own->is_object() && own->get_object().contains(kFractionalSwitch)) {
      check_fractional_switch(own->get_object(), place, findings_);
    }
    if (merged.empty()) {
      result.erase("metadata");
    } else {
      result["metadata"] = std::move(merged);
    }
  }

  void targeting(json::Object& result, std::size_t& reference_nodes_left) {
    json::Value* rule = result.if_contains("targeting");
    if (rule == nullptr || rule->is_null()) return;
    const Place place = flag_.place.member("targeting");
    const std::size_t before = findings_.problems();
    const Rule checked{*rule, place, fmt::format("flag {}", quote_for_message(flag_.key)), flag_.evaluators,
                       variants_};
    check_rule(checked, limits_, findings_);
    check_portability(checked, limits_, findings_);
    if (findings_.problems() != before) return;
    // Unfolded it may be too large, or too deep, where each part alone was not.
    if (auto replaced =
            replace_references(*rule, flag_.evaluators, limits_.rule_depth_max, reference_nodes_left);
        !replaced) {
      problem("flag.targeting", place, replaced.error().message);
    }
  }

  const Flag& flag_;
  const Limits& limits_;
  Findings& findings_;
  const json::Object* variants_ = nullptr;
  std::optional<VariantType> type_;
};

}  // namespace

std::optional<json::Object> read_flag(const Flag& flag, const Limits& limits, Findings& findings,
                                      std::size_t& reference_nodes_left) {
  return FlagReader(flag, limits, findings).read(reference_nodes_left);
}

}  // namespace poundlock::flag::parts
