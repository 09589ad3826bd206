// Constructs on which flagd's evaluators in other languages are known to answer differently: seen in the
// rule's text, so a rule that differs only for some contexts (a text that is no number, a targetingKey that
// is no text, a name outside ASCII) cannot be told from one that never does. Poundlock follows the
// evaluator in Go; the list grew from comparing it with the one in JavaScript.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "flag/definition_parts.h"
#include "flag/value.h"

namespace poundlock::flag::parts {
namespace {

// What an expression answers as far as its text tells.
enum class Kind { kUnknown, kNull, kBool, kNumber, kText, kList, kObject };

template <std::size_t N>
bool is_one(std::string_view name, const std::string_view (&names)[N]) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

constexpr std::string_view kLoose[] = {"==", "!="};
constexpr std::string_view kEqualities[] = {"==", "!=", "===", "!=="};
constexpr std::string_view kOrders[] = {"<", "<=", ">", ">="};
constexpr std::string_view kArithmetic[] = {"+", "-", "*", "/", "%", "min", "max"};
constexpr std::string_view kTruths[] = {"==", "!=", "===", "!==", "<",    "<=",   ">",           ">=",
                                        "!",  "!!", "in",  "all", "some", "none", "starts_with", "ends_with"};
constexpr std::string_view kLists[] = {"map", "filter", "merge", "missing", "missing_some"};
constexpr std::string_view kTexts[] = {"cat", "substr"};
constexpr std::string_view kListOperators[] = {"map", "filter", "reduce", "all", "some", "none"};

std::string_view view(const boost::json::string& text) {
  return {text.data(), text.size()};
}

// The operator's name; empty where the value is no call.
std::string_view operator_of(const json::Value& json) {
  if (!json.is_object() || json.get_object().size() != 1) return {};
  return json.get_object().begin()->key();
}

Kind kind_of(const json::Value& json) {
  if (json.is_null()) return Kind::kNull;
  if (json.is_bool()) return Kind::kBool;
  if (json.is_number()) return Kind::kNumber;
  if (json.is_string()) return Kind::kText;
  if (json.is_array()) return Kind::kList;
  const std::string_view name = operator_of(json);
  if (name.empty()) return Kind::kObject;
  if (is_one(name, kTruths)) return Kind::kBool;
  if (is_one(name, kArithmetic)) return Kind::kNumber;
  if (is_one(name, kLists)) return Kind::kList;
  if (is_one(name, kTexts)) return Kind::kText;
  return Kind::kUnknown;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 128; });
}

// Text that one evaluator takes for a number and another does not: " 1 ", "0x10".
bool is_doubtful_number(std::string_view text) {
  if (text.empty() || text.find_first_of("0123456789") == std::string_view::npos) return false;
  const bool blanks = text.front() == ' ' || text.back() == ' ';
  const bool based = text.size() > 2 && text[0] == '0' && (text[1] | 0x20) >= 'b' && (text[1] | 0x20) <= 'x';
  const bool numeric = text.find_first_not_of(" 0123456789.+-eExXoObBabcdfABCDF") == std::string_view::npos;
  return numeric && (blanks || based);
}

// JavaScript writes these with an exponent, Go's evaluator without.
bool has_exponent(double number) {
  const double size = std::fabs(number);
  return size != 0 && (size >= 1e21 || size < 1e-6);
}

bool is_escaped_by_go(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' || static_cast<unsigned char>(c) < 0x20;
  });
}

class Portability {
 public:
  Portability(const Rule& rule, const Limits& limits, Findings& findings)
      : rule_(rule), limits_(limits), findings_(findings) {}

  void result(const json::Value& json, const Place& place, std::size_t depth) {
    if (depth > limits_.rule_depth_max) return;
    if (json.is_array() || is_one(operator_of(json), kLists)) {
      warn(place, "a list as a rule's answer", "answer the name of a variant");
    }
    if (json.is_string() && is_escaped_by_go(view(json.get_string()))) {
      warn(place, "a variant's name with a quote, backslash, <, > or &",
           "name variants with letters, digits, - and _");
    }
    if (operator_of(json) != "if") return;
    const auto& entry = *json.get_object().begin();
    if (!entry.value().is_array()) return;
    const Place inside = place.member("if");
    const json::Array& operands = entry.value().get_array();
    for (std::size_t i = 1; i < operands.size(); i += 2) result(operands[i], inside.item(i), depth + 1);
    if (operands.size() % 2 == 1) {
      result(operands.back(), inside.item(operands.size() - 1), depth + 1);
    }
  }

