#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  if (call.args.size() < 2) return Value::boolean(false);
  const std::span<const Value> items = subject_list(call, evaluation);
  for (const Value& item : items) {
    const bool holds = truthy(evaluate_in(call.args[1], item, evaluation));
    if (evaluation.failed()) return {};
    if (holds) return Value::boolean(true);
  }
  return Value::boolean(!true);
}

}  // namespace

const Operator& op_some() {
  static constexpr Operator op{.name = "some",
                               .summary = "whether a rule is true for an item",
                               .example = R"({"some": [{"var": "sizes"}, {">": [{"var": ""}, 0]}]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
