// Names as reports carry them: short, well-formed UTF-8, without control characters. One name that the
// server refuses would otherwise keep every later report from being taken.
#pragma once

#include <string>
#include <string_view>

namespace poundlock {

inline constexpr std::size_t kNameMax = 128;  // bytes; the server's limit

// Cut and cleaned; `empty` stands in for nothing at all.
std::string clean_name(std::string_view name, std::string_view empty = "");

}  // namespace poundlock
