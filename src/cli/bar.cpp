#include "cli/bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace poundlock::cli {
namespace {
constexpr double kLongest = 3650.0 * 86'400;  // seconds; beyond it a forecast says nothing
}

std::string bar(double share, int cells, bool utf8) {
  if (!std::isfinite(share)) share = 0;
  share = std::clamp(share, 0.0, 1.0);
  cells = std::clamp(cells, 1, 200);
  const int parts = utf8 ? 8 : 1;
  const int inner = utf8 ? cells : std::max(1, cells - 2);
  int filled = static_cast<int>(std::floor(share * inner * parts));
  // Something is visible as soon as it is more than nothing.
  if (filled == 0 && share > 0 && utf8) filled = 1;
  std::string out;
  if (!utf8) {
    out = "[" + std::string(static_cast<std::size_t>(filled), '#');
    return out + std::string(static_cast<std::size_t>(inner - filled), '.') + "]";
  }
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  for (int i = 0; i < filled / 8; ++i) out += "█";
  out += kEighths[filled % 8];
  for (int i = (filled + 7) / 8; i < inner; ++i) out += "░";
  return out;
}

std::string format_count(double value) {
  if (!std::isfinite(value)) return "?";
  std::string digits = fmt::format("{:.0f}", std::abs(value));
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return (value <= -0.5 ? "-" : "") + digits;
}

std::string format_percent(double share) {
  // 99.96 % is not all of it, and a step of 0.01 % is not nothing.
  const double percent = share * 100;
  const double shown = percent < 100 && percent > 99.99 ? 99.99 : percent;
  std::string text = fmt::format("{:.2f}", shown);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text + " %";
}

std::string format_number(double value) {
  if (!std::isfinite(value)) return "?";
  if (std::abs(value) >= 10'000) return format_count(value);
  return fmt::format("{:.4g}", value);
}

std::optional<Millis> remaining(double done, double total, double per_second) {
  if (!(total > 0) || !(per_second > 0) || !std::isfinite(done)) return std::nullopt;
  const double seconds = std::max(0.0, total - done) / per_second;
  if (!(seconds < kLongest)) return std::nullopt;
  return Millis{static_cast<std::int64_t>(seconds * 1000)};
}

std::string format_remaining(Millis left) {
  const std::int64_t seconds = std::max<std::int64_t>(0, (left.count() + 999) / 1000);
  const std::int64_t days = seconds / 86'400;
  if (days > 0) return fmt::format("{}d{:02}h", days, seconds % 86'400 / 3600);
  if (seconds >= 3600) return fmt::format("{}h{:02}m", seconds / 3600, seconds % 3600 / 60);
  if (seconds >= 60) return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  return fmt::format("{}s", seconds);
}

}  // namespace poundlock::cli
