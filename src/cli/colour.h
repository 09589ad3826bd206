// Colour for people: SGR sequences of ECMA-48, or nothing at all. A value; thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace poundlock::cli {

enum class Colour { kPlain, kBold, kDim, kRed, kGreen, kYellow, kBlue, kCyan };

class Paint {
 public:
  explicit Paint(bool on = false) : on_(on) {}
  bool on() const { return on_; }
  std::string operator()(Colour colour, std::string_view text) const;

 private:
  bool on_;
};

// "pass", "hold", "fail", and modes of a rollout: green, yellow, red.
Colour colour_of(std::string_view word);

}  // namespace poundlock::cli
