#include "flag/operator.h"

#include <charconv>
#include <cstring>
#include <limits>

namespace poundlock::flag {

const char* to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNone: return "";
    case ErrorCode::kFlagNotFound: return "FLAG_NOT_FOUND";
    case ErrorCode::kTypeMismatch: return "TYPE_MISMATCH";
    case ErrorCode::kParseError: return "PARSE_ERROR";
    case ErrorCode::kGeneral: return "GENERAL";
    case ErrorCode::kTargetingKeyMissing: return "TARGETING_KEY_MISSING";
    case ErrorCode::kInvalidContext: return "INVALID_CONTEXT";
  }
  return "";
}

const Operator* find_operator(std::string_view name) {
  for (const Operator* op : all_operators()) {
    if (op->name == name) return op;
  }
  return nullptr;
}

Value evaluate_list(const Node& list, Evaluation& evaluation) {
  std::span<Value> items = evaluation.scratch->make<Value>(list.args.size());
  if (items.size() != list.args.size()) {
    return evaluation.fail(ErrorCode::kGeneral, "the rule needs too much memory");
  }
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = evaluate(list.args[i], evaluation);
  return Value::array(items);
}

Value evaluate_if(const Node& call, Evaluation& evaluation, std::int16_t& branch) {
  branch = -1;
  std::size_t i = 0;
  for (; i + 1 < call.args.size(); i += 2) {
    const Value condition = evaluate(call.args[i], evaluation);
    const bool holds = condition.is_bool() ? condition.as_bool() : truthy(condition);
    if (evaluation.failed()) return {};
    if (!holds) continue;
    branch = static_cast<std::int16_t>(i / 2);
    return evaluate(call.args[i + 1], evaluation);
  }
  if (i >= call.args.size()) return {};
  branch = static_cast<std::int16_t>(i / 2);
  return evaluate(call.args[i], evaluation);
}

namespace {

// Of a decimal number that no double holds: is it too large, or too small?
bool is_huge(std::string_view text) {
  std::int64_t digits = 0;  // ahead of the point from the first that is not 0; else, negative, zeros after it
  bool behind = false;
  bool begun = false;
  std::size_t at = text.starts_with('-') ? 1 : 0;
  for (; at < text.size() && text[at] != 'e' && text[at] != 'E'; ++at) {
    if (text[at] == '.') {
      behind = true;
      continue;
    }
    if (text[at] != '0') begun = true;
    if (begun && !behind) ++digits;
    if (!begun && behind) --digits;
  }
  std::int64_t exponent = 0;
  if (at < text.size()) {
    const bool negative = text.substr(at + 1).starts_with('-');
    at += negative || text.substr(at + 1).starts_with('+') ? 2 : 1;
    const auto [end, code] = std::from_chars(text.data() + at, text.data() + text.size(), exponent);
    if (code == std::errc::result_out_of_range) return !negative;
    if (negative) exponent = -exponent;
  }
  return digits > -exponent;
}

// As Go's strconv.ParseFloat reads decimal text: one sign, infinite where no double is large enough. 0 for
// text that is no number.
double parsed_number(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return 0;
  }
  double number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (end != text.data() + text.size() || code == std::errc::invalid_argument) return 0;
  if (code != std::errc::result_out_of_range) return number;
  const double size = is_huge(text) ? std::numeric_limits<double>::infinity() : 0;
  return text.starts_with('-') ? -size : size;
}

}  // namespace

double arithmetic_number(const Value& value, Evaluation& evaluation) {
  if (value.is_number()) return value.as_number();
  if (value.is_string()) {
    if (!evaluation.charge(value.as_string().size() / kBytesReadAStep)) return 0;
    return parsed_number(value.as_string());
  }
  evaluation.fail(ErrorCode::kParseError, "arithmetic on a value that is neither a number nor text");
  return 0;
}

std::string_view plain_text(const Value& value, Evaluation& evaluation) {
  switch (value.kind()) {
    case Value::Kind::kNull: return "";
    case Value::Kind::kString: return value.as_string();
    case Value::Kind::kNumber: {
      char buffer[kNumberText];
      const std::string_view text = number_text(value.as_number(), buffer);
      void* place = evaluation.scratch->allocate(text.size());
      if (place == nullptr) break;
      std::memcpy(place, text.data(), text.size());
      return {static_cast<const char*>(place), text.size()};
    }
    case Value::Kind::kBool:
    case Value::Kind::kArray:
    case Value::Kind::kObject: break;
  }
  evaluation.fail(ErrorCode::kParseError, "a boolean, list or object where text is needed");
  return "";
}

namespace {

Value step_into(const Value& container, std::string_view part) {
  if (container.is_object()) return container.member(part);
  if (container.is_array()) {
    std::size_t index = 0;
    auto [end, code] = std::from_chars(part.data(), part.data() + part.size(), index);
    if (code != std::errc{} || end != part.data() + part.size()) return {};
    return index < container.items().size() ? container.items()[index] : Value{};
  }
  return {};
}

// `$flagd` belongs to the evaluator: what a caller sends under that name is never looked at.
Value injected(std::span<const std::string_view> path, const Evaluation& evaluation) {
  if (path.size() != 2) return {};
  if (path[1] == "flagKey") return Value::text(evaluation.flag_key);
  if (path[1] == "timestamp") return Value::number(static_cast<double>(evaluation.now_s));
  return {};
}

}  // namespace

Value walk(Value root, std::span<const std::string_view> path, Evaluation& evaluation) {
  for (std::string_view part : path) {
    // An object's members are searched one after the other.
    if (root.is_object() && !evaluation.charge(root.members().size() / kItemsAStep)) return {};
    root = step_into(root, part);
  }
  return root;
}

Value look_up(std::span<const std::string_view> path, Evaluation& evaluation) {
  if (evaluation.scope != nullptr) return walk(*evaluation.scope, path, evaluation);
  if (path.empty()) return evaluation.attributes->all(*evaluation.scratch);
  if (path[0] == "$flagd") return injected(path, evaluation);
  const Value first = evaluation.attributes->find(path[0], *evaluation.scratch);
  return path.size() == 1 ? first : walk(first, path.subspan(1), evaluation);
}

Value look_up(std::string_view path, Evaluation& evaluation) {
  constexpr std::size_t kPartsMax = 16;
  std::string_view parts[kPartsMax];
  std::size_t count = 0;
  while (!path.empty()) {
    if (count == kPartsMax) return {};
    const std::size_t dot = path.find('.');
    if (dot != 0) parts[count++] = path.substr(0, dot);
    path = dot == std::string_view::npos ? std::string_view{} : path.substr(dot + 1);
  }
  return look_up(std::span<const std::string_view>(parts, count), evaluation);
}

std::span<const Value> subject_list(const Node& call, Evaluation& evaluation) {
  const Value subject = operand(call, 0, evaluation);
  if (subject.is_null()) return {};
  if (!subject.is_array()) {
    evaluation.fail(ErrorCode::kParseError, "a list operator on something that is no list");
    return {};
  }
  return subject.items();
}

Value evaluate_in(const Node& body, const Value& item, Evaluation& evaluation) {
  // Items multiply with what is asked of each; without this bound one flag could stall every caller.
  if (!evaluation.charge(1)) return {};
  const Value* outer = evaluation.scope;
  evaluation.scope = &item;
  const Value result = evaluate(body, evaluation);
  evaluation.scope = outer;
  return result;
}

}  // namespace poundlock::flag
