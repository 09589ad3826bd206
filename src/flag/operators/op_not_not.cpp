#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  return Value::boolean(truthy(operand(call, 0, evaluation)));
}

}  // namespace

const Operator& op_not_not() {
  static constexpr Operator op{.name = "!!",
                               .summary = "the operand as a boolean",
                               .example = R"({"!!": [{"var": "beta"}]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
