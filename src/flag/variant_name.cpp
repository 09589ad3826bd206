#include "flag/variant_name.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace poundlock::flag {
namespace {

// No variant's name is longer (Limits), so that what does not fit names nothing.
constexpr std::size_t kNameMax = 1024;
constexpr std::size_t kMembersMax = 64;

// Go's encoding/json without its quotes.
class GoText {
 public:
  void write(const Value& value) {
    switch (value.kind()) {
      case Value::Kind::kNull: return append("null");
      case Value::Kind::kBool: return append(value.as_bool() ? "true" : "false");
      case Value::Kind::kNumber: return number(value.as_number());
      case Value::Kind::kString: return text(value.as_string());
      case Value::Kind::kArray: return list(value.items());
      case Value::Kind::kObject: return object(value.members());
    }
  }
  bool fits() const { return fits_; }
  std::string_view view() const { return {text_.data(), size_}; }

 private:
  void append(std::string_view part) {
    fits_ = fits_ && part.size() <= text_.size() - size_;
    if (!fits_) return;
    std::copy(part.begin(), part.end(), text_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += part.size();
  }
  void number(double value) {
    const double size = std::fabs(value);
    if (size == 0 || (size >= 1e-6 && size < 1e21)) {
      char buffer[kNumberText];
      return append(number_text(value, buffer));
    }
    char buffer[32];
    const auto [end, code] =
        std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
    if (code != std::errc{}) return;
    const std::string_view written(buffer, static_cast<std::size_t>(end - buffer));
    const std::size_t zero = written.find("e-0");  // Go writes 1e-7 here, and 1e+21
    append(written.substr(0, zero == std::string_view::npos ? written.size() : zero + 2));
    if (zero != std::string_view::npos) append(written.substr(zero + 3));
  }
  void text(std::string_view value) {
    for (std::size_t i = 0; i < value.size() && fits_; ++i) {
      const std::string_view rest = value.substr(i);
      if (rest.starts_with("\u2028") || rest.starts_with("\u2029")) {
        append(rest[2] == '\xa8' ? "\\u2028" : "\\u2029");
        i += 2;
      } else {
        character(value[i]);
      }
    }
  }
  void character(char c) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"') return append("\\");
    if (c == '\\') return append("\\\\");
    if (c == '\n') return append("\\n");
    if (c == '\r') return append("\\r");
    if (c == '\t') return append("\\t");
    if (byte >= 0x20 && c != '<' && c != '>' && c != '&') return append({&c, 1});
    const char escaped[] = {'\\', 'u', '0', '0', kDigits[byte >> 4], kDigits[byte & 15]};
    append({escaped, sizeof escaped});
  }
  void list(std::span<const Value> items) {
    append("[");
    for (std::size_t i = 0; i < items.size() && fits_; ++i) {
      if (i > 0) append(",");
      write(items[i]);
    }
    append("]");
  }
  void object(std::span<const Member> members) {
    std::array<const Member*, kMembersMax> sorted;
    fits_ = fits_ && members.size() <= kMembersMax;
    if (!fits_) return;
    for (std::size_t i = 0; i < members.size(); ++i) sorted[i] = &members[i];
    const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(members.size());
    std::sort(sorted.begin(), end, [](const Member* a, const Member* b) { return a->key < b->key; });
    append("{");
    for (auto member = sorted.begin(); member != end && fits_; ++member) {
      if (member != sorted.begin()) append(",");
      text((*member)->key);
      append(":");
      write((*member)->value);
    }
    append("}");
  }

  std::array<char, kNameMax> text_;
  std::size_t size_ = 0;
  bool fits_ = true;
};

// Not inlined: its buffers would be a part of every evaluation's stack.
[[gnu::noinline]] const Variant* find_go_text(const CompiledFlag& flag, const Value& result) {
  GoText text;
  text.write(result);
  return text.fits() ? flag.find_variant(text.view()) : nullptr;
}

}  // namespace

const Variant* variant_for(const CompiledFlag& flag, const Value& result) {
  if (result.is_bool()) return flag.find_variant(result.as_bool() ? "true" : "false");
  if (!result.is_string()) return find_go_text(flag, result);
  const std::string_view name = result.as_string();
  // What Go's text has and the name has not is a backslash at least.
  if (flag.has_backslash) {
    if (const Variant* variant = find_go_text(flag, result)) return variant;
  }
  return flag.find_variant(name);
}

}  // namespace poundlock::flag