  void rule(const json::Value& json, const Place& place) {
    if (json.is_bool() || json.is_number() || json.is_string()) {
      warn(place, "a rule that is a constant",
           "make it the defaultVariant, or write {\"if\": [true, \"NAME\"]}");
    }
    result(json, place, 0);
    walk(json, place, 0);
  }

  void walk(const json::Value& json, const Place& place, std::size_t depth) {
    if (depth > limits_.rule_depth_max || ++nodes_ > limits_.rule_nodes_max) return;
    if (json.is_array()) return walk_items(json.get_array(), place, depth);
    if (!json.is_object() || json.get_object().empty()) return;
    if (json.get_object().size() > 1) {
      return warn(place, "an object with more than one operator", "nest them in one: {\"and\": [..., ...]}");
    }
    const auto& entry = *json.get_object().begin();
    const Place inside = place.member(entry.key());
    if (entry.value().is_array()) {
      call(entry.key(), entry.value().get_array(), place);
      walk_items(entry.value().get_array(), inside, depth);
    } else {
      call(entry.key(), json::Array{entry.value()}, place);
      walk(entry.value(), inside, depth + 1);
    }
  }

 private:
  void warn(const Place& place, std::string_view construct, std::string_view instead) {
    findings_.warning(place, fmt::format("{}: {} is not portable between evaluators; {}", rule_.subject,
                                         construct, instead));
  }

  void walk_items(const json::Array& items, const Place& place, std::size_t depth) {
    for (std::size_t i = 0; i < items.size(); ++i) walk(items[i], place.item(i), depth + 1);
  }

  void call(std::string_view name, const json::Array& operands, const Place& place) {
    if (is_one(name, kEqualities) || is_one(name, kOrders)) comparison(name, operands, place);
    if (is_one(name, kArithmetic)) arithmetic(name, operands, place);
    if (is_one(name, kListOperators)) subject(name, operands, place);
    if (name == "fractional") fractional(operands, place);
    if (name == "cat") cat(operands, place);
    if (name == "in") in(operands, place);
    if (name == "sem_ver") sem_ver(operands, place);
    if (name == "substr" && !operands.empty() && kind_of(operands[0]) != Kind::kText &&
        kind_of(operands[0]) != Kind::kUnknown) {
      warn(place, "'substr' of what is no text", "make text of it first: {\"cat\": [...]}");
    }
    if (name == "var" && !operands.empty() && operands[0].is_string()) variable(operands[0], place);
  }

  void comparison(std::string_view name, const json::Array& operands, const Place& place) {
    const bool between = (name == "<" || name == "<=") && operands.size() == 3;
    if (operands.size() != 2 && !between) {
      warn(place,
           fmt::format("'{}' with {} operand{}", name, operands.size(), operands.size() == 1 ? "" : "s"),
           "give it two (< and <= also take three: between)");
    }
    for (const json::Value& operand : operands) {
      const Kind kind = kind_of(operand);
      if (kind == Kind::kNull && !(name == "===" || name == "!==")) {
        warn(place, fmt::format("'{}' with null", name),
             "ask for absence with {\"missing\": [\"NAME\"]} as the condition of an if");
      }
      if (kind == Kind::kList || kind == Kind::kObject) {
        warn(place, fmt::format("'{}' with a list or an object", name),
             "compare single values, or use in, some or !");
      }
      const bool strict = is_one(name, kEqualities) && !is_one(name, kLoose);
      if (!strict && operand.is_string() && is_doubtful_number(view(operand.get_string()))) {
        warn(place, fmt::format("'{}' with the text {}", name, quote_for_message(view(operand.get_string()))),
             "write a plain number");
      }
    }
  }

