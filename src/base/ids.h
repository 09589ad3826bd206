// Hexadecimal text for identifiers and digests, and a comparison for secrets. Nothing here draws a
// random number: whoever needs an id brings its bytes. Pure, safe from any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace poundlock {

std::string to_hex(std::string_view bytes);  // two lowercase digits a byte

// The bytes that an even number of hexadecimal digits (either case) spells; otherwise a user error
// "hex.invalid", which does not repeat the text, for it may be a secret.
Result<std::string> parse_hex(std::string_view digits);

// Takes a time that depends on the lengths only, so that a caller who guesses a token learns nothing
// from how long the refusal takes.
bool constant_time_equal(std::string_view a, std::string_view b);

}  // namespace poundlock
