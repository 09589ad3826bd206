#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  if (call.args.size() != 2) return {};
  const Value text = operand(call, 0, evaluation);
  const Value part = operand(call, 1, evaluation);
  if (!text.is_string() || !part.is_string()) return {};
  if (!charge_comparison(text, part, evaluation)) return {};
  return Value::boolean(text.as_string().ends_with(part.as_string()));
}

}  // namespace

const Operator& ends_with() {
  static constexpr Operator op{.name = "ends_with",
                               .summary = "whether a text ends with another; null unless both are text",
                               .example = R"({"ends_with": [{"var": "email"}, "@example.com"]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
