#include "cli/colour.h"

namespace poundlock::cli {
namespace {

std::string_view code_of(Colour colour) {
  switch (colour) {
    case Colour::kPlain: return "";
    case Colour::kBold: return "1";
    case Colour::kDim: return "2";
    case Colour::kRed: return "31";
    case Colour::kGreen: return "32";
    case Colour::kYellow: return "33";
    case Colour::kBlue: return "34";
    case Colour::kCyan: return "36";
  }
  return "";
}

}  // namespace

std::string Paint::operator()(Colour colour, std::string_view text) const {
  if (!on_ || colour == Colour::kPlain || text.empty()) return std::string(text);
  std::string out = "\x1b[";
  out += code_of(colour);
  out += 'm';
  out += text;
  return out + "\x1b[0m";
}

Colour colour_of(std::string_view word) {
  for (const std::string_view good : {"pass", "done", "running", "yes", "on"})
    if (word == good) return Colour::kGreen;
  for (const std::string_view wait : {"hold", "paused", "rolling_back", "limited", "warning"})
    if (word == wait) return Colour::kYellow;
  for (const std::string_view bad : {"fail", "rolled_back", "aborted", "no", "missing", "error"})
    if (word == bad) return Colour::kRed;
  return Colour::kPlain;
}

}  // namespace poundlock::cli
