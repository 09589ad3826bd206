// Text as a terminal shows it: width in cells, cutting, padding and wrapping, all aware of UTF-8; and the
// removal of what could steer the terminal. Pure functions; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace poundlock::cli {

// Cells that the text takes: combining marks none, East Asian wide characters and emoji two. Every byte that
// is no UTF-8 counts as one. Control characters must have been removed by clean().
int display_width(std::string_view text);

// Safe to print: tabs and line ends become spaces, other control characters, escape sequences and the
// characters that turn the writing direction go. Everything that a server or a file said passes through it.
std::string clean(std::string_view text);
// The same, but line ends stay: for SQL.
std::string clean_lines(std::string_view text);

std::string fit(std::string_view text, int width);  // cut with an ellipsis where it is wider
std::string pad_right(std::string_view text, int width);
std::string pad_left(std::string_view text, int width);

std::string shell_quoted(std::string_view text);  // one word of sh or fish, in single quotes

// Lines of at most `width` cells, broken at spaces where there is one. At least one line.
std::vector<std::string> wrap(std::string_view text, int width);

}  // namespace poundlock::cli
