// What this server evaluated for clients that evaluate nothing themselves (OFREP, gRPC), counted by flag,
// variant, reason, context class and branch of the rule: aggregates, never one record per evaluation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "flag/report.h"

namespace poundlock::telemetry {

// What stands for all context classes beyond the first kContextsMax: whoever sends a random one each time
// must not fill the tables.
inline constexpr std::string_view kOtherContext = "(other)";
inline constexpr std::size_t kContextsMax = 64;

// Thread-safe. A row more than the limit is counted in dropped() only.
class EvaluationLog {
 public:
  explicit EvaluationLog(std::size_t rows_max = 40'000) : rows_max_(rows_max) {}

  static constexpr std::size_t kContextMax = 256;

  // `context` is the attribute `context`, "" where it has none, its first kContextMax bytes; `rule` the
  // branch of the flag's rule that decided, -1 where there is none.
  void count(std::string_view flag, std::string_view variant, std::string_view reason,
             std::string_view context, int rule = -1);
  // Contexts that are counted by their own name, however many others there are: those that a plan excludes.
  void keep(const std::vector<std::string>& contexts);
  std::vector<flag::EvaluationReport> take();  // what was counted since the last call
  std::uint64_t dropped() const;

 private:
  using Row = std::tuple<std::string, std::string, std::string, std::string, int>;
  const std::size_t rows_max_;
  mutable std::mutex mutex_;
  std::map<Row, std::uint64_t, std::less<>> rows_;
  std::set<std::string, std::less<>> contexts_;  // known ones; they stay
  std::set<std::string, std::less<>> kept_;
  std::uint64_t dropped_ = 0;
};

}  // namespace poundlock::telemetry
