// Memory of one evaluation: text that `cat` joins and lists that `merge` or `map` build. The first
// kilobytes lie on the caller's stack, so that an ordinary rule allocates nothing; beyond them blocks
// come from the heap up to a limit, so that a rule cannot eat the process. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <vector>

#include "flag/value.h"

namespace poundlock::flag {

class Scratch {
 public:
  static constexpr std::size_t kLocalBytes = 2048;
  static constexpr std::size_t kSpillBytesMax = 1 << 20;

  Scratch() {}  // leaves local_ as it is: to clear it would cost more than a whole evaluation
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // The limit was reached once: what was made since may lack something, and no answer may rest on it.
  bool exhausted() const { return exhausted_; }

  // Uninitialised, aligned to 16; nullptr when the limit is reached.
  void* allocate(std::size_t bytes) {
    bytes = (bytes + 15) & ~std::size_t{15};
    if (bytes <= kLocalBytes - used_) {
      void* place = local_ + used_;
      used_ += bytes;
      return place;
    }
    return spill(bytes);
  }

  // `count` default-constructed Ts; empty when the limit is reached (or count is 0).
  template <typename T>
  std::span<T> make(std::size_t count) {
    static_assert(alignof(T) <= 16);
    if (count > kSpillBytesMax / sizeof(T)) {
      exhausted_ = true;
      return {};
    }
    T* items = static_cast<T*>(allocate(count * sizeof(T)));
    if (items == nullptr) return {};
    for (std::size_t i = 0; i < count; ++i) new (items + i) T();
    return {items, count};
  }

  // What was made of the list or object at `source`, which outlives this; nullptr where nothing is known. A
  // rule may ask for one attribute a thousand times.
  const Value* made_of(const void* source) const {
    for (const Made* one = newest_; one != nullptr; one = one->before) {
      if (one->source == source) return &one->value;
    }
    return nullptr;
  }
  Value remember(const void* source, const Value& value) {
    if (remembered_ == kRememberedMax) return value;
    void* place = allocate(sizeof(Made));
    if (place == nullptr) return value;
    newest_ = new (place) Made{source, value, newest_};
    ++remembered_;
    return value;
  }

 private:
  static constexpr std::uint32_t kRememberedMax = 32;
  struct Made {
    const void* source;
    Value value;
    const Made* before;
  };

  void* spill(std::size_t bytes) {
    std::unique_ptr<std::byte[]> block;
    if (bytes <= kSpillBytesMax - spilled_) block.reset(new (std::nothrow) std::byte[bytes]);
    if (!block) {
      exhausted_ = true;
      return nullptr;
    }
    spilled_ += bytes;
    blocks_.push_back(std::move(block));
    return blocks_.back().get();
  }

  alignas(16) std::byte local_[kLocalBytes];
  std::size_t used_ = 0;
  std::size_t spilled_ = 0;
  bool exhausted_ = false;
  std::uint32_t remembered_ = 0;
  const Made* newest_ = nullptr;
  std::vector<std::unique_ptr<std::byte[]>> blocks_;
};

}  // namespace poundlock::flag
