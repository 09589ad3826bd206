#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  Value last = Value::boolean(false);
  for (const Node& arg : call.args) {
    last = evaluate(arg, evaluation);
    if (truthy(last) || evaluation.failed()) break;
  }
  return last;
}

}  // namespace

const Operator& op_or() {
  static constexpr Operator op{.name = "or",
                               .summary = "the first true operand, else the last one",
                               .example = R"({"or": [{"var": "beta"}, {"var": "staff"}]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
