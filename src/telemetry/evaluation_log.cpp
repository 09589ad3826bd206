#include "telemetry/evaluation_log.h"

#include <utility>

namespace poundlock::telemetry {

void EvaluationLog::count(std::string_view flag, std::string_view variant, std::string_view reason,
                          std::string_view context, int rule) {
  context = context.substr(0, kContextMax);  // the caller chose it: rows are bounded, and so is each
  std::lock_guard lock(mutex_);
  if (!context.empty() && !kept_.contains(context) && !contexts_.contains(context)) {
    if (contexts_.size() < kContextsMax)
      contexts_.emplace(context);
    else
      context = kOtherContext;
  }
  const auto found = rows_.find(std::tuple(flag, variant, reason, context, rule));
  if (found != rows_.end()) {
    ++found->second;
  } else if (rows_.size() < rows_max_) {
    rows_.emplace(Row(flag, variant, reason, context, rule), 1);
  } else {
    ++dropped_;
  }
}

void EvaluationLog::keep(const std::vector<std::string>& contexts) {
  std::lock_guard lock(mutex_);
  for (const auto& context : contexts)
    if (kept_.size() < kContextsMax) kept_.insert(context);
}

std::vector<flag::EvaluationReport> EvaluationLog::take() {
  std::map<Row, std::uint64_t, std::less<>> rows;
  {
    std::lock_guard lock(mutex_);
    rows.swap(rows_);
  }
  std::vector<flag::EvaluationReport> out;
  out.reserve(rows.size());
  for (const auto& [row, count] : rows) {
    const auto& [flag, variant, reason, context, rule] = row;
    out.push_back({flag, variant, reason, context, count, rule});
  }
  return out;
}

std::uint64_t EvaluationLog::dropped() const {
  std::lock_guard lock(mutex_);
  return dropped_;
}

}  // namespace poundlock::telemetry
