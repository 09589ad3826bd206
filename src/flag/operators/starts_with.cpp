#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  if (call.args.size() != 2) return {};
  const Value text = operand(call, 0, evaluation);
  const Value part = operand(call, 1, evaluation);
  if (!text.is_string() || !part.is_string()) return {};
  if (!charge_comparison(text, part, evaluation)) return {};
  return Value::boolean(text.as_string().starts_with(part.as_string()));
}

}  // namespace

const Operator& starts_with() {
  static constexpr Operator op{.name = "starts_with",
                               .summary = "whether a text begins with another; null unless both are text",
                               .example = R"({"starts_with": [{"var": "email"}, "admin@"]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
