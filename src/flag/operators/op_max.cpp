#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  if (call.args.empty()) return {};
  double best = arithmetic_number(evaluate(call.args[0], evaluation), evaluation);
  for (std::size_t i = 1; i < call.args.size(); ++i) {
    const double next = arithmetic_number(evaluate(call.args[i], evaluation), evaluation);
    if (next > best) best = next;
  }
  return Value::number(best);
}

}  // namespace

const Operator& op_max() {
  static constexpr Operator op{.name = "max",
                               .summary = "the greatest operand; null without operands",
                               .example = R"({"max": [{"var": "a"}, 10]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
