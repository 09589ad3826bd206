#include <cmath>

#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  const double dividend = arithmetic_number(operand(call, 0, evaluation), evaluation);
  const double divisor = arithmetic_number(operand(call, 1, evaluation), evaluation);
  return Value::number(std::fmod(dividend, divisor));
}

}  // namespace

const Operator& op_modulo() {
  static constexpr Operator op{.name = "%",
                               .summary = "the remainder of a division; by zero is no number",
                               .example = R"({"%": [{"var": "a"}, 10]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
