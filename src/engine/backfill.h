// Brings every row in step, in short transactions that an application does not feel.
//
// Windows of blocks by ctid, each gone over in S stripes (rows by a hash of their key): between stripes
// PostgreSQL prunes dead versions, so later stripes update in place. Each batch is one transaction: fence,
// UPDATE of rows out of step, checkpoint; so a resume after any crash is exact. Batches are steered to a
// target time. Ends only when a count of the rows out of step is zero.
// One thread; nothing is kept between runs but the checkpoint in the database.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "change/step.h"
#include "engine/progress.h"
#include "engine/replicas.h"
#include "engine/stop_token.h"
#include "ports/database.h"

namespace poundlock::engine {

struct BackfillOptions {
  int stripes = 8;
  int rows_min = 200;
  int rows_max = 10'000;
  int rows_start = 2'000;
  Millis target{10};        // of a batch, at p90 of the last 10
  Millis lock_timeout{20};  // for a locked row; it is come back to
  int passes_max = 20;
  Millis pause{0};                  // after each batch: for a very busy server
  Millis replication_slo{50};       // of replicas: un-replayed WAL is kept below replay rate x 0.4 x this
  Millis throttle_every{100};       // how often the signals are read
  Millis hold_max{30 * 60 * 1000};  // then kRefused "backfill.held" with the reason
  double long_transaction_s = 2;    // an older snapshot keeps dead rows from being pruned: then S = 1
  std::int64_t slot_retained_max = 8LL << 30;  // bytes of WAL that a replication slot keeps back
  bool throttle = true;                        // off for a shadow and for tests of other parts
};

struct BackfillResult {
  std::uint64_t rows = 0;  // set by this step, over all its runs
  std::uint64_t passes = 0;
  std::uint64_t batches = 0;    // of this run
  std::uint64_t skipped = 0;    // batches that met a locked row
  std::uint64_t wal_bytes = 0;  // written by the whole server meanwhile
  double seconds = 0;           // of this run
  double held_seconds = 0;      // of this run, by the throttle
  bool stopped = false;
  std::map<std::string, double> figures() const;
};

struct BackfillJob {
  std::string rollout;
  std::string step;
  std::uint64_t generation = 0;
  change::InStep in_step;
};

class Backfill {
 public:
  // `session` does the work; `replicas` are asked for their replay position (may be empty), and so is
  // pg_stat_replication of the primary, for those that nobody declared. Both outlive it.
  Backfill(ports::Session& session, Replicas& replicas, Clock& clock, BackfillOptions options)
      : session_(session), replicas_(replicas), clock_(clock), options_(options) {}

  // Errors: kUser "backfill.up_fails" with the keys of rows on which `up` fails; kRefused
  // "backfill.no_progress" when passes change nothing and rows are still out of step; the session's own.
  Result<BackfillResult> run(const BackfillJob& job, const StopToken& stop, const ProgressCallback& progress);

 private:
  ports::Session& session_;
  Replicas& replicas_;
  Clock& clock_;
  BackfillOptions options_;
};

}  // namespace poundlock::engine
