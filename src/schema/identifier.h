// Names and literals as PostgreSQL reads them: the only place where a name or a value becomes SQL text.
// Pure functions; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poundlock::schema {

// NAMEDATALEN - 1, in bytes: PostgreSQL cuts a longer name silently, and two cut names may collide.
inline constexpr std::size_t kIdentifierBytesMax = 63;

// "schema.unquotable_name" (kUser) when the name is empty, longer than 63 bytes, holds NUL or is no UTF-8.
Status check_identifier(std::string_view name);

// orders -> orders, Order Items -> "Order Items", user -> "user", a"b -> "a""b". Left bare only when it is
// plain lower-case and no keyword that PostgreSQL 15 to 18 keeps for itself (schema/keywords.h).
std::string quote_identifier(std::string_view name);

// Always in quotes: for rewriting expressions, where bare and quoted have to look alike.
std::string force_quote_identifier(std::string_view name);

// 'it''s'; with a backslash E'a\\b', right under either setting of standard_conforming_strings. NUL cannot
// be in a PostgreSQL text value: it is dropped here, and check values with bound parameters first.
std::string quote_literal(std::string_view value);

// A table, index or function name. An empty schema means: found through search_path.
struct QualifiedName {
  std::string schema;
  std::string name;

  std::string to_sql() const;  // quoted where needed: app."Order Items"
  auto operator<=>(const QualifiedName&) const = default;
};

// Reads orders, app.orders, app."orders", "Order Items", "a""b".c by PostgreSQL's rules (bare parts fold to
// lower case). A bare part with a character that SQL has no bare name for is an error, and so are three
// parts, empty parts, NUL and more than 63 bytes: "schema.bad_name" (kUser) with what was expected.
Result<QualifiedName> parse_qualified_name(std::string_view text);

// One name only: no dot outside quotes.
Result<std::string> parse_identifier(std::string_view text);

// A name for an object of ours made of parts: derive_name({"orders", "new_status", "sync"}) is
// orders_new_status_sync. Past 63 bytes the text is cut at a character and ends in _ and eight hex digits of
// the hash of the whole, so that two long names that begin alike stay apart.
std::string derive_name(const std::vector<std::string_view>& parts);
inline std::string derive_name(std::string_view table, std::string_view column, std::string_view role) {
  return derive_name({table, column, role});
}

}  // namespace poundlock::schema
