// A targeting rule as it is written: operators that do not exist, references that lead nowhere, variants
// that the flag lacks. The compiler refuses the same, but knows no lines.
#include <fmt/format.h>

#include <vector>

#include "base/strings.h"
#include "base/suggest.h"
#include "flag/definition_parts.h"
#include "flag/operator.h"

namespace poundlock::flag::parts {
namespace {

constexpr const char* kCode = "flag.targeting";

std::string_view view(const boost::json::string& text) {
  return {text.data(), text.size()};
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& known) {
  const std::string_view near = nearest(word, known);
  return near.empty() ? std::string() : fmt::format("did you mean '{}'?", near);
}

std::vector<std::string_view> keys_of(const json::Object& object) {
  std::vector<std::string_view> keys;
  for (const auto& entry : object) keys.emplace_back(entry.key());
  return keys;
}

class Checker {
 public:
  Checker(const Rule& rule, const Limits& limits, Findings& findings)
      : rule_(rule), limits_(limits), findings_(findings) {}

  void structure(const json::Value& json, const Place& place, std::size_t depth) {
    if (stopped_) return;
    if (depth > limits_.rule_depth_max) return stop(place, "the rule is nested too deeply");
    if (++nodes_ > limits_.rule_nodes_max) return stop(place, "the rule is too large");
    if (json.is_array()) {
      const json::Array& items = json.get_array();
      for (std::size_t i = 0; i < items.size(); ++i) structure(items[i], place.item(i), depth + 1);
    } else if (json.is_object() && json.get_object().size() == 1) {
      call(json.get_object(), place, depth);
    }
  }

  // Follows what can become the rule's result.
  void results(const json::Value& json, const Place& place, std::size_t depth) {
    if (depth > limits_.rule_depth_max || ++visited_ > limits_.rule_nodes_max) return;
    if (!json.is_object()) return named(json, place);
    if (json.get_object().size() != 1) return;
    const auto& entry = *json.get_object().begin();
    const std::string_view name = entry.key();
    const Place inside = place.member(name);
    if (name == "$ref" && rule_.evaluators != nullptr && entry.value().is_string()) {
      const std::string_view evaluator = view(entry.value().get_string());
      const json::Value* body = rule_.evaluators->if_contains(evaluator);
      // What stands in an evaluator is named where it is referred to: there the variants are missing.
      if (body != nullptr) results_of_reference(*body, place, depth + 1);
    } else if (name == "if" && entry.value().is_array()) {
      branches(entry.value().get_array(), inside, depth);
    } else if (name == "fractional" && entry.value().is_array()) {
      buckets(entry.value().get_array(), inside);
    }
  }

 private:
  void stop(const Place& place, const char* what) {
    stopped_ = true;
    findings_.problem(kCode, place, fmt::format("{}: {}", rule_.subject, what));
  }

  void call(const json::Object& object, const Place& place, std::size_t depth) {
    const auto& entry = *object.begin();
    const std::string_view name = entry.key();
    const Place inside = place.member(name);
    if (name == "$ref") return reference(entry.value(), place, inside);
    if (find_operator(name) == nullptr) {
      std::vector<std::string_view> known;
      // To one sign every other sign is near: then only what begins with it is.
      for (const Operator* op : all_operators()) {
        if (name.size() > 1 || op->name.starts_with(name)) known.push_back(op->name);
      }
      findings_.problem(kCode, place.key_of(name),
                        fmt::format("{}: unknown operator {}", rule_.subject, quote_for_message(name)),
                        did_you_mean(name, known));
      return;
    }
    if (!entry.value().is_array()) return structure(entry.value(), inside, depth + 1);
    const json::Array& operands = entry.value().get_array();
    for (std::size_t i = 0; i < operands.size(); ++i) structure(operands[i], inside.item(i), depth + 1);
  }

  void reference(const json::Value& target, const Place& place, const Place& inside) {
    if (rule_.variants == nullptr) {
      return findings_.problem(kCode, place.key_of("$ref"),
                               fmt::format("{}: an evaluator cannot hold a $ref of its own", rule_.subject),
                               "write out what it refers to; flagd replaces references once and not again");
    }
    if (!target.is_string()) {
      return findings_.problem(kCode, inside,
                               fmt::format("{}: $ref: expected the name of an evaluator, found {}",
                                           rule_.subject, json::kind_of(target)));
    }
    const std::string_view name = view(target.get_string());
    if (rule_.evaluators != nullptr && rule_.evaluators->contains(name)) return;
    const auto known =
        rule_.evaluators == nullptr ? std::vector<std::string_view>() : keys_of(*rule_.evaluators);
    std::string hint = did_you_mean(name, known);
    if (hint.empty()) hint = "define it in $evaluators, beside flags";
    findings_.problem(kCode, inside,
                      fmt::format("{}: there is no evaluator {}", rule_.subject, quote_for_message(name)),
                      std::move(hint));
  }

  void results_of_reference(const json::Value& body, const Place& place, std::size_t depth) {
    const Place* outer = std::exchange(reference_, &place);
    results(body, place, depth);
    reference_ = outer;
  }

  void branches(const json::Array& operands, const Place& inside, std::size_t depth) {
    for (std::size_t i = 1; i < operands.size(); i += 2) results(operands[i], inside.item(i), depth + 1);
    if (operands.size() % 2 == 1) results(operands.back(), inside.item(operands.size() - 1), depth + 1);
  }

  void buckets(const json::Array& operands, const Place& inside) {
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (!operands[i].is_array() || operands[i].get_array().empty()) continue;
      const Place bucket = inside.item(i);
      named(operands[i].get_array()[0], bucket.item(0));
    }
  }

  void named(const json::Value& result, const Place& place) {
    std::string name;
    if (result.is_string()) name = view(result.get_string());
    if (result.is_bool()) name = result.get_bool() ? "true" : "false";
    if (result.is_number()) {
      char buffer[kNumberText];
      name = number_text(result.to_number<double>(), buffer);
    }
    if (name.empty() && !result.is_string()) return;
    if (rule_.variants->contains(name)) return;
    std::string hint = did_you_mean(name, keys_of(*rule_.variants));
    if (hint.empty()) hint = fmt::format("a rule answers the name of a variant: {}", variant_list());
    findings_.problem(kCode, reference_ != nullptr ? *reference_ : place,
                      fmt::format("{}: targeting names the variant {}, which does not exist", rule_.subject,
                                  quote_for_message(name)),
                      std::move(hint));
  }

  std::string variant_list() const {
    std::string list;
    for (const auto& entry : *rule_.variants) {
      if (list.size() > 100) return list + ", ...";
      if (!list.empty()) list += ", ";
      list += quote_for_message(entry.key());
    }
    return list;
  }

  const Rule& rule_;
  const Limits& limits_;
  Findings& findings_;
  const Place* reference_ = nullptr;  // where the $ref stands whose evaluator is looked at
  std::size_t nodes_ = 0;
  std::size_t visited_ = 0;
  bool stopped_ = false;
};

}  // namespace

void check_rule(const Rule& rule, const Limits& limits, Findings& findings) {
  Checker checker(rule, limits, findings);
  checker.structure(rule.json, rule.place, 0);
  if (rule.variants != nullptr) checker.results(rule.json, rule.place, 0);
}

}  // namespace poundlock::flag::parts
