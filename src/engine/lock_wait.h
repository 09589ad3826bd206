// Waits until nobody holds a lock for long on a table, so that asking for it stalls no application: a
// request that queues makes every later statement on the table queue behind it.
// Works without the right to see other sessions' states: a holder that is there in two looks is long.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "engine/jitter.h"
#include "engine/progress.h"
#include "engine/replicas.h"
#include "engine/stop_token.h"
#include "ports/database.h"

namespace poundlock::engine {

struct LockHolder {
  int pid = 0;
  std::string transaction;  // virtual transaction id; another one means that it went and came back
  double age_seconds = -1;  // of its transaction; -1: hidden from us
  std::string state;        // "idle in transaction"; "" where hidden
  std::string mode;
  bool autovacuum = false;
};

// Sessions other than `session` that hold, or wait for, a lock on `relation` (quoted, qualified) which
// conflicts with `mode` ("AccessExclusiveLock"). At most 100.
Result<std::vector<LockHolder>> lock_holders(ports::Session& session, const std::string& relation,
                                             const std::string& mode);

// Modes that conflict with `mode`, as in pg_locks. Source: PostgreSQL documentation, table 13.2.
std::vector<std::string> conflicting_modes(std::string_view mode);

struct LockWaitOptions {
  Millis long_after{50};              // a holder older than this is waited out
  Millis limit{10 * 60 * 1000};       // then kRetry "lock.held" names who is in the way
  bool autovacuum_gives_way = false;  // deadlock_timeout may be lowered: autovacuum is then no obstacle
};

class LockWait {
 public:
  LockWait(Clock& clock, Jitter& jitter, LockWaitOptions options)
      : clock_(clock), jitter_(jitter), options_(options) {}

  // Looks on the primary, and where `replicas` is given on each of them, until none shows a long holder. A
  // replica that cannot be read is in the way like a holder: nobody knows who reads there. False when
  // stopped. `tell` hears who is in the way.
  Result<bool> until_free(ports::Session& primary, Replicas* replicas, const std::string& relation,
                          const std::string& mode, const StopToken& stop, const ProgressCallback& tell);

 private:
  std::string in_the_way_on(Replicas& replicas, const std::string& relation, const std::string& mode);
  Result<std::string> in_the_way(ports::Session& session, const std::string& relation,
                                 const std::string& mode);

  Clock& clock_;
  Jitter& jitter_;
  LockWaitOptions options_;
  std::set<std::string> seen_;  // "session/pid/transaction" of the look before
  std::set<std::string> now_;
  bool hidden_ = false;  // a holder's age could not be seen
};

}  // namespace poundlock::engine
