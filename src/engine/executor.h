// Carries out one command of decide() through the ports: the step runner, the backfill, verify, and the
// checks on the shadow. It makes no choice of its own. One executor serves one rollout, on one thread;
// only `stopped` and `progress` meet other threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "engine/progress.h"
#include "engine/step_runner.h"
#include "ports/database.h"
#include "ports/lock_sampler.h"
#include "ports/shadow.h"
#include "ports/traffic.h"
#include "rollout/decide.h"
#include "schema/catalog.h"

namespace poundlock::engine {

struct ExecutorPorts {
  ports::Databases databases;
  ports::Shadow* shadow = nullptr;        // null: none is configured; the dry run then has no figures
  ports::Traffic* traffic = nullptr;      // replays paths on the shadow; null: contention is not measured
  ports::LockSampler* sampler = nullptr;  // null: locks of what refuses a transaction are not seen
  Clock* clock = nullptr;
  std::uint64_t seed = 1;  // for the jitter of retries
  // Reads a schema (postgres/catalog_loader).
  std::function<Result<schema::Catalog>(ports::Session&)> load_catalog;
  // The same with Catalog::parts, for comparing environments; where it is empty, load_catalog serves.
  std::function<Result<schema::Catalog>(ports::Session&)> load_whole_catalog;
  // For that comparison: what an environment's own roles are called in the other one.
  std::map<std::string, std::string> primary_roles, staging_roles;
  ProgressCallback progress;      // may be empty; called a few times a second
  std::function<bool()> stopped;  // polled between statements: true ends with kStopped
};

class Executor {
 public:
  Executor(ExecutorPorts ports, const rollout::Plan& plan) : ports_(std::move(ports)), plan_(plan) {}
  rollout::StepOutcome carry_out(const rollout::Command& command);
  void cancel();  // thread-safe: cancels the statement that runs now, if any

 private:
  Result<rollout::StepOutcome> run(const rollout::Command& command);
  Result<rollout::StepOutcome> probe(const rollout::Command& command);
  Result<rollout::StepOutcome> check(const rollout::Command& command);

  ExecutorPorts ports_;
  const rollout::Plan& plan_;
  std::mutex mutex_;
  StepRunner* runner_ = nullptr;  // while one works
};

}  // namespace poundlock::engine
