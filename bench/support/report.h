// How every benchmark speaks: a title, a small table of rounds' medians, and with --json one line of JSON.
// Figures that have an aim say whether they reach it; no benchmark fails for being slow, since the machine
// may be busy. Plain values; one thread.
#pragma once

#include <string>
#include <vector>

namespace poundlock::bench {

enum class Aim { kNone, kAtLeast, kAtMost };

class Report {
 public:
  // `name` as in JSON; `title` says in one line what is measured against what.
  Report(std::string name, std::string title) : name_(std::move(name)), title_(std::move(title)) {}

  // `key` is the name in JSON, `label` the one in the table, `unit` such as "ms" or "x" (a ratio).
  void add(std::string key, std::string label, double value, std::string unit, Aim aim = Aim::kNone,
           double wanted = 0);
  void note(std::string text) { notes_.push_back(std::move(text)); }  // a line of its own below the table
  void print(bool json) const;

 private:
  struct Figure {
    std::string key, label, unit;
    double value;
    Aim aim;
    double wanted;
  };
  std::string name_, title_;
  std::vector<Figure> figures_;
  std::vector<std::string> notes_;
};

// Of a copy; 0 for nothing. `part` is 0.5 for the median, 0.99 for p99 (nearest rank).
double percentile(std::vector<double> values, double part);
inline double median(std::vector<double> values) {
  return percentile(std::move(values), 0.5);
}

double seconds_now();  // monotonic

// Prints the error and ends the program with code 1: nothing can be measured any more.
[[noreturn]] void give_up(const std::string& why);
template <typename T>
auto must(T result) {
  if (!result) give_up(result.error().to_string());
  if constexpr (!std::is_void_v<typename T::value_type>) return std::move(*result);
}

}  // namespace poundlock::bench
