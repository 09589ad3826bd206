#include "lint/ignore.h"

#include <fmt/format.h>

#include <algorithm>

#include "lint/rule.h"

namespace poundlock::lint {
namespace {

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

bool take_word(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text = trim(text.substr(word.size()));
  return true;
}

// The text between -- or /* */.
std::string_view inside(std::string_view comment) {
  comment.remove_prefix(2);
  if (comment.ends_with("*/")) comment.remove_suffix(2);
  return trim(comment);
}

// Behind a statement on its last line: that statement's. Else the first that ends after the comment.
std::size_t statement_of(const schema::Script& script, const schema::Comment& comment) {
  const auto& statements = script.statements;
  const auto after = std::ranges::partition_point(statements, [&](const schema::Statement& statement) {
    return statement.offset() + statement.text().size() <= comment.range.begin;
  });
  const auto index = static_cast<std::size_t>(after - statements.begin());
  const bool within = after != statements.end() && after->offset() < comment.range.begin;
  if (within || index == 0) return index;
  const schema::Statement& before = statements[index - 1];
  if (before.position(before.text().size()).line == comment.line) return index - 1;
  return index;
}

}  // namespace

std::vector<IgnoreComment> ignore_comments(const schema::Script& script) {
  std::vector<IgnoreComment> found;
  for (const schema::Comment& comment : script.comments) {
    std::string_view text =
        inside(std::string_view(script.text).substr(comment.range.begin, comment.range.size()));
    if (!take_word(text, "poundlock:")) continue;
    IgnoreComment ignore;
    ignore.range = comment.range;
    ignore.statement = statement_of(script, comment);
    if (!take_word(text, "ignore")) {
      ignore.problem = "the one word known here is ignore";
      found.push_back(std::move(ignore));
      continue;
    }
    while (true) {
      const auto end = text.find_first_of(" \t\r\n,");
      const std::string rule(text.substr(0, end));
      if (find_rule(rule) == nullptr && rule != "syntax" && rule != "too_large")
        ignore.problem = fmt::format("there is no rule '{}'", rule);
      ignore.rules.push_back(rule);
      text = end == std::string_view::npos ? std::string_view{} : trim(text.substr(end));
      if (!take_word(text, ",")) break;
    }
    ignore.why = text;
    if (ignore.problem.empty() && ignore.why.empty()) ignore.problem = "the reason is missing";
    // A statement that does not parse follows nowhere, and may still be meant.
    const bool parsed =
        std::ranges::any_of(ignore.rules, [](const std::string& rule) { return find_rule(rule) != nullptr; });
    if (ignore.problem.empty() && parsed && ignore.statement >= script.statements.size())
      ignore.problem = "no statement follows it";
    found.push_back(std::move(ignore));
  }
  return found;
}

}  // namespace poundlock::lint
