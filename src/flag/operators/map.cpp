#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  if (call.args.size() < 2) return Value::array({});
  const std::span<const Value> items = subject_list(call, evaluation);
  std::span<Value> mapped = evaluation.scratch->make<Value>(items.size());
  if (mapped.size() != items.size()) {
    return evaluation.fail(ErrorCode::kGeneral, "the rule needs too much memory");
  }
  for (std::size_t i = 0; i < items.size() && !evaluation.failed(); ++i) {
    mapped[i] = evaluate_in(call.args[1], items[i], evaluation);
  }
  return Value::array(mapped);
}

}  // namespace

const Operator& map() {
  static constexpr Operator op{.name = "map",
                               .summary = "the list of what a rule gives for each item",
                               .example = R"({"map": [{"var": "sizes"}, {"*": [{"var": ""}, 2]}]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
