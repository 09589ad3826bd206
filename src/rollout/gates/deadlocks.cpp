#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "rollout/gate.h"
#include "rollout/judging.h"
#include "rollout/statistics.h"

namespace poundlock::rollout {
namespace {

std::vector<Question> questions(const Plan&) {
  Question out;
  out.name = "database";
  out.sql =
      "SELECT d.deadlocks, extract(epoch FROM clock_timestamp()) AS clock_s FROM pg_catalog.pg_stat_database "
      "d "
      "WHERE d.datname = current_database()";
  out.every = Millis{2000};
  out.in_baseline = true;
  return {std::move(out)};
}

double by_application(const GateInput& in) {
  if (!in.seen.app) return 0;
  double sum = 0;
  for (const PathStats& path : in.seen.app->paths)
    sum += static_cast<double>(path.legacy.counts.deadlocks + path.fresh.counts.deadlocks);
  return sum;
}

GateReading judge(const GateInput& in) {
  const auto counted_by_server = in.since_mark("database.deadlocks");
  const auto seconds = in.since_mark("database.clock_s");
  if (!counted_by_server || !seconds)
    return no_data(in, "the server's count of deadlocks since the mark has not begun");
  // The server counts those of the application too, but of every other database user as well.
  const double now = std::max(*counted_by_server, by_application(in));
  if (now <= in.settings.limit)
    return pass(in, now, fmt::format("{} since the mark", counted(now, "deadlock", "deadlocks")));
  double before = 0;
  double before_seconds = 0;
  if (in.baseline) {
    before_seconds = in.baseline->seconds;
    const auto found = in.baseline->differences.find("database.deadlocks");
    before = found == in.baseline->differences.end() ? 0 : std::max(0.0, found->second);
  }
  const double p = before_seconds > 0
                       ? increase_p_value(static_cast<std::uint64_t>(now), std::max(1.0, *seconds),
                                          static_cast<std::uint64_t>(before), before_seconds)
                       : 0;
  const std::string seen =
      fmt::format("{} in {:.0f} s, {} in the {:.0f} s of the baseline", counted(now, "deadlock", "deadlocks"),
                  *seconds, count_text(before), before_seconds);
  return p < budget(in) ? violated(in, now, seen) : pass(in, now, seen + ": no more than chance");
}

}  // namespace

const Gate& deadlocks() {
  static const Gate gate{
      .id = "deadlocks",
      .title = "deadlocks",
      .why =
          "Locks taken in another order than the application takes them end in deadlocks, and one "
          "side loses its work.",
      .unit = "count",
      .gate_class = GateClass::kHealth,
      .on_failure = OnFailure::kRollback,
      .moments = Moment::kExpand | Moment::kDualWrite | Moment::kExpose | Moment::kObserve |
                 Moment::kRelease | Moment::kBeforeDrop,
      .limit = 2,
      .min_samples = 0,
      .questions = questions,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
