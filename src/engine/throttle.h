// Tells a backfill when to hold: replicas that fall behind, sessions that wait for a lock on the table, a
// replication slot that keeps too much WAL. A signal that cannot be read is a reason to hold, never to go
// on. Also tells when dead rows cannot be pruned (an old snapshot), so that stripes bring nothing.
// One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "engine/backfill.h"
#include "ports/database.h"

namespace poundlock::engine {

class Throttle {
 public:
  Throttle(ports::Session& session, Replicas& replicas, Clock& clock, const BackfillOptions& options)
      : session_(session), replicas_(replicas), clock_(clock), options_(options) {}

  // Why to hold now, in plain words; "" to go on. An error only when the primary's session itself fails.
  Result<std::string> reason(const std::string& leaf_oid);

  bool old_snapshot() const { return old_snapshot_; }
  // The most WAL that one batch may write without taking a replica past its limit; 0: no replica.
  double batch_wal_max() const { return has_replicas_ ? allowed_bytes() : 0; }

 private:
  struct Position {
    double replayed = 0;      // bytes since 0/0
    double lag_seconds = -1;  // as the primary sees it; -1: unknown
    std::string name;
  };
  Result<std::string> replication();
  Result<std::string> health(const std::string& leaf_oid);
  Result<std::vector<Position>> positions(std::string& unreadable);
  Status declared(std::vector<Position>& found, std::string& unreadable);
  Status connected(std::vector<Position>& found, std::string& unreadable);
  void learn_rate(double replayed, double behind);
  double allowed_bytes() const;

  ports::Session& session_;
  Replicas& replicas_;
  Clock& clock_;
  const BackfillOptions& options_;
  bool has_replicas_ = false;
  bool old_snapshot_ = false;
  double current_ = 0;  // WAL position of the primary, bytes
  double rate_ = 20e6;  // bytes a second that the slowest replica replays; learnt
  std::optional<double> last_replayed_;
  TimePoint last_at_;
  std::optional<TimePoint> unread_since_;
  bool read_once_ = false;  // the lag has been known
  std::optional<TimePoint> health_at_;
  std::optional<TimePoint> replication_at_;
  std::optional<TimePoint> connected_at_;  // when pg_stat_replication was read
  bool undeclared_ = false;                // it showed more replicas than are declared
  std::string health_reason_;
};

}  // namespace poundlock::engine
