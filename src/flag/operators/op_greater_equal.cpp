#include "flag/operator.h"

namespace poundlock::flag {

namespace {

// With two operands a comparison, with three a between; further operands are not looked at.
bool ordered(const Value& a, const Value& b, Evaluation& evaluation) {
  if (!charge_comparison(a, b, evaluation)) return false;
  return less(b, a) || loosely_equal(a, b);
}

Value run(const Node& call, Evaluation& evaluation) {
  if (call.args.size() < 2) return Value::boolean(false);
  const Value first = operand(call, 0, evaluation);
  const Value second = operand(call, 1, evaluation);
  if (!ordered(first, second, evaluation)) return Value::boolean(false);
  return Value::boolean(call.args.size() == 2 || ordered(second, operand(call, 2, evaluation), evaluation));
}

}  // namespace

const Operator& op_greater_equal() {
  static constexpr Operator op{.name = ">=",
                               .summary = "greater or equal",
                               .example = R"({">=": [1, {"var": "a"}, 5]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
