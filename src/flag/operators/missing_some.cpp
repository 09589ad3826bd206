#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  const double needed = arithmetic_number(operand(call, 0, evaluation), evaluation);
  const Value list = operand(call, 1, evaluation);
  if (!list.is_array()) return evaluation.fail(ErrorCode::kParseError, "missing_some needs a list of names");
  if (!evaluation.charge(list.items().size())) return {};
  std::span<Value> absent = evaluation.scratch->make<Value>(list.items().size());
  if (absent.size() != list.items().size()) {
    return evaluation.fail(ErrorCode::kGeneral, "the rule needs too much memory");
  }
  std::size_t count = 0;
  for (const Value& name : list.items()) {
    if (look_up(plain_text(name, evaluation), evaluation).is_null()) absent[count++] = name;
    if (evaluation.failed()) return {};
  }
  const double found = static_cast<double>(list.items().size() - count);
  return needed > found ? Value::array(absent.first(count)) : Value::array({});
}

}  // namespace

const Operator& missing_some() {
  static constexpr Operator op{.name = "missing_some",
                               .summary = "the missing names, unless at least so many are there",
                               .example = R"({"missing_some": [1, ["email", "phone"]]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
