#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  std::int16_t branch = 0;
  return evaluate_if(call, evaluation, branch);
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
