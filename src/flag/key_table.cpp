#include <bit>
#include <cstring>

#include "base/strings.h"
#include "flag/compiler.h"

namespace poundlock::flag {

namespace {

std::uint64_t word_at(const char* bytes) {
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

std::uint64_t mixed(std::uint64_t state, std::uint64_t word) {
  constexpr std::uint64_t kFactor = 0x9E3779B97F4A7C15ULL;  // 2^64 over the golden ratio
  state = (state ^ word) * kFactor;
  return state ^ (state >> 32);
}

}  // namespace

// The last word overlaps the one before: a copy of odd length costs more than all the rest.
std::uint64_t KeyTable::hash(std::string_view key) {
  std::uint64_t state = key.size();
  if (key.size() < 8) {
    std::uint64_t word = 0;
    for (char byte : key) word = (word << 8) | static_cast<unsigned char>(byte);
    return mixed(state, word);
  }
  const char* last = key.data() + key.size() - 8;
  for (const char* at = key.data(); at < last; at += 8) state = mixed(state, word_at(at));
  return mixed(state, word_at(last));
}

void KeyTable::build(const std::deque<CompiledFlag>& flags) {
  slots_.assign(std::bit_ceil(flags.size() * 2 + 2), nullptr);
  for (const CompiledFlag& flag : flags) {
    std::size_t at = hash(flag.key) & (slots_.size() - 1);
    while (slots_[at] != nullptr) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = &flag;
  }
}

const CompiledFlag* KeyTable::find(std::string_view key) const {
  if (slots_.empty()) return nullptr;
  std::size_t at = hash(key) & (slots_.size() - 1);
  while (slots_[at] != nullptr && !same_text(slots_[at]->key, key)) at = (at + 1) & (slots_.size() - 1);
  return slots_[at];
}

}  // namespace poundlock::flag