  void arithmetic(std::string_view name, const json::Array& operands, const Place& place) {
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const Kind kind = kind_of(operands[i]);
      if (kind != Kind::kUnknown && kind != Kind::kNumber) {
        warn(place, fmt::format("'{}' of what is no number", name), "give it numbers only");
        return;
      }
      const bool divides = (name == "/" || name == "%") && i == 1;
      if (divides && operands[i].is_number() && operands[i].to_number<double>() == 0) {
        warn(place, fmt::format("'{}' by 0", name), "leave it out");
      }
    }
  }

  void subject(std::string_view name, const json::Array& operands, const Place& place) {
    if (operands.empty()) return;
    const Kind kind = kind_of(operands[0]);
    if (kind == Kind::kUnknown || kind == Kind::kList) return;
    warn(place, fmt::format("'{}' over what is no list", name), "give it a list, [] where there is nothing");
  }

  void fractional(const json::Array& operands, const Place& place) {
    const Place inside = place.member("fractional");
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const Kind kind = kind_of(operands[i]);
      if (i == 0 && (kind == Kind::kNumber || kind == Kind::kBool || kind == Kind::kNull)) {
        warn(place, "'fractional' by a number, true, false or null", "make text of it: {\"cat\": [...]}");
      }
      if (i == 0) hash_input(operands[0], place);
      if (!operands[i].is_array() || operands[i].get_array().empty()) continue;
      const json::Array& bucket = operands[i].get_array();
      if (bucket.size() > 2)
        warn(inside.item(i), "a share of more than two items", "write [\"NAME\", WEIGHT]");
      if (bucket.size() == 2 && bucket[1].is_null()) {
        warn(inside.item(i), "the weight null", "leave the weight out; it is 1 then");
      }
    }
  }

  void hash_input(const json::Value& input, const Place& place) {
    if (input.is_string() && !is_ascii(view(input.get_string()))) {
      return warn(place, "'fractional' by text outside ASCII", "hash ASCII only, such as an id");
    }
    if (operator_of(input) != "cat") return;
    const json::Value& parts = input.get_object().begin()->value();
    if (parts.is_string()) return hash_input(parts, place);
    if (!parts.is_array()) return;
    for (const json::Value& part : parts.get_array()) {
      if (part.is_string()) hash_input(part, place);
    }
  }

  void cat(const json::Array& operands, const Place& place) {
    for (const json::Value& operand : operands) {
      const Kind kind = kind_of(operand);
      if (kind == Kind::kNull || kind == Kind::kBool || kind == Kind::kList || kind == Kind::kObject) {
        return warn(place, "'cat' of null, true, false, a list or an object", "join text and numbers only");
      }
      if (operand.is_number() && has_exponent(operand.to_number<double>())) {
        return warn(place, "'cat' of a number with an exponent", "write it as text: \"1e21\"");
      }
      if (operator_of(operand) == "/") {
        return warn(place, "'cat' of a quotient", "join whole numbers; a fraction's digits differ");
      }
    }
  }

  void in(const json::Array& operands, const Place& place) {
    if (operands.size() != 2) return;
    const Kind needle = kind_of(operands[0]);
    const Kind hay = kind_of(operands[1]);
    if (operands[1].is_array()) {
      const json::Array& items = operands[1].get_array();
      const bool nested =
          std::any_of(items.begin(), items.end(), [](const auto& item) { return item.is_array(); });
      if (nested) warn(place, "'in' a list of lists", "give it a list of single values");
    }
    const bool odd_needle = needle == Kind::kList || needle == Kind::kObject;
    if (odd_needle || (hay == Kind::kText && needle != Kind::kText && needle != Kind::kUnknown)) {
      warn(place, "'in' of this kind", "look for text in text, or for a single value in a list");
    }
    if (hay == Kind::kNull || hay == Kind::kBool || hay == Kind::kNumber || hay == Kind::kObject) {
      warn(place, "'in' what is neither text nor a list", "look in text or in a list");
    }
  }

  void sem_ver(const json::Array& operands, const Place& place) {
    for (std::size_t i = 0; i < operands.size(); i += 2) {
      if (kind_of(operands[i]) == Kind::kList) warn(place, "'sem_ver' of a list", "give it text");
      if (!operands[i].is_string()) continue;
      const std::string_view text = view(operands[i].get_string());
      const bool blanks = text.find_first_of(" \t") != std::string_view::npos;
      const bool prefixed = text.starts_with("vv") || text.starts_with("VV");
      if (blanks || prefixed || longest_run_of_digits(text) > 15) {
        warn(place, fmt::format("the version {}", quote_for_message(text)), "write it like 1.2.3");
      }
    }
  }

  static std::size_t longest_run_of_digits(std::string_view text) {
    std::size_t longest = 0;
    std::size_t run = 0;
    for (const char c : text) {
      run = c >= '0' && c <= '9' ? run + 1 : 0;
      longest = std::max(longest, run);
    }
    return longest;
  }

  void variable(const json::Value& path, const Place& place) {
    const std::string_view text = view(path.get_string());
    if (text == "length" || !text.ends_with(".length")) return;
    warn(place, fmt::format("{}, a length to one evaluator and a member to another", quote_for_message(text)),
         "send the length as an attribute of its own");
  }

  const Rule& rule_;
  const Limits& limits_;
  Findings& findings_;
  std::size_t nodes_ = 0;
};

}  // namespace

void check_portability(const Rule& rule, const Limits& limits, Findings& findings) {
  Portability check(rule, limits, findings);
  if (rule.variants != nullptr) return check.rule(rule.json, rule.place);
  check.walk(rule.json, rule.place, 0);
}

}  // namespace poundlock::flag::parts
