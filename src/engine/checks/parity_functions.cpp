// Two versions of a function: a hash tells that they differ, and nobody can read it.
#include <fmt/format.h>

#include <map>
#include <optional>
#include <sstream>

#include "engine/checks/parity_sides.h"
#include "schema/scan.h"
#include "schema/text.h"

namespace poundlock::engine {
namespace {

std::string_view trimmed(std::string_view line) {
  const std::size_t end = line.find_last_not_of(" \t\r\n");
  return end == std::string_view::npos ? std::string_view{} : line.substr(0, end + 1);
}

struct Parts {
  std::string_view head, body;
};

// pg_get_functiondef() quotes a body in $function$, with an x more for each time that the body holds it. A
// body of another language may mean something by its white space.
std::optional<Parts> parts_of(std::string_view definition) {
  const std::size_t at = definition.find("\nAS $function");
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view head = definition.substr(0, at);
  if (head.find("\n LANGUAGE plpgsql") == std::string_view::npos &&
      head.find("\n LANGUAGE sql") == std::string_view::npos)
    return std::nullopt;
  const std::size_t begin = definition.find('$', at + 5);
  if (begin == std::string_view::npos) return std::nullopt;
  const std::string_view mark = definition.substr(at + 4, begin + 1 - (at + 4));
  const std::size_t end = definition.rfind(mark);
  if (end <= begin) return std::nullopt;
  return Parts{head, definition.substr(begin + 1, end - begin - 1)};
}

// Token by token; a comment is one, since hints for planners are comments.
bool same_but_for_space(std::string_view a, std::string_view b) {
  const auto from = parts_of(a), to = parts_of(b);
  if (!from || !to || from->head != to->head) return false;
  const auto left = schema::scan(from->body), right = schema::scan(to->body);
  if (!left || !right || left->size() != right->size()) return false;
  const auto text = [](std::string_view body, const schema::Token& token) {
    const auto all = body.substr(token.range.begin, token.range.size());
    return token.comment ? trimmed(all) : all;
  };
  for (std::size_t i = 0; i < left->size(); ++i)
    if (text(from->body, (*left)[i]) != text(to->body, (*right)[i])) return false;
  return true;
}

// The first line in which they differ, of each; "" where one has no more lines.
std::string line_of(const std::string& definition, int number) {
  std::istringstream in(definition);
  std::string line;
  for (int i = 0; i < number; ++i)
    if (!std::getline(in, line)) return "is not there";
  const auto text = trimmed(line);
  const std::size_t begin = text.find_first_not_of(" \t");
  return begin == std::string_view::npos ? "is empty" : schema::printable(text.substr(begin));
}

int first_difference(const std::string& a, const std::string& b) {
  std::istringstream left(a), right(b);
  std::string x, y;
  for (int number = 1;; ++number) {
    const bool more = static_cast<bool>(std::getline(left, x));
    const bool other = static_cast<bool>(std::getline(right, y));
    if (!more && !other) return 0;
    if (more != other || trimmed(x) != trimmed(y)) return number;
  }
}

std::map<std::string, const schema::Function*> by_signature(const schema::Catalog& catalog) {
  std::map<std::string, const schema::Function*> out;
  for (const auto& function : catalog.functions)
    out.emplace(
        schema::QualifiedName{function.schema, function.name}.to_sql() + '(' + function.arguments + ')',
        &function);
  return out;
}

}  // namespace

void describe_functions(const schema::Catalog& from, const schema::Catalog& to,
                        std::vector<Difference>& all) {
  std::map<std::string, const schema::Function*> left, right;
  for (auto& one : all) {
    if (one.kind != "function" || !one.from || !one.to) continue;
    if (left.empty()) {
      left = by_signature(from);
      right = by_signature(to);
    }
    const auto a = left.find(one.object), b = right.find(one.object);
    if (a == left.end() || b == right.end()) continue;
    const std::string &here = a->second->definition, &there = b->second->definition;
    if (same_but_for_space(here, there)) {
      one.blocking = false;
      for (auto* text : {&one.from, &one.to}) **text += ", only white space differs";
      continue;
    }
    const int line = first_difference(here, there);
    if (line == 0) continue;
    *one.from += fmt::format(", line {}: {}", line, line_of(here, line));
    *one.to += fmt::format(", line {}: {}", line, line_of(there, line));
  }
}

}  // namespace poundlock::engine
