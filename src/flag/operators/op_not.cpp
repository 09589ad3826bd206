#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  return Value::boolean(!truthy(operand(call, 0, evaluation)));
}

}  // namespace

const Operator& op_not() {
  static constexpr Operator op{.name = "!",
                               .summary = "true where the operand is false",
                               .example = R"({"!": [{"var": "blocked"}]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
