// Text helpers that several parsers share. Pure functions, safe from any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"

namespace poundlock {

// Offset of the first byte that is not well-formed UTF-8 (RFC 3629: no overlong form, no surrogate,
// nothing above U+10FFFF); std::string_view::npos where all of it is.
std::size_t first_invalid_utf8(std::string_view text);

// Line and column (from 1; columns count characters) of a byte offset in well-formed text.
SourcePosition position_at(std::string_view text, std::size_t offset, std::string file);

// "what: reason", or what alone where nobody gave a reason.
std::string with_reason(std::string what, std::string_view reason);

// The text in single quotes for an error message: cut after `max` bytes at a character's edge, and
// with control characters spelt \n or \x1b, so that a file cannot steer the reader's terminal.
std::string quote_for_message(std::string_view text, std::size_t max = 60);

}  // namespace poundlock
