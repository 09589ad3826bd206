#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  double product = 1;
  for (const Node& arg : call.args) product *= arithmetic_number(evaluate(arg, evaluation), evaluation);
  return Value::number(product);
}

}  // namespace

const Operator& op_multiply() {
  static constexpr Operator op{.name = "*",
                               .summary = "the product of the operands",
                               .example = R"({"*": [{"var": "a"}, 2]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
