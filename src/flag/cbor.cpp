#include "flag/cbor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>

namespace poundlock::flag {
namespace {

enum Major : std::uint8_t { kUnsigned = 0, kNegative = 1, kText = 3, kArray = 4, kMap = 5 };
constexpr unsigned char kFalse = 0xf4;
constexpr unsigned char kTrue = 0xf5;
constexpr unsigned char kNull = 0xf6;
constexpr unsigned char kHalf = 0xf9;
constexpr unsigned char kSingle = 0xfa;
constexpr unsigned char kDouble = 0xfb;

// As half precision, where that loses nothing.
std::optional<std::uint16_t> as_half(float number) {
  const auto bits = std::bit_cast<std::uint32_t>(number);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  const int exponent = static_cast<int>(bits >> 23 & 0xff) - 127;
  const std::uint32_t mantissa = bits & 0x7fffff;
  if (std::isnan(number)) return 0x7e00;
  if (std::isinf(number)) return static_cast<std::uint16_t>(sign | 0x7c00);
  if (exponent >= -14 && exponent <= 15 && (mantissa & 0x1fff) == 0) {
    return static_cast<std::uint16_t>(sign | (exponent + 15) << 10 | mantissa >> 13);
  }
  if (exponent >= -24 && exponent < -14) {
    const std::uint32_t significand = 0x800000 | mantissa;
    const int shift = -1 - exponent;
    if ((significand & ((1u << shift) - 1)) == 0) {
      return static_cast<std::uint16_t>(sign | significand >> shift);
    }
  }
  return std::nullopt;
}

// Writes where it was given room, and counts in any case: the first pass finds the size.
class Writer {
 public:
  Writer(Scratch& scratch, char* out) : scratch_(scratch), out_(out) {}
  std::size_t size() const { return size_; }
  bool failed() const { return failed_; }

  void write(const Value& value) {
    switch (value.kind()) {
      case Value::Kind::kNull: return byte(kNull);
      case Value::Kind::kBool: return byte(value.as_bool() ? kTrue : kFalse);
      case Value::Kind::kNumber: return number(value.as_number());
      case Value::Kind::kString: return text(value.as_string());
      case Value::Kind::kArray:
        head(kArray, value.items().size());
        for (const Value& item : value.items()) write(item);
        return;
      case Value::Kind::kObject: return object(value.members());
    }
  }

 private:
  void byte(unsigned char value) {
    if (out_ != nullptr) out_[size_] = static_cast<char>(value);
    ++size_;
  }
  void big_endian(std::uint64_t value, int bytes) {
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
      byte(static_cast<unsigned char>(value >> shift));
  }
  void head(Major major, std::uint64_t value) {
    const auto kind = static_cast<unsigned char>(major << 5);
    if (value < 24) return byte(static_cast<unsigned char>(kind | value));
    const int power = value <= 0xff ? 0 : value <= 0xffff ? 1 : value <= 0xffffffff ? 2 : 3;
    byte(static_cast<unsigned char>(kind | (24 + power)));
    big_endian(value, 1 << power);
  }
  void text(std::string_view bytes) {
    head(kText, bytes.size());
    if (out_ != nullptr && !bytes.empty()) std::memcpy(out_ + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  void number(double value) {
    constexpr double kTwo63 = 9223372036854775808.0;
    if (std::trunc(value) == value && value >= -kTwo63 && value < 2 * kTwo63) {
      if (value >= 0) return head(kUnsigned, static_cast<std::uint64_t>(value));
      return head(kNegative, static_cast<std::uint64_t>(-(static_cast<std::int64_t>(value) + 1)));
    }
    const bool may_be_single = !std::isfinite(value) || std::fabs(value) <= std::numeric_limits<float>::max();
    const auto single = may_be_single ? static_cast<float>(value) : 0.0F;
    if (!may_be_single || (static_cast<double>(single) != value && !std::isnan(value))) {
      byte(kDouble);
      return big_endian(std::bit_cast<std::uint64_t>(value), 8);
    }
    if (const auto half = as_half(single)) {
      byte(kHalf);
      return big_endian(*half, 2);
    }
    byte(kSingle);
    big_endian(std::bit_cast<std::uint32_t>(single), 4);
  }
  // A longer key has the greater head, so encoded bytes order keys by length first.
  void object(std::span<const Member> members) {
    head(kMap, members.size());
    std::span<const Member> ordered = members;
    if (members.size() > 1 && out_ != nullptr) {
      std::span<Member> copy = scratch_.make<Member>(members.size());
      failed_ = failed_ || copy.size() != members.size();
      if (failed_) return;
      std::copy(members.begin(), members.end(), copy.begin());
      std::sort(copy.begin(), copy.end(), [](const Member& a, const Member& b) {
        return a.key.size() != b.key.size() ? a.key.size() < b.key.size() : a.key < b.key;
      });
      ordered = copy;
    }
    for (const Member& member : ordered) {
      text(member.key);
      write(member.value);
    }
  }

  Scratch& scratch_;
  char* out_;
  std::size_t size_ = 0;
  bool failed_ = false;
};

}  // namespace

std::string_view cbor(const Value& value, Scratch& scratch) {
  Writer counter(scratch, nullptr);
  counter.write(value);
  char* out = static_cast<char*>(scratch.allocate(counter.size()));
  if (out == nullptr) return {};
  Writer writer(scratch, out);
  writer.write(value);
  return writer.failed() ? std::string_view() : std::string_view(out, writer.size());
}

}  // namespace poundlock::flag
