#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  double sum = 0;
  for (const Node& arg : call.args) sum += arithmetic_number(evaluate(arg, evaluation), evaluation);
  return Value::number(sum);
}

}  // namespace

const Operator& op_add() {
  static constexpr Operator op{.name = "+",
                               .summary = "the sum of the operands",
                               .example = R"({"+": [{"var": "a"}, 2]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
