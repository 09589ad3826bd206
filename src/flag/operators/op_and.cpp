#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  Value last = Value::boolean(true);
  for (const Node& arg : call.args) {
    last = evaluate(arg, evaluation);
    if (!truthy(last)) break;
  }
  return last;
}

}  // namespace

const Operator& op_and() {
  static constexpr Operator op{.name = "and",
                               .summary = "the first false operand, else the last one",
                               .example = R"({"and": [{"var": "beta"}, {"==": [{"var": "tier"}, "gold"]}]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
