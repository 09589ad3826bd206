#include <cstring>

#include "base/strings.h"
#include "flag/operator.h"

namespace poundlock::flag {

namespace {

// Go's evaluator reads a list inside the list as a range: [first, last], both of them numbers.
bool in_range(const Value& needle, std::span<const Value> range, Evaluation& evaluation) {
  if (range.size() < 2) {
    evaluation.fail(ErrorCode::kParseError, "a list inside a list is a range of two numbers");
    return false;
  }
  const double number = arithmetic_number(needle, evaluation);
  return number >= arithmetic_number(range[0], evaluation) &&
         number <= arithmetic_number(range[1], evaluation);
}

bool same_item(const Value& needle, const Value& item, Evaluation& evaluation) {
  if (item.is_array()) return in_range(needle, item.items(), evaluation);
  if (needle.is_number()) return arithmetic_number(item, evaluation) == needle.as_number();
  if (needle.is_object() && item.is_object()) {
    evaluation.fail(ErrorCode::kParseError, "objects are not compared");
  }
  return strictly_equal(needle, item);
}

// std::string_view::find takes the product of the two lengths where both repeat themselves; memmem their sum.
bool holds(std::string_view text, std::string_view part, Evaluation& evaluation) {
  if (part.size() > text.size()) return false;
  if (!evaluation.charge((text.size() + part.size()) / kBytesReadAStep)) return false;
  return part.empty() || ::memmem(text.data(), text.size(), part.data(), part.size()) != nullptr;
}

// {"in": [x, {"merge": [y]}]} asks whether y is x or a list that holds x. Rollout rules ask that of every
// context, so that the one-item list is not built each time.
void prepare(Node& call) {
  if (call.args.size() != 2 || call.args[1].kind != Node::Kind::kCall) return;
  if (call.args[1].op->name != "merge" || call.args[1].args.size() != 1) return;
  Node inner = std::move(call.args[1].args[0]);
  call.args[1] = std::move(inner);
  call.item_or_list = true;
}

Value run(const Node& call, Evaluation& evaluation) {
  const Value needle = operand(call, 0, evaluation);
  const Value haystack = operand(call, 1, evaluation);
  if (call.item_or_list && !haystack.is_array()) {
    if (needle.is_string() && haystack.is_string()) {
      return Value::boolean(same_text(needle.as_string(), haystack.as_string()));
    }
    return Value::boolean(same_item(needle, haystack, evaluation));
  }
  if (haystack.is_string()) {
    if (!needle.is_string()) {
      return evaluation.fail(ErrorCode::kParseError, "only text can be looked for in text");
    }
    return Value::boolean(holds(haystack.as_string(), needle.as_string(), evaluation));
  }
  if (!haystack.is_array()) return Value::boolean(false);
  const std::size_t length = needle.is_string() ? needle.as_string().size() : 0;
  const std::size_t each = 1 + length / kBytesComparedAStep;
  if (!evaluation.charge(haystack.items().size() * each / kItemsAStep)) return {};
  for (const Value& item : haystack.items()) {
    if (needle.is_string() && item.is_string()) {
      if (same_text(needle.as_string(), item.as_string())) return Value::boolean(true);
      continue;
    }
    if (same_item(needle, item, evaluation)) return Value::boolean(true);
    if (evaluation.failed()) return {};
  }
  return Value::boolean(false);
}

}  // namespace

const Operator& op_in() {
  static constexpr Operator op{.name = "in",
                               .summary = "whether a text holds a part, or a list an item",
                               .example = R"({"in": [{"var": "country"}, ["us", "ca"]]})",
                               .evaluate = run,
                               .prepare = prepare};
  return op;
}

}  // namespace poundlock::flag
