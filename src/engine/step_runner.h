// Carries out one step in a target database, forward or back, exactly once in effect: fence first, work,
// ledger row last, in one transaction; what cannot run in a transaction under an advisory lock, ended by
// its probe. A lost commit is looked up in the ledger, never repeated blindly.
// run() is used by one thread at a time; cancel() may be called from another.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "change/step.h"
#include "engine/backfill.h"
#include "engine/jitter.h"
#include "engine/ledger.h"
#include "engine/lock_wait.h"
#include "engine/progress.h"
#include "engine/replicas.h"
#include "engine/stop_token.h"
#include "ports/database.h"
#include "rollout/observation.h"

namespace poundlock::engine {

struct RunnerOptions {
  std::string rollout;
  std::uint64_t seed = 1;        // of the waits' jitter
  int lock_tries_max = 60;       // tries of lock_timeout each
  int connect_tries_max = 10;    // after a broken connection
  int standalone_tries_max = 5;  // builds of an index that failed for a passing reason
  Millis backoff_min{100};
  Millis backoff_max{1000};
  LockWaitOptions lock_wait;
  std::vector<ports::Database*> replicas;  // looked at for long readers, and throttled on
  BackfillOptions backfill;
  ProgressCallback progress;
};

class StepRunner {
 public:
  StepRunner(ports::Database& database, Clock& clock, RunnerOptions options);

  // The outcome says done, undone, stopped, or failed with the error (also kConflict "generation.stale");
  // figures: "seconds", "lock_tries", and of backfill and verify "rows", "mismatches", ... An Error only
  // for a step that is none of ours to run (kCheck). Installs the ledger where it is not there yet.
  Result<rollout::StepOutcome> run(const change::Step& step, Direction direction, std::uint64_t generation,
                                   const StopToken& stop);

  void cancel();  // thread-safe: cancels the statement that runs now, if any

 private:
  struct Attempt;
  Status connect();
  void disconnect();
  Status perform(Attempt& attempt);
  Status perform_transaction(Attempt& attempt);
  Status try_transaction(Attempt& attempt);
  Status perform_standalone(Attempt& attempt);
  Status try_standalone(Attempt& attempt, const std::vector<std::string>& sql);
  Status perform_rows(Attempt& attempt);
  Status take_advisory_lock(Attempt& attempt);
  Status fenced_record(Attempt& attempt, bool with_record, bool begins = false);
  Result<bool> await_lock(Attempt& attempt);
  Result<bool> resolve_doubt(Attempt& attempt);
  Result<bool> probe(const std::string& sql);
  Result<bool> in_effect(const Attempt& attempt);
  Status back_off(Attempt& attempt, int tries);
  std::string new_attempt_id(std::uint64_t generation);

  ports::Database& database_;
  Clock& clock_;
  RunnerOptions options_;
  Jitter jitter_;
  std::mutex session_mutex_;  // guards the pointer against cancel()
  std::unique_ptr<ports::Session> session_;
  Replicas replicas_;
  std::string owner_;  // part of attempt ids
  bool deadlock_timeout_settable_ = false;
};

}  // namespace poundlock::engine
