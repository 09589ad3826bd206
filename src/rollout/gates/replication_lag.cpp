#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rollout/gate.h"
#include "rollout/judging.h"

namespace poundlock::rollout {
namespace {

// Without pg_monitor every column but pid is NULL: such a replica is counted and its lag is unknown. A backup
// and a log receiver replay nothing. replay_lag is NULL on an idle system: then un-replayed bytes decide.
constexpr std::string_view kPrimarySql = R"sql(
SELECT count(r.pid) AS replicas,
       CASE WHEN count(r.pid) FILTER (WHERE r.state IS NULL) = 0 THEN
         coalesce(max(CASE WHEN r.replay_lsn >= w.lsn THEN 0
                           ELSE 1000 * extract(epoch FROM coalesce(r.replay_lag, interval '0')) END), 0)
       END AS ms,
       max(pg_catalog.pg_wal_lsn_diff(w.lsn, r.replay_lsn)) AS unreplayed_bytes,
       max(pg_catalog.pg_wal_lsn_diff(w.lsn, '0/0')) AS written_lsn,
       min(pg_catalog.pg_wal_lsn_diff(r.replay_lsn, '0/0')) AS replayed_lsn
FROM (SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_current_wal_lsn() END AS lsn) w
LEFT JOIN pg_catalog.pg_stat_replication r
  ON r.state IS NULL OR (r.state <> 'backup' AND r.replay_lsn IS NOT NULL))sql";

// A replica that has replayed all that it received is up to date only while it receives. missing_lsn is how
// far it has replayed, negated, since of several replicas the largest value counts.
constexpr std::string_view kReplicaSql = R"sql(
SELECT CASE WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn()
                 AND EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) THEN 0
            ELSE 1000 * extract(epoch FROM clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())
       END AS ms,
       - pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_replay_lsn(), '0/0') AS missing_lsn)sql";

std::vector<Question> questions(const Plan&) {
  Question primary;
  primary.name = "replication";
  primary.sql = kPrimarySql;
  primary.sliding = Millis{10'000};
  Question replica = primary;
  replica.name = "replica";
  replica.target = Question::Target::kEachReplica;
  replica.sql = kReplicaSql;
  return {std::move(primary), std::move(replica)};
}

// The larger of what the primary and the replicas themselves say.
std::optional<double> worst(const GateInput& in, const std::string& suffix) {
  const auto primary = in.value("replication." + suffix);
  const auto replica = in.value("replica." + suffix);
  if (!primary || !replica) return primary ? primary : replica;
  return std::max(*primary, *replica);
}

GateReading judge(const GateInput& in) {
  const auto attached = in.value("replication.replicas");
  if (!attached) return no_data(in, "the primary has not said which replicas it has");
  const double declared = in.value("collector.replicas").value_or(0);
  if (*attached == 0 && declared == 0)
    return pass(in, std::nullopt, "the primary has no replica, and none is declared");
  if (declared > 0 && !in.value("replica.ms"))
    return no_data(in, "a declared replica does not say how far it is");
  if (!in.value("replication.ms") && declared < *attached) {
    return no_data(
        in, fmt::format("{} attached, {} declared, and this role may not see the lag: GRANT pg_monitor",
                        counted(*attached, "replica", "replicas"), count_text(declared)));
  }
  const auto present = worst(in, "ms");
  if (!present) return no_data(in, "the lag of the replicas is not known");
  const auto median = worst(in, "ms_median");
  std::string seen = fmt::format("{:.1f} ms behind", *present);
  if (const auto bytes = in.value("replication.unreplayed_bytes"))
    seen += fmt::format(", {} bytes of WAL not replayed", count_text(*bytes));
  if (median && *median >= in.settings.limit)
    return violated(in, median, fmt::format("{:.1f} ms behind in the median of 10 s; now {}", *median, seen));
  if (*present >= in.settings.limit)
    return hold(in, present, seen + ": more than the limit, not for long enough to fail");
  return pass(in, present, seen);
}

}  // namespace

const Gate& replication_lag() {
  static const Gate gate{
      .id = "replication_lag",
      .title = "replication lag",
      .why = "Readers of a replica see old rows, and a replica that falls behind cannot take over.",
      .unit = "ms",
      .gate_class = GateClass::kHealth,
      .on_failure = OnFailure::kPause,
      .moments =
          Moment::kBaseline | Moment::kDualWrite | Moment::kExpose | Moment::kObserve | Moment::kRelease,
      .limit = 50,
      .min_samples = 0,
      .questions = questions,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
