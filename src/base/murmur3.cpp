#include "base/murmur3.h"

#include <bit>
#include <cstring>

namespace poundlock {
namespace {

constexpr std::uint32_t kC1 = 0xcc9e2d51;
constexpr std::uint32_t kC2 = 0x1b873593;

std::uint32_t byte_at(const char* at) {
  return static_cast<unsigned char>(*at);
}

// Little-endian on every machine. g++ does not make one load of the four bytes, so that is spelt out.
std::uint32_t block_at(const char* at) {
  if constexpr (std::endian::native == std::endian::little) {
    std::uint32_t block;
    std::memcpy(&block, at, sizeof block);
    return block;
  }
  return byte_at(at) | byte_at(at + 1) << 8 | byte_at(at + 2) << 16 | byte_at(at + 3) << 24;
}

std::uint32_t scramble(std::uint32_t block) {
  return std::rotl(block * kC1, 15) * kC2;
}

std::uint32_t with_block(std::uint32_t hash, std::uint32_t block) {
  return std::rotl(hash ^ scramble(block), 13) * 5 + 0xe6546b64;
}

// The whole blocks; `bytes` keeps what is left of it, under four bytes.
std::uint32_t with_blocks(std::uint32_t hash, std::string_view& bytes) {
  const char* at = bytes.data();
  for (const char* end = at + bytes.size() / 4 * 4; at != end; at += 4) hash = with_block(hash, block_at(at));
  bytes.remove_prefix(bytes.size() / 4 * 4);
  return hash;
}

std::uint32_t tail_of(std::string_view bytes) {
  std::uint32_t tail = 0;
  for (std::size_t i = bytes.size(); i > 0; --i) tail = tail << 8 | byte_at(bytes.data() + i - 1);
  return tail;
}

std::uint32_t finished(std::uint32_t hash, std::uint32_t tail, std::size_t size) {
  hash ^= scramble(tail);
  hash ^= static_cast<std::uint32_t>(size);
  hash = (hash ^ hash >> 16) * 0x85ebca6b;
  hash = (hash ^ hash >> 13) * 0xc2b2ae35;
  return hash ^ hash >> 16;
}

}  // namespace

std::uint32_t murmur3_x86_32(std::string_view bytes, std::uint32_t seed) {
  const std::size_t size = bytes.size();
  const std::uint32_t hash = with_blocks(seed, bytes);
  return finished(hash, tail_of(bytes), size);
}

Murmur3Prefix::Murmur3Prefix(std::string_view prefix, std::uint32_t seed) : size_(prefix.size()) {
  hash_ = with_blocks(seed, prefix);
  tail_ = tail_of(prefix);
  tail_bits_ = static_cast<unsigned>(prefix.size()) * 8;
}

std::uint32_t Murmur3Prefix::hash_with(std::string_view rest) const {
  const std::size_t size = size_ + rest.size();
  std::uint32_t hash = hash_;
  if (tail_bits_ == 0) {
    hash = with_blocks(hash, rest);
    return finished(hash, tail_of(rest), size);
  }
  // Each block is the tail carried along and the first bytes of what comes.
  std::uint64_t carried = tail_;
  for (; rest.size() >= 4; rest.remove_prefix(4)) {
    carried |= static_cast<std::uint64_t>(block_at(rest.data())) << tail_bits_;
    hash = with_block(hash, static_cast<std::uint32_t>(carried));
    carried >>= 32;
  }
  carried |= static_cast<std::uint64_t>(tail_of(rest)) << tail_bits_;
  if (tail_bits_ / 8 + rest.size() >= 4) {
    hash = with_block(hash, static_cast<std::uint32_t>(carried));
    carried >>= 32;
  }
  return finished(hash, static_cast<std::uint32_t>(carried), size);
}

}  // namespace poundlock
