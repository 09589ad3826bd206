// Text helpers that several parsers share. Pure functions, safe from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/error.h"

namespace poundlock {

// Offset of the first byte that is not well-formed UTF-8 (RFC 3629: no overlong form, no surrogate,
// nothing above U+10FFFF); std::string_view::npos where all of it is.
std::size_t first_invalid_utf8(std::string_view text);

// Line and column (from 1; columns count characters) of a byte offset in well-formed text.
SourcePosition position_at(std::string_view text, std::size_t offset, std::string file);

// a == b without a call for up to 16 bytes: to call memcmp for each short name costs more than to compare it.
inline bool same_text(std::string_view a, std::string_view b) {
  const std::size_t size = a.size();
  if (size != b.size()) return false;
  const auto equal = [&]<typename Word>(Word, std::size_t at) {
    Word x, y;
    std::memcpy(&x, a.data() + at, sizeof x);
    std::memcpy(&y, b.data() + at, sizeof y);
    return x == y;
  };
  if (size > 16) return a == b;
  if (size >= 8) return equal(std::uint64_t{}, 0) && equal(std::uint64_t{}, size - 8);
  if (size >= 4) return equal(std::uint32_t{}, 0) && equal(std::uint32_t{}, size - 4);
  return size == 0 || (a[0] == b[0] && a[size / 2] == b[size / 2] && a[size - 1] == b[size - 1]);
}

// "what: reason", or what alone where nobody gave a reason.
std::string with_reason(std::string what, std::string_view reason);

// The text in single quotes for an error message: cut after `max` bytes at a character's edge, and
// with control characters spelt \n or \x1b, so that a file cannot steer the reader's terminal.
std::string quote_for_message(std::string_view text, std::size_t max = 60);

}  // namespace poundlock
