#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  if (call.args.size() < 2) return Value::boolean(false);
  const std::span<const Value> items = subject_list(call, evaluation);
  for (const Value& item : items) {
    const bool holds = truthy(evaluate_in(call.args[1], item, evaluation));
    if (evaluation.failed()) return {};
    if (holds) return Value::boolean(false);
  }
  return Value::boolean(!false);
}

}  // namespace

const Operator& op_none() {
  static constexpr Operator op{.name = "none",
                               .summary = "whether a rule is true for no item",
                               .example = R"({"none": [{"var": "sizes"}, {">": [{"var": ""}, 0]}]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
