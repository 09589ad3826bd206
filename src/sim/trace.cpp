#include "sim/trace.h"

#include <fmt/format.h>

namespace poundlock::sim {
namespace {
constexpr std::size_t kLinesMax = 200'000;
}  // namespace

void Trace::add(TimePoint at, const std::string& line) {
  std::string text = fmt::format("{:>9.3f} {}", static_cast<double>(at.ms) / 1000.0, line);
  for (const char c : text) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  // What led to a violation is the newest: the middle of a very long run is given up first.
  if (lines_.size() >= kLinesMax) {
    const auto half = static_cast<std::ptrdiff_t>(kLinesMax / 2);
    lines_.erase(lines_.begin() + half / 2, lines_.begin() + half);
  }
  lines_.push_back(std::move(text));
}

std::vector<std::string> Trace::tail(std::size_t lines) const {
  const std::size_t from = lines_.size() > lines ? lines_.size() - lines : 0;
  return {lines_.begin() + static_cast<std::ptrdiff_t>(from), lines_.end()};
}

}  // namespace poundlock::sim
