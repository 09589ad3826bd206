// Carries out one command of decide() through the ports: the step runner, the backfill, verify, and the
// checks on the shadow. It makes no choice of its own. One executor serves one rollout, on one thread;
// only `stopped` and `progress` meet other threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "ports/database.h"
#include "ports/shadow.h"
#include "ports/traffic.h"
#include "rollout/decide.h"
#include "schema/catalog.h"

namespace poundlock::engine {

struct Progress {
  std::string step;
  double done = 0;    // rows, or statements of a check
  double total = 0;   // estimate; 0: unknown
  double rate = 0;    // per second, recent
  std::string state;  // what it waits for: "throttled: 3.1 MB of WAL not replayed"; "" while it works
};

struct ExecutorPorts {
  ports::Databases databases;
  ports::Shadow* shadow = nullptr;    // null: none is configured; the dry run then has no figures
  ports::Traffic* traffic = nullptr;  // replays paths on the shadow; null: contention is not measured
  Clock* clock = nullptr;
  std::uint64_t seed = 1;  // for the jitter of retries
  // Reads a schema (postgres/catalog_loader).
  std::function<Result<schema::Catalog>(ports::Session&)> load_catalog;
  std::function<void(const Progress&)> progress;  // may be empty; called a few times a second
  std::function<bool()> stopped;                  // polled between statements: true ends with kStopped
  // Gives out the session whose statement is under way, so that another thread can cancel it; called
  // with nullptr when none is.
  std::function<void(ports::Session*)> working;
};

class Executor {
 public:
  Executor(ExecutorPorts ports, const rollout::Plan& plan) : ports_(std::move(ports)), plan_(plan) {}
  rollout::StepOutcome carry_out(const rollout::Command& command);

 private:
  rollout::StepOutcome run(const rollout::Command& command);
  rollout::StepOutcome probe(const rollout::Command& command);
  Result<std::pair<std::map<std::string, double>, std::string>> check(const change::Step& step);

  ExecutorPorts ports_;
  const rollout::Plan& plan_;
};

}  // namespace poundlock::engine
