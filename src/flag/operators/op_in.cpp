#include "flag/operator.h"

namespace poundlock::flag {

namespace {

bool same_item(const Value& needle, const Value& item, Evaluation& evaluation) {
  if (needle.is_number() && (item.is_string() || item.is_number())) {
    return arithmetic_number(item, evaluation) == needle.as_number();
  }
  return strictly_equal(needle, item);
}

Value run(const Node& call, Evaluation& evaluation) {
  const Value needle = operand(call, 0, evaluation);
  const Value haystack = operand(call, 1, evaluation);
  if (haystack.is_string()) {
    if (!needle.is_string()) {
      return evaluation.fail(ErrorCode::kParseError, "only text can be looked for in text");
    }
    return Value::boolean(haystack.as_string().find(needle.as_string()) != std::string_view::npos);
  }
  if (!haystack.is_array()) return Value::boolean(false);
  for (const Value& item : haystack.items()) {
    if (same_item(needle, item, evaluation)) return Value::boolean(true);
  }
  return Value::boolean(false);
}

}  // namespace

const Operator& op_in() {
  static constexpr Operator op{.name = "in",
                               .summary = "whether a text holds a part, or a list an item",
                               .example = R"({"in": [{"var": "country"}, ["us", "ca"]]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
