#include <algorithm>

#include "flag/operator.h"

namespace poundlock::flag {

namespace {

bool blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

Value run(const Node& call, Evaluation& evaluation) {
  constexpr std::size_t kInline = 4;
  std::string_view few[kInline];
  std::span<std::string_view> parts(few, std::min(call.args.size(), kInline));
  if (call.args.size() > kInline) parts = evaluation.scratch->make<std::string_view>(call.args.size());
  std::size_t size = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i] = plain_text(evaluate(call.args[i], evaluation), evaluation);
    size += parts[i].size();
  }
  if (!evaluation.charge(size / kBytesReadAStep)) return {};
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
  static constexpr Operator op{
      .name = "cat",
      .summary = "the operands as one text, without blanks at its ends; null is empty",
      .example = R"({"cat": [{"var": "$flagd.flagKey"}, {"var": "email"}]})",
      .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
