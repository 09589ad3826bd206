// What this server evaluated for clients that evaluate nothing themselves (OFREP, gRPC), counted by flag,
// variant, reason, context class and branch of the rule: aggregates, never one record per evaluation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "flag/report.h"

namespace poundlock::telemetry {

// Thread-safe. A row more than the limit is counted in dropped() only.
class EvaluationLog {
 public:
  explicit EvaluationLog(std::size_t rows_max = 4'096) : rows_max_(rows_max) {}

  static constexpr std::size_t kContextMax = 256;

  // `context` is the attribute `context`, "" where it has none; its first kContextMax bytes count.
  void count(std::string_view flag, std::string_view variant, std::string_view reason,
             std::string_view context);
  std::vector<flag::EvaluationReport> take();  // what was counted since the last call
  std::uint64_t dropped() const;

 private:
  using Row = std::tuple<std::string, std::string, std::string, std::string>;
  const std::size_t rows_max_;
  mutable std::mutex mutex_;
  std::map<Row, std::uint64_t, std::less<>> rows_;
  std::uint64_t dropped_ = 0;
};

}  // namespace poundlock::telemetry
