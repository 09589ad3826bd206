// MurmurHash3, the 32-bit variant for x86 (Austin Appleby, public domain algorithm): what flagd and
// the OpenFeature providers hash for percentage splits, so that every evaluator puts a user into the
// same bucket. Not for secrets. No allocation; safe from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace poundlock {

std::uint32_t murmur3_x86_32(std::string_view bytes, std::uint32_t seed = 0);

// The same hash of a fixed beginning and an end that changes: the beginning is hashed once, and the two are
// never copied together. Immutable.
class Murmur3Prefix {
 public:
  explicit Murmur3Prefix(std::string_view prefix, std::uint32_t seed = 0);
  std::uint32_t hash_with(std::string_view rest) const;  // murmur3_x86_32(prefix + rest, seed)

 private:
  std::uint32_t hash_ = 0;  // of the whole blocks of four bytes
  std::uint32_t tail_ = 0;  // the bytes after them, little-endian
  unsigned tail_bits_ = 0;  // 0, 8, 16 or 24
  std::size_t size_ = 0;
};

}  // namespace poundlock
