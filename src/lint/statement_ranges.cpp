#include "lint/statement_ranges.h"

namespace poundlock::lint {

// The same ends as schema/sql.cpp finds: semicolons outside parentheses and BEGIN ATOMIC bodies.
std::vector<schema::ByteRange> statement_ranges(std::string_view script) {
  std::vector<schema::ByteRange> ranges;
  const auto tokens = schema::scan(script);
  if (!tokens) return ranges;
  schema::ByteRange current;
  int parentheses = 0;
  int atomic = 0;  // depth of CASE ... END in a BEGIN ATOMIC body, from 1
  std::string_view before;
  const auto finish = [&] {
    if (current.size() > 0) ranges.push_back(current);
    current = {};
    parentheses = 0;
    before = {};
  };
  for (const schema::Token& token : *tokens) {
    if (token.comment) continue;
    if (token.id == ';' && parentheses <= 0 && atomic == 0) {
      finish();
      continue;
    }
    const std::string_view word = script.substr(token.range.begin, token.range.size());
    const auto is = [&](std::string_view other) { return schema::equals_ignoring_case(word, other); };
    parentheses += (token.id == '(') - (token.id == ')');
    if (is("atomic") && schema::equals_ignoring_case(before, "begin"))
      atomic = 1;
    else if (atomic > 0)
      atomic += static_cast<int>(is("case")) - static_cast<int>(is("end"));
    if (current.size() == 0) current.begin = token.range.begin;
    current.end = token.range.end;
    before = word;
  }
  finish();
  return ranges;
}

}  // namespace poundlock::lint
