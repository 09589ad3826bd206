#include "rollout/row_copies.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "schema/identifier.h"

namespace poundlock::rollout {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$';
}

bool is_space(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

// Lower case, without comments: what a comment says copies nothing. Texts in quotes stay, since a dynamic
// statement is one.
std::string plain(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 2) == "--") {
      i = std::min(text.find('\n', i), text.size());
      out += ' ';
    } else if (text.substr(i, 2) == "/*") {
      const auto end = text.find("*/", i + 2);
      i = end == std::string_view::npos ? text.size() : end + 1;
      out += ' ';
    } else {
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(text[i])));
    }
  }
  return out;
}

// After the name: closing parentheses, then .* of all columns.
bool is_star(std::string_view rest) {
  const auto skip = [&](char also) {
    while (!rest.empty() && (is_space(rest.front()) || rest.front() == also)) rest.remove_prefix(1);
  };
  skip(')');
  if (!rest.starts_with('.')) return false;
  rest.remove_prefix(1);
  skip(' ');
  return rest.starts_with('*');
}

// Before the name, across opening parentheses: a list of columns begins or goes on.
bool is_listed(std::string_view before) {
  while (!before.empty() && (is_space(before.back()) || before.back() == '(')) before.remove_suffix(1);
  if (before.ends_with(',')) return true;
  for (const std::string_view word : {"select", "values", "all", "distinct"}) {
    if (before.ends_with(word) &&
        (before.size() == word.size() || !is_word(before[before.size() - word.size() - 1])))
      return true;
  }
  return false;
}

}  // namespace

bool copies_rows(std::string_view definition) {
  const std::string text = plain(definition);
  for (const std::string_view name : {"new", "old"}) {
    for (auto at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
      const std::string_view whole(text);
      if (at > 0 && (is_word(text[at - 1]) || text[at - 1] == '.' || text[at - 1] == '"')) continue;
      if (is_star(whole.substr(at + name.size())) && is_listed(whole.substr(0, at))) return true;
    }
  }
  return false;
}

Status check_row_copies(const schema::Catalog& catalog, const schema::Table& table) {
  for (const auto& trigger : table.triggers) {
    const auto function =
        std::find_if(catalog.functions.begin(), catalog.functions.end(), [&](const schema::Function& one) {
          const schema::QualifiedName name{one.schema, one.name};
          return one.arguments.empty() && name.to_sql() == trigger.function;
        });
    if (function == catalog.functions.end() || !copies_rows(function->definition)) continue;
    return fail(
        user_error("rollout.row_copy",
                   fmt::format("trigger {} of {} calls {}(), which copies whole rows (NEW.*): with one "
                               "more column it fails, and every writer with it",
                               trigger.name, table.qualified().to_sql(), trigger.function))
            .with_hint("name the columns in the function; where it is right as it is, waive it: gates: "
                       "{select_star: {waive: \"why\"}}"));
  }
  return {};
}

}  // namespace poundlock::rollout
