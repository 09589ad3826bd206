#include "schema/identifier.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/keywords.h"
#include "schema/text.h"

namespace poundlock::schema {
namespace {

bool starts_bare(char c) {
  return (c >= 'a' && c <= 'z') || c == '_';
}
bool continues_bare(char c) {
  return starts_bare(c) || (c >= '0' && c <= '9');
}

bool is_plain(std::string_view name) {
  return !name.empty() && starts_bare(name.front()) && std::ranges::all_of(name, continues_bare) &&
         !std::ranges::binary_search(kQuotedKeywords, name);
}

Error bad_name(std::string_view text, std::string_view why) {
  return user_error("schema.bad_name", fmt::format("'{}' is no name: {}", printable(text), why))
      .with_hint("write it as orders, app.orders or, quoted for SQL and for YAML, table: '\"Order Items\"'");
}

Result<std::string> checked(std::string_view text, std::string part) {
  if (auto status = check_identifier(part); !status) return fail(bad_name(text, status.error().message));
  return part;
}

// Reads a name part at `at` and moves past it. Bare parts fold to lower case, ASCII letters only, as
// PostgreSQL does in a UTF-8 database.
Result<std::string> read_part(std::string_view text, std::size_t& at) {
  std::string part;
  if (at < text.size() && text[at] == '"') {
    for (++at; at < text.size(); ++at) {
      if (text[at] != '"') {
        part += text[at];
      } else if (at + 1 < text.size() && text[at + 1] == '"') {
        part += '"';
        ++at;
      } else {
        ++at;
        return checked(text, std::move(part));
      }
    }
    return fail(bad_name(text, "the quote is not closed"));
  }
  while (at < text.size() && text[at] != '.') {
    const char c = text[at];
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool allowed = continues_bare(lower) || lower == '$' || static_cast<unsigned char>(lower) >= 0x80;
    const bool first_bad = part.empty() && ((lower >= '0' && lower <= '9') || lower == '$');
    if (!allowed || first_bad)
      return fail(bad_name(text, fmt::format("'{}' needs double quotes around it", printable({&c, 1}))));
    part += lower;
    ++at;
  }
  return checked(text, std::move(part));
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

Result<std::vector<std::string>> read_parts(std::string_view text) {
  const std::string_view trimmed = trim(text);
  std::vector<std::string> parts;
  std::size_t at = 0;
  while (true) {
    PL_TRY(parts.emplace_back(), read_part(trimmed, at));
    if (at == trimmed.size()) return parts;
    if (trimmed[at] != '.') return fail(bad_name(text, "a dot or the end must follow the closing quote"));
    ++at;
    if (parts.size() == 2) return fail(bad_name(text, "three parts, where schema.name has two"));
  }
}

}  // namespace

Status check_identifier(std::string_view name) {
  const auto refuse = [](std::string why) {
    return fail(user_error("schema.unquotable_name", std::move(why)));
  };
  if (name.empty()) return refuse("a name is empty");
  if (name.find('\0') != std::string_view::npos) return refuse("a name holds a NUL byte");
  if (!is_utf8(name)) return refuse("a name is no valid UTF-8");
  if (name.size() > kIdentifierBytesMax)
    return refuse(fmt::format("a name has {} bytes, and PostgreSQL cuts it at {}: '{}'", name.size(),
                              kIdentifierBytesMax, printable(name)));
  return {};
}

std::string force_quote_identifier(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '\0') continue;  // would end the statement's text inside libpq
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string quote_identifier(std::string_view name) {
  return is_plain(name) ? std::string(name) : force_quote_identifier(name);
}

std::string quote_literal(std::string_view value) {
  const bool escaped = value.find('\\') != std::string_view::npos;
  std::string quoted = escaped ? "E'" : "'";
  for (const char c : value) {
    if (c == '\0') continue;
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  return quoted + '\'';
}

std::string QualifiedName::to_sql() const {
  if (schema.empty()) return quote_identifier(name);
  return quote_identifier(schema) + '.' + quote_identifier(name);
}

Result<QualifiedName> parse_qualified_name(std::string_view text) {
  PL_TRY(auto parts, read_parts(text));
  if (parts.size() == 1) return QualifiedName{"", std::move(parts[0])};
  return QualifiedName{std::move(parts[0]), std::move(parts[1])};
}

Result<std::string> parse_identifier(std::string_view text) {
  PL_TRY(auto parts, read_parts(text));
  if (parts.size() != 1) return fail(bad_name(text, "one name without a schema was expected"));
  return std::move(parts[0]);
}

std::string derive_name(const std::vector<std::string_view>& parts) {
  std::string name;
  for (const std::string_view part : parts) {
    if (!name.empty()) name += '_';
    name += part;
  }
  if (name.size() <= kIdentifierBytesMax) return name;
  // The length of each part goes into the hash: {"a", "b_c"} and {"a_b", "c"} are different objects.
  std::string identity;
  for (const std::string_view part : parts) identity += fmt::format("{}:{}", part.size(), part);
  const std::string suffix = "_" + hash_hex(identity).substr(0, 8);
  std::size_t cut = kIdentifierBytesMax - suffix.size();
  while (cut > 0 && (static_cast<unsigned char>(name[cut]) & 0xC0) == 0x80) --cut;  // not inside a character
  return name.substr(0, cut) + suffix;
}

}  // namespace poundlock::schema
