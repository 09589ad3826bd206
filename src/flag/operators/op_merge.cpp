#include <algorithm>

#include "flag/operator.h"

namespace poundlock::flag {

namespace {

Value run(const Node& call, Evaluation& evaluation) {
  constexpr std::size_t kInline = 4;
  Value few[kInline];
  std::span<Value> parts(few, std::min(call.args.size(), kInline));
  if (call.args.size() > kInline) parts = evaluation.scratch->make<Value>(call.args.size());
  std::size_t count = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i] = evaluate(call.args[i], evaluation);
    count += parts[i].is_array() ? parts[i].items().size() : 1;
  }
  if (!evaluation.charge(count / kItemsAStep)) return {};
  std::span<Value> merged = evaluation.scratch->make<Value>(count);
  if (merged.size() != count || parts.size() != call.args.size()) {
    return evaluation.fail(ErrorCode::kGeneral, "the rule needs too much memory");
  }
  auto next = merged.begin();
  for (const Value& part : parts) {
    if (part.is_array()) {
      next = std::copy(part.items().begin(), part.items().end(), next);
    } else {
      *next++ = part;
    }
  }
  return Value::array(merged);
}

}  // namespace

const Operator& op_merge() {
  static constexpr Operator op{.name = "merge",
                               .summary = "the operands as one list; a list gives its items",
                               .example = R"({"merge": [["a"], ["b", "c"]]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
