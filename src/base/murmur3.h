// MurmurHash3, the 32-bit variant for x86 (Austin Appleby, public domain algorithm): what flagd and
// the OpenFeature providers hash for percentage splits, so that every evaluator puts a user into the
// same bucket. Not for secrets. No allocation; safe from any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace poundlock {

std::uint32_t murmur3_x86_32(std::string_view bytes, std::uint32_t seed = 0);

}  // namespace poundlock
