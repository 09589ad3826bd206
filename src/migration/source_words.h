// Small readers of lines and words that the files of migration tools share. Pure; thread-safe.
#pragma once

#include <algorithm>
#include <string_view>

#include "schema/scan.h"

namespace poundlock::migration {

inline std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n\f\v");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n\f\v") - first + 1);
}

// The first line of a script that plan has written for psql, by which it is known again.
inline constexpr std::string_view kOwnScript =
    "-- For psql 10 and later. Each transaction by itself; what stands outside one cannot run inside.\n";

// The next line with its end, taken from the front of `rest`.
inline std::string_view take_line(std::string_view& rest) {
  const std::size_t size = std::min(rest.find('\n'), rest.size() - 1) + 1;
  const std::string_view line = rest.substr(0, size);
  rest.remove_prefix(size);
  return line;
}

// Takes `word` off the front in any case, and the blanks behind it.
inline bool take_word(std::string_view& text, std::string_view word) {
  if (!schema::equals_ignoring_case(text.substr(0, word.size()), word)) return false;
  text = trimmed(text.substr(word.size()));
  return true;
}

}  // namespace poundlock::migration
