#include "base/time.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <ctime>
#include <utility>

namespace poundlock {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t ms;
};
// "ms" stands before "m" and "s" so that the longest unit is read first.
constexpr std::array<Unit, 5> kUnits{
    {{"ms", 1}, {"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}}};
constexpr std::int64_t kLongestMs = 3650LL * 86'400'000;

Error bad_duration(std::string_view text) {
  return user_error("duration.invalid", fmt::format("'{}' is no duration", text))
      .with_hint("write a number and a unit: 250ms, 90s, 15m, 72h, 14d or a sum such as 1h30m");
}

}  // namespace

Result<Millis> parse_duration(std::string_view text) {
  std::string_view rest = text;
  std::int64_t total = 0;
  if (rest.empty()) return fail(bad_duration(text));
  while (!rest.empty()) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (error != std::errc{} || number < 0 || end == rest.data()) return fail(bad_duration(text));
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    const Unit* unit = nullptr;
    for (const auto& candidate : kUnits) {
      if (rest.starts_with(candidate.name)) {
        unit = &candidate;
        break;
      }
    }
    if (!unit || number > kLongestMs / unit->ms) return fail(bad_duration(text));
    rest.remove_prefix(unit->name.size());
    total += number * unit->ms;
    if (total > kLongestMs) return fail(bad_duration(text));
  }
  return Millis{total};
}

std::string format_duration(Millis duration) {
  std::int64_t left = duration.count();
  if (left == 0) return "0s";
  std::string text = left < 0 ? "-" : "";
  left = left < 0 ? -left : left;
  for (const auto& [name, ms] : {kUnits[1], kUnits[2], kUnits[3], kUnits[4], kUnits[0]}) {
    if (left >= ms) {
      text += fmt::format("{}{}", left / ms, name);
      left %= ms;
    }
  }
  return text;
}

std::string format_timestamp(TimePoint at) {
  const std::int64_t seconds = at.ms >= 0 ? at.ms / 1000 : (at.ms - 999) / 1000;
  const auto time = static_cast<std::time_t>(seconds);
  std::tm utc{};
  gmtime_r(&time, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, at.ms - seconds * 1000);
}

}  // namespace poundlock
