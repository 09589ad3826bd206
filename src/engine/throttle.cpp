#include "engine/throttle.h"

#include <fmt/format.h>

#include <algorithm>

#include "ports/cells.h"

namespace poundlock::engine {
namespace {

constexpr double kAllowedMin = 64 * 1024;  // WAL that any server writes by itself
constexpr Millis kUnreadableAfter{2'000};
constexpr Millis kNewReplicaAfter{500};

double seconds(Millis duration) {
  return static_cast<double>(duration.count()) / 1000.0;
}

}  // namespace

// rate x 0.4 x SLO: measured, it keeps p99 of the lag below the SLO; pausing at X ms of lag gives 2 to 3 X.
double Throttle::allowed_bytes() const {
  return std::max(kAllowedMin, rate_ * 0.4 * seconds(options_.replication_slo));
}

void Throttle::learn_rate(double replayed, double behind) {
  const TimePoint now = clock_.steady();
  if (last_replayed_ && now - last_at_ >= Millis{50}) {
    const double passed = seconds(now - last_at_);
    const double rate = (replayed - *last_replayed_) / passed;
    // Only a replica that has work shows how fast it is; a faster one is believed at once, a slower one
    // slowly.
    if (behind > 0 && rate > 0) rate_ = rate > rate_ ? rate : 0.8 * rate_ + 0.2 * rate;
    last_replayed_ = replayed;
    last_at_ = now;
  } else if (!last_replayed_) {
    last_replayed_ = replayed;
    last_at_ = now;
  }
}

// Each one's own replay position: what the primary knows of it may be 10 s old when no WAL flows.
Status Throttle::declared(std::vector<Position>& found, std::string& unreadable) {
  PL_TRY(const auto now, session_.run("SELECT pg_catalog.pg_current_wal_lsn() - '0/0'::pg_catalog.pg_lsn"));
  current_ = ports::to_double(now.rows.at(0)[0]);
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    ports::Session* replica = replicas_.session(i);
    if (replica == nullptr) {
      unreadable = replicas_.trouble(i);
      continue;
    }
    auto at = replica->run("SELECT pg_catalog.pg_last_wal_replay_lsn() - '0/0'::pg_catalog.pg_lsn");
    if (!at || at->rows.empty() || !at->rows[0][0]) {
      unreadable = fmt::format("the replay position of {} cannot be read", Replicas::name(i));
      continue;
    }
    found.push_back({ports::to_double(at->rows[0][0]), -1, Replicas::name(i)});
  }
  return {};
}

// Those that the primary feeds. Logical receivers replay nothing; base backups and pg_receivewal report no
// replay position of their own.
Status Throttle::connected(std::vector<Position>& found, std::string& unreadable) {
  PL_TRY(const auto rows,
         session_.run("SELECT r.application_name, pg_catalog.pg_current_wal_lsn() - "
                      "'0/0'::pg_catalog.pg_lsn, r.replay_lsn - '0/0'::pg_catalog.pg_lsn, "
                      "extract(epoch FROM r.replay_lag), r.state IS NULL FROM "
                      "pg_catalog.pg_stat_replication r WHERE (r.state IS NULL OR (r.state IN ('streaming', "
                      "'catchup') AND r.replay_lsn IS NOT NULL)) AND NOT EXISTS (SELECT FROM "
                      "pg_catalog.pg_replication_slots s WHERE s.active_pid = r.pid AND "
                      "s.slot_type = 'logical')"));
  connected_at_ = clock_.steady();
  std::vector<Position> seen;
  for (const auto& r : rows.rows) {
    const std::string name = ports::to_text(r[0]);
    if (ports::to_bool(r[4]) || !r[2]) {
      // Where replicas are declared, these are what the role may know.
      if (replicas_.empty())
        unreadable =
            "pg_stat_replication hides the replicas from this role: GRANT pg_monitor, or name the replicas";
      continue;
    }
    current_ = std::max(current_, ports::to_double(r[1]));
    seen.push_back({ports::to_double(r[2]), ports::to_double(r[3], -1), name.empty() ? "a replica" : name});
  }
  undeclared_ = seen.size() > replicas_.size();
  if (undeclared_) found.insert(found.end(), seen.begin(), seen.end());
  return {};
}

Result<std::vector<Throttle::Position>> Throttle::positions(std::string& unreadable) {
  std::vector<Position> found;
  if (!replicas_.empty()) PL_CHECK(declared(found, unreadable));
  const bool due = !connected_at_ || clock_.steady() - *connected_at_ >= kNewReplicaAfter;
  if (replicas_.empty() || undeclared_ || due) PL_CHECK(connected(found, unreadable));
  return found;
}

Result<std::string> Throttle::replication() {
  std::string unreadable;
  PL_TRY(const auto found, positions(unreadable));
  has_replicas_ = !found.empty() || !unreadable.empty();
  if (!unreadable.empty()) {
    if (!unread_since_) unread_since_ = clock_.steady();
    // A reading may fail once; what counts is that nobody has known the lag for 2 s, or ever.
    if (!read_once_ || clock_.steady() - *unread_since_ >= kUnreadableAfter) return unreadable;
  } else {
    unread_since_.reset();
    read_once_ = true;
  }
  if (found.empty()) return std::string();
  const auto slowest = std::min_element(found.begin(), found.end(), [](const Position& a, const Position& b) {
    return a.replayed < b.replayed;
  });
  const double behind = std::max(0.0, current_ - slowest->replayed);
  learn_rate(slowest->replayed, behind);
  if (behind > allowed_bytes()) {
    return fmt::format("{} has not replayed {:.0f} kB of WAL (at most {:.0f} kB at its rate)", slowest->name,
                       behind / 1024, allowed_bytes() / 1024);
  }
  if (behind > kAllowedMin && slowest->lag_seconds > seconds(options_.replication_slo) / 2.5) {
    return fmt::format("{} is {:.0f} ms behind", slowest->name, slowest->lag_seconds * 1000);
  }
  return std::string();
}

Result<std::string> Throttle::health(const std::string& leaf_oid) {
  PL_TRY(
      const auto rows,
      session_.run(
          "SELECT (SELECT count(*) FROM pg_catalog.pg_locks l WHERE NOT l.granted AND l.locktype = "
          "'relation' AND "
          "l.relation = $1::oid AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = "
          "pg_catalog.current_database())), "
          "(SELECT coalesce(max(pg_catalog.pg_current_wal_lsn() - s.restart_lsn), 0) FROM "
          "pg_catalog.pg_replication_slots s), "
          "EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.backend_xmin IS NOT NULL AND a.pid <> "
          "pg_catalog.pg_backend_pid() AND a.xact_start < pg_catalog.clock_timestamp() - $2::float8 * "
          "interval '1 s') "
          "OR EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts p WHERE p.prepared < "
          "pg_catalog.clock_timestamp() - "
          "$2::float8 * interval '1 s') OR EXISTS (SELECT FROM pg_catalog.pg_replication_slots s WHERE "
          "pg_catalog.age(s.xmin) > 10000)",
          {leaf_oid, std::to_string(options_.long_transaction_s)}));
  const auto& r = rows.rows.at(0);
  old_snapshot_ = ports::to_bool(r[2]);
  if (const auto waiting = ports::to_int(r[0]); waiting > 0) {
    return fmt::format("{} sessions wait for a lock on the table", waiting);
  }
  if (const double kept = ports::to_double(r[1]); kept > static_cast<double>(options_.slot_retained_max)) {
    return fmt::format("a replication slot keeps {:.1f} GB of WAL back", kept / 1e9);
  }
  return std::string();
}

Result<std::string> Throttle::reason(const std::string& leaf_oid) {
  if (!options_.throttle) return std::string();
  // Replicas are asked before every batch; where there are none, now and then whether one has come.
  const TimePoint now = clock_.steady();
  if (has_replicas_ || !replicas_.empty() || !replication_at_ || now - *replication_at_ >= kNewReplicaAfter) {
    PL_TRY(std::string why, replication());
    replication_at_ = now;
    if (!why.empty()) return why;
  }
  // These change slowly; while one is a reason it is read again each time.
  if (!health_at_ || now - *health_at_ >= options_.throttle_every || !health_reason_.empty()) {
    PL_TRY(health_reason_, health(leaf_oid));
    health_at_ = now;
  }
  return health_reason_;
}

}  // namespace poundlock::engine
