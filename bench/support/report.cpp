#include "support/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace poundlock::bench {
namespace {

std::string number(double value) {
  if (std::fabs(value) >= 100) return fmt::format("{:.0f}", value);
  return std::fabs(value) >= 10 ? fmt::format("{:.1f}", value) : fmt::format("{:.2f}", value);
}

}  // namespace

void Report::add(std::string key, std::string label, double value, std::string unit, Aim aim, double wanted) {
  figures_.push_back({std::move(key), std::move(label), std::move(unit), value, aim, wanted});
}

void Report::print(bool json) const {
  if (json) {
    boost::json::object out{{"benchmark", name_}};
    for (const auto& figure : figures_) out[figure.key] = figure.value;
    if (!notes_.empty()) out["notes"] = boost::json::array(notes_.begin(), notes_.end());
    fmt::print("{}\n", boost::json::serialize(out));
    return;
  }
  fmt::print("{}\n", title_);
  for (const auto& figure : figures_) {
    std::string aim;
    if (figure.aim != Aim::kNone) {
      const bool most = figure.aim == Aim::kAtMost;
      const bool reached = most ? figure.value <= figure.wanted : figure.value >= figure.wanted;
      aim = fmt::format("  aim {} {}: {}", most ? "<=" : ">=", number(figure.wanted),
                        reached ? "reached" : "MISSED");
    }
    fmt::print("  {:<52} {:>9} {:<10}{}\n", figure.label, number(figure.value), figure.unit, aim);
  }
  for (const std::string& note : notes_) fmt::print("  {}\n", note);
  std::fflush(stdout);
}

double percentile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(part * static_cast<double>(values.size())));
  return values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void give_up(const std::string& why) {
  fmt::print(stderr, "cannot measure: {}\n", why);
  std::fflush(nullptr);
  std::_Exit(1);
}

}  // namespace poundlock::bench
