#include "cli/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace poundlock::cli {
namespace {

struct Character {
  std::uint32_t code = 0xFFFD;
  std::size_t bytes = 1;
};

Character decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  std::size_t length = 0;
  if (first >= 0xC2 && first < 0xE0) length = 2;
  if (first >= 0xE0 && first < 0xF0) length = 3;
  if (first >= 0xF0 && first < 0xF5) length = 4;
  if (length == 0 || text.size() < length) return {};
  std::uint32_t code = first & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return {};
    code = (code << 6) | (byte(i) & 0x3FU);
  }
  return {code, length};
}

using Range = std::pair<std::uint32_t, std::uint32_t>;

bool within(std::uint32_t code, const Range* begin, const Range* end) {
  return std::any_of(begin, end, [&](const Range& one) { return code >= one.first && code <= one.second; });
}

// Unicode 15, the blocks that occur in names and messages.
int width_of(std::uint32_t code) {
  static constexpr std::array<Range, 7> kNone{{{0x300, 0x36F},
                                               {0x483, 0x489},
                                               {0x591, 0x5BD},
                                               {0x200B, 0x200D},
                                               {0x20D0, 0x20FF},
                                               {0xFE00, 0xFE0F},
                                               {0xFE20, 0xFE2F}}};
  static constexpr std::array<Range, 9> kWide{{{0x1100, 0x115F},
                                               {0x2E80, 0xA4CF},
                                               {0xAC00, 0xD7A3},
                                               {0xF900, 0xFAFF},
                                               {0xFE30, 0xFE6F},
                                               {0xFF00, 0xFF60},
                                               {0xFFE0, 0xFFE6},
                                               {0x1F300, 0x1FAFF},
                                               {0x20000, 0x3FFFD}}};
  if (code < 0x300) return 1;
  if (within(code, kNone.data(), kNone.data() + kNone.size())) return 0;
  return within(code, kWide.data(), kWide.data() + kWide.size()) ? 2 : 1;
}

bool steers(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x200E && code <= 0x200F) ||
         (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0x2028 ||
         code == 0x2029 || code == 0xFEFF;
}

// Bytes of an escape sequence (ECMA-48) that begins here: ESC [ ... final, ESC ] ... BEL, or two bytes.
std::size_t escape_length(std::string_view text) {
  if (text.size() < 2) return 1;
  if (text[1] == '[') {
    std::size_t i = 2;
    while (i < text.size() && text[i] >= 0x20 && text[i] < 0x40) ++i;
    return std::min(i + 1, text.size());
  }
  if (text[1] == ']') {
    const auto end = text.find_first_of("\x07\x1b\n", 2);
    return end == std::string_view::npos ? text.size() : end + (text[end] == '\n' ? 0 : 1);
  }
  return 2;
}

std::string cleaned(std::string_view text, bool keep_lines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character one = decode(text);
    std::size_t used = one.bytes;
    if (one.code == 0xFFFD && one.bytes == 1) {
      out += "\xEF\xBF\xBD";
    } else if (one.code == '\n' && keep_lines) {
      out += '\n';
    } else if (one.code == '\n' || one.code == '\t') {
      out += ' ';
    } else if (one.code == 0x1B) {
      used = escape_length(text);
    } else if (!steers(one.code)) {
      out += text.substr(0, one.bytes);
    }
    text.remove_prefix(used);
  }
  return out;
}

// The bytes of the longest beginning that takes at most `width` cells.
std::size_t bytes_within(std::string_view text, int width) {
  std::size_t at = 0;
  for (int used = 0; at < text.size();) {
    const Character one = decode(text.substr(at));
    used += width_of(one.code);
    if (used > width) break;
    at += one.bytes;
  }
  return at;
}

}  // namespace

int display_width(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const Character one = decode(text);
    width += width_of(one.code);
    text.remove_prefix(one.bytes);
  }
  return width;
}

std::string clean(std::string_view text) {
  return cleaned(text, false);
}
std::string clean_lines(std::string_view text) {
  return cleaned(text, true);
}

std::string fit(std::string_view text, int width) {
  if (display_width(text) <= width) return std::string(text);
  if (width <= 0) return "";
  return std::string(text.substr(0, bytes_within(text, width - 1))) + "…";
}

std::string pad_right(std::string_view text, int width) {
  std::string out(text);
  out.append(static_cast<std::size_t>(std::max(0, width - display_width(text))), ' ');
  return out;
}

std::string pad_left(std::string_view text, int width) {
  return std::string(static_cast<std::size_t>(std::max(0, width - display_width(text))), ' ') +
         std::string(text);
}

std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::vector<std::string> wrap(std::string_view text, int width) {
  std::vector<std::string> lines;
  width = std::max(width, 1);
  while (display_width(text) > width) {
    std::size_t cut = std::max<std::size_t>(bytes_within(text, width), decode(text).bytes);
    if (const auto space = text.rfind(' ', cut); space != std::string_view::npos && space > 0) cut = space;
    lines.emplace_back(text.substr(0, cut));
    text.remove_prefix(cut);
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  }
  if (!text.empty() || lines.empty()) lines.emplace_back(text);
  return lines;
}

}  // namespace poundlock::cli
