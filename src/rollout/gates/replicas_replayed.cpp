#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "rollout/gate.h"
#include "rollout/judging.h"

namespace poundlock::rollout {
namespace {

// The same questions as replication_lag, under the same names: they are asked once.
std::vector<Question> questions(const Plan& plan) {
  return find_gate("replication_lag")->questions(plan);
}

GateReading judge(const GateInput& in) {
  const auto attached = in.value("replication.replicas");
  if (!attached) return no_data(in, "the primary has not said which replicas it has");
  const double declared = in.value("collector.replicas").value_or(0);
  if (*attached == 0 && declared == 0)
    return pass(in, std::nullopt, "the primary has no replica, and none is declared");
  const auto mark = in.marks.find("replication.written_lsn");
  if (mark == in.marks.end()) return no_data(in, "the position of the last DDL is not known yet");
  const auto by_primary = in.value("replication.replayed_lsn");
  const auto by_replica = in.value("replica.missing_lsn");
  if (declared > 0 && !by_replica) return no_data(in, "a declared replica does not say how far it is");
  if (!by_primary && declared < *attached)
    return no_data(in, "this role may not see how far the replicas are: GRANT pg_monitor");
  double replayed = by_primary.value_or(-by_replica.value_or(0));
  if (by_replica) replayed = std::min(replayed, -*by_replica);
  const double missing = std::max(0.0, mark->second - replayed);
  if (missing > in.settings.limit)
    return hold(in, missing,
                fmt::format("{} bytes of WAL up to the last change are not replayed", count_text(missing)));
  return pass(in, missing, "every replica has replayed the last change");
}

}  // namespace

const Gate& replicas_replayed() {
  static const Gate gate{
      .id = "replicas_replayed",
      .title = "replicas have replayed the change",
      .why =
          "A replica that has not replayed the last DDL fails the first statement that names the "
          "new column.",
      .unit = "bytes",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kBlock,
      .moments = Moment::kDualWrite | Moment::kExpose,
      .limit = 0,
      .min_samples = 0,
      .questions = questions,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
