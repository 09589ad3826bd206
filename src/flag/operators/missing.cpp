#include "flag/operator.h"

namespace poundlock::flag {

namespace {

// {"missing": ["a", "b"]} and {"missing": [["a", "b"]]} mean the same: rules often pass a computed list.
std::span<const Value> names_of(const Node& call, Evaluation& evaluation) {
  if (call.args.size() == 1) {
    const Value only = evaluate(call.args[0], evaluation);
    if (only.is_array()) return only.items();
  }
  return evaluate_list(call, evaluation).items();
}

Value run(const Node& call, Evaluation& evaluation) {
  if (call.args.empty()) return Value::array({});
  const std::span<const Value> names = names_of(call, evaluation);
  std::span<Value> absent = evaluation.scratch->make<Value>(names.size());
  if (!evaluation.charge(names.size())) return {};
  if (absent.size() != names.size()) {
    return evaluation.fail(ErrorCode::kGeneral, "the rule needs too much memory");
  }
  std::size_t count = 0;
  for (const Value& name : names) {
    if (look_up(plain_text(name, evaluation), evaluation).is_null()) absent[count++] = name;
    if (evaluation.failed()) return {};
  }
  return Value::array(absent.first(count));
}

}  // namespace

const Operator& missing() {
  static constexpr Operator op{.name = "missing",
                               .summary = "the names among the operands that the context lacks",
                               .example = R"({"missing": ["email", "country"]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
