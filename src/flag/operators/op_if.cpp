#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  std::size_t i = 0;
  for (; i + 1 < call.args.size(); i += 2) {
    if (truthy(evaluate(call.args[i], evaluation))) return evaluate(call.args[i + 1], evaluation);
    if (evaluation.failed()) return {};
  }
  return operand(call, i, evaluation);
}

}  // namespace

const Operator& op_if() {
  static constexpr Operator op{.name = "if",
                               .summary = "the operand after the first true condition, else the last one",
                               .example = R"({"if": [{"==": [{"var": "tier"}, "gold"]}, "on", "off"]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
