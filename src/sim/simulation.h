// One rollout played from a seed: controller, step runner, backfill and verify as they are, in a world of
// simulated time, database, store, flags and applications, with faults. After every step the invariants are
// checked. The same seed gives the same trace, byte by byte. simulate() keeps nothing; several may run in
// several threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poundlock::sim {

// What may go wrong.
struct Faults {
  bool crashes = false;   // of the controller's process, and a second one that takes over while it lives on
  bool database = false;  // connections, deadlocks, long readers, locked rows
  bool store = false;     // busy, or a lost answer
  bool application = false;  // slow or failing new paths, silent and restarted instances
  bool operators = false;    // orders at any time, two at once
  bool clock = false;        // the wall clock is set by up to an hour
  static Faults all() { return {true, true, true, true, true, true}; }
};
// "all", "none", or names of the above with commas between: "crashes,clock".
Result<Faults> faults_from(std::string_view text);

// Exactly here the process dies, for the proof that it may die anywhere.
struct CrashPoint {
  enum class Where { kBeforeCommit, kAfterCommit, kBeforeStatement, kAfterStatement, kTakeover };
  Where where = Where::kAfterCommit;
  int index = 0;  // of the store's commits, or of the round trips to the database, from 0
};

// A deliberate fault of the product, to show that its invariant notices.
enum class Mutation {
  kNone,
  kNoFence,          // a stale generation's transactions pass
  kLostCommits,      // the store says done before it is durable
  kNoProbe,          // steps that are done run again
  kDropsUnapproved,  // the drop stands before closing and its approval
  kDropsReaders,     // the legacy column goes while readers are on it, and nobody looks at the drop
  kExposesEarly,     // exposure begins before backfill and verify
  kLeaksExclusion,   // the first exposure forgets who is excluded
  kShortWindow,      // windows last a tenth of what is asked for
  kStickyFlag,       // a rollback is published and does not arrive
  kStopsSync,        // the trigger is turned off by the rollback of exposure
  kLeavesRemains,    // an abort leaves an object behind
  kLosesWrites,      // the trigger overwrites what is written to the new side
  kDeaf,             // nobody approves
};

struct SimulationOptions {
  std::uint64_t seed = 1;
  Faults faults;
  std::optional<CrashPoint> crash;
  Mutation mutation = Mutation::kNone;
  bool abort = false;  // the operator aborts in the middle of exposure
};

struct Violation {
  std::string invariant;
  std::string detail;
};

struct SimulationResult {
  std::uint64_t seed = 0;
  std::string ended;  // "done", "aborted", "violated"
  std::optional<Violation> violation;
  std::string end_state;  // schema, rows and flag, to be compared between runs
  std::vector<std::string> trace;
  std::uint64_t trace_hash = 0;
  int ticks = 0;
  int statements = 0;  // round trips to the database
  int commits = 0;     // of the store
  int processes = 0;   // 1: nothing crashed
  int rollbacks = 0;
  double simulated_seconds = 0;
};

SimulationResult simulate(const SimulationOptions& options);

// Names and meanings of the invariants, for people.
struct InvariantInfo {
  std::string_view name;
  std::string_view meaning;
};
std::vector<InvariantInfo> invariants();

}  // namespace poundlock::sim
