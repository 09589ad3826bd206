// Values of a ports::Cell (PostgreSQL's text form) as C++ values, and the other way round. NULL and what
// cannot be read give the stated fallback: callers ask only for columns whose type they chose in their SQL.
// Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ports/database.h"

namespace poundlock::ports {

std::string to_text(const Cell& cell);  // NULL: ""
bool to_bool(const Cell& cell);         // "t" or "true"; else false
std::int64_t to_int(const Cell& cell, std::int64_t fallback = 0);
double to_double(const Cell& cell, double fallback = 0);
char to_char(const Cell& cell, char fallback);  // first byte of a "char"
std::uint32_t to_oid(const Cell& cell);
std::vector<std::string> to_names(const Cell& cell);  // a JSON array of strings: ["a", "b"]

// An array in PostgreSQL's text form, {"a","b\"c",NULL}, to be bound to a parameter cast to text[].
std::string array_literal(const std::vector<std::string>& items);
std::string array_literal(const std::vector<Cell>& items);

}  // namespace poundlock::ports
