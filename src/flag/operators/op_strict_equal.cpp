#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  const Value a = operand(call, 0, evaluation);
  const Value b = operand(call, 1, evaluation);
  if (!charge_comparison(a, b, evaluation)) return {};
  return Value::boolean(strictly_equal(a, b));
}

}  // namespace

const Operator& op_strict_equal() {
  static constexpr Operator op{.name = "===",
                               .summary = "of one kind and equal",
                               .example = R"({"===": [{"var": "a"}, 1]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
