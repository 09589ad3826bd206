#include "base/strings.h"
#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  const Value a = operand(call, 0, evaluation);
  const Value b = operand(call, 1, evaluation);
  if (!charge_comparison(a, b, evaluation)) return {};
  if (a.is_string() && b.is_string()) return Value::boolean(same_text(a.as_string(), b.as_string()));
  return Value::boolean(loosely_equal(a, b));
}

}  // namespace

const Operator& op_equal() {
  static constexpr Operator op{.name = "==",
                               .summary = "equal as text where both are text, else as numbers",
                               .example = R"({"==": [{"var": "a"}, 1]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
