// Small helpers on text that schema and lint share: UTF-8, positions and the stable hash.
// Pure functions; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace poundlock::schema {

// Strict UTF-8: no overlong form, surrogate or code point past U+10FFFF.
bool is_utf8(std::string_view text);

// For messages: control characters and invalid bytes as \xHH, at most 80 characters, then "...".
std::string printable(std::string_view text);

// 32 lower-case hexadecimal digits, XXH3 with 128 bits; the same on every machine.
std::string hash_hex(std::string_view text);

struct LineColumn {
  int line = 1;    // from 1
  int column = 1;  // from 1, counted in characters (code points), as PostgreSQL's cursor positions are
  bool operator==(const LineColumn&) const = default;
};
// The position of byte `offset`; past the end is the end.
LineColumn line_column(std::string_view text, std::size_t offset);

// The byte at which character number `characters` (from 0) begins; the end when there are fewer.
std::size_t byte_of_character(std::string_view text, std::size_t characters);

}  // namespace poundlock::schema
