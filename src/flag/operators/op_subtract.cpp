#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  if (call.args.empty()) return Value::number(0);
  double rest = arithmetic_number(evaluate(call.args[0], evaluation), evaluation);
  if (call.args.size() == 1) return Value::number(-rest);
  for (std::size_t i = 1; i < call.args.size(); ++i) {
    rest -= arithmetic_number(evaluate(call.args[i], evaluation), evaluation);
  }
  return Value::number(rest);
}

}  // namespace

const Operator& op_subtract() {
  static constexpr Operator op{.name = "-",
                               .summary = "the first operand less the others; one operand is negated",
                               .example = R"({"-": [{"var": "a"}, 2]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
