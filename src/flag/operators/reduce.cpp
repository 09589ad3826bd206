#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  if (call.args.size() < 3) return Value::number(0);
  Value accumulator = operand(call, 2, evaluation);
  for (const Value& item : subject_list(call, evaluation)) {
    // In scratch, not on the stack: a rule may keep a list that refers to its scope.
    std::span<Member> members = evaluation.scratch->make<Member>(2);
    if (members.empty()) return evaluation.fail(ErrorCode::kGeneral, "the rule needs too much memory");
    members[0] = {"current", item};
    members[1] = {"accumulator", accumulator};
    const Value scope = Value::object(members);
    const Value next = evaluate_in(call.args[1], scope, evaluation);
    if (evaluation.failed()) return {};
    accumulator = next;
  }
  return accumulator;
}

}  // namespace

const Operator& reduce() {
  static constexpr Operator op{
      .name = "reduce",
      .summary = "a list folded into one value through current and accumulator",
      .example = R"({"reduce": [{"var": "sizes"}, {"+": [{"var": "current"}, {"var": "accumulator"}]}, 0]})",
      .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
