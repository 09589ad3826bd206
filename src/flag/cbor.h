// A value as deterministic CBOR (RFC 8949, section 4.2.1): what version 3 of `fractional` hashes, so that
// every evaluator hashes the same bytes. Whole numbers from -2^63 to 2^64-1 are integers (-0 is 0), others
// the shortest float that holds them; keys are in the order of their encoded bytes.
#pragma once

#include <string_view>

#include "flag/scratch.h"
#include "flag/value.h"

namespace poundlock::flag {

// The bytes lie in scratch; an empty view where its limit is reached. Recursion is as deep as the value, and
// values are at most 32 levels deep (value.h).
std::string_view cbor(const Value& value, Scratch& scratch);

}  // namespace poundlock::flag
