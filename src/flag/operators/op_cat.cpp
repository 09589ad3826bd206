#include "flag/operator.h"

#include <algorithm>

namespace poundlock::flag {

namespace {

constexpr std::string_view kBlanks = " \t\n\v\f\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return "";
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

Value run(const Node& call, Evaluation& evaluation) {
  constexpr std::size_t kInline = 8;
  std::string_view few[kInline];
  std::span<std::string_view> parts(few, std::min(call.args.size(), kInline));
  if (call.args.size() > kInline) parts = evaluation.scratch->make<std::string_view>(call.args.size());
  std::size_t size = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i] = plain_text(evaluate(call.args[i], evaluation), evaluation);
    size += parts[i].size();
  }
  char* text = static_cast<char*>(evaluation.scratch->allocate(size));
  if (text == nullptr || parts.size() != call.args.size()) {
    return evaluation.fail(ErrorCode::kGeneral, "the rule needs too much memory");
  }
  char* end = text;
  for (std::string_view part : parts) end = std::copy(part.begin(), part.end(), end);
  return Value::text(trimmed({text, size}));
}

}  // namespace

const Operator& op_cat() {
  static constexpr Operator op{.name = "cat",
                               .summary = "the operands as one text, without blanks at its ends; null is empty",
                               .example = R"({"cat": [{"var": "$flagd.flagKey"}, {"var": "email"}]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
