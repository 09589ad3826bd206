#include "flag/operator.h"

namespace poundlock::flag {

namespace {

// Offset of the character at `index` in UTF-8 text; its size where there are fewer.
std::size_t offset_of(std::string_view text, std::int64_t index) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    const bool starts = (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
    if (starts && index-- == 0) return at;
  }
  return at;
}

std::int64_t character_count(std::string_view text) {
  std::int64_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

std::int64_t whole(double number) {
  constexpr double kLargest = 1e9;
  if (!(number > -kLargest)) return static_cast<std::int64_t>(-kLargest);
  return static_cast<std::int64_t>(number < kLargest ? number : kLargest);
}

Value run(const Node& call, Evaluation& evaluation) {
  const std::string_view text = plain_text(operand(call, 0, evaluation), evaluation);
  if (!evaluation.charge(text.size() / kBytesReadAStep)) return {};
  const std::int64_t length = character_count(text);
  std::int64_t from = whole(arithmetic_number(operand(call, 1, evaluation), evaluation));
  if (from < 0) from += length;
  if (from < 0 || from > length) return Value::text(text);
  std::int64_t to = length;
  if (call.args.size() > 2) {
    const std::int64_t wanted = whole(arithmetic_number(operand(call, 2, evaluation), evaluation));
    to = wanted < 0 ? length + wanted : from + wanted;
    if (to > length) to = length;
  }
  if (to < from) return Value::text("");
  const std::size_t begin = offset_of(text, from);
  return Value::text(text.substr(begin, offset_of(text, to) - begin));
}

}  // namespace

const Operator& substr() {
  static constexpr Operator op{.name = "substr",
                               .summary = "a part of a text, in characters; negative counts from the end",
                               .example = R"({"substr": [{"var": "sku"}, 0, 2]})",
                               .evaluate = run};
  return op;
}

}  // namespace poundlock::flag
