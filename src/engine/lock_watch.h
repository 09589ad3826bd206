// How long does anybody else wait for a lock behind one of our sessions? Looked at every 20 ms or so, since
// a statement that waits 50 ms because of us is already too long. Ours are the sessions whose
// application_name begins with "poundlock"; a wait behind somebody who himself waits behind us counts too.
//
// Observations: lock_waits.now_ms (longest present wait), lock_waits.recent_ms (longest of the last minute),
// lock_waits.max_ms (since reset()), lock_waits.longest_ms (ever). Where the server cannot be asked there is
// none. Times are the server's own (pg_locks.waitstart). One thread at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "ports/database.h"
#include "rollout/observation.h"

namespace poundlock::engine {

struct Waiter {
  int pid = 0;
  bool ours = false;
  double ms = 0;
  std::vector<int> blockers;
  std::string who;
};

// The waiter that waits longest behind one of `ours`, directly or through other waiters; nullptr: nobody.
const Waiter* longest_behind(const std::vector<Waiter>& waiters, const std::set<int>& ours);

class LockWatch {
 public:
  explicit LockWatch(ports::Database& database) : database_(database) {}  // outlives the watch

  // Looks once (a statement of at most 500 ms) and adds the observations.
  void sample(rollout::Observations& into, TimePoint now);
  // A new mark begins: max_ms starts anew.
  void reset() { max_ = {}; }

 private:
  struct Wait {
    double ms = 0;
    std::string who;
  };
  Status look(TimePoint now);

  ports::Database& database_;
  std::unique_ptr<ports::Session> session_;
  TimePoint retry_at_;
  Wait now_;
  Wait max_;
  Wait longest_;
  std::deque<std::pair<TimePoint, Wait>> recent_;
};

}  // namespace poundlock::engine
