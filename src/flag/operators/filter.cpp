#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  if (call.args.size() < 2) return Value::array({});
  const std::span<const Value> items = subject_list(call, evaluation);
  std::span<Value> kept = evaluation.scratch->make<Value>(items.size());
  if (kept.size() != items.size()) {
    return evaluation.fail(ErrorCode::kGeneral, "the rule needs too much memory");
  }
  std::size_t count = 0;
  for (const Value& item : items) {
    if (truthy(evaluate_in(call.args[1], item, evaluation))) kept[count++] = item;
    if (evaluation.failed()) return {};
  }
  return Value::array(kept.first(count));
}

}  // namespace

const Operator& filter() {
  static constexpr Operator op{.name = "filter",
                               .summary = "the items for which a rule is true",
                               .example = R"({"filter": [{"var": "sizes"}, {">": [{"var": ""}, 2]}]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
