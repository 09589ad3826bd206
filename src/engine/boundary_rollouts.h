// What the ledger and the marks in the catalog say of each rollout. Used by boundaries.cpp only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/boundaries.h"
#include "ports/database.h"

namespace poundlock::engine {

// A step outside a transaction that was begun and whose end nobody recorded.
struct BegunStep {
  std::string step, direction, at;
  std::vector<std::string> sql;
};

struct KnownRollout {
  int standing = 0;        // steps whose last entry is forward
  bool worked_on = false;  // a session holds its advisory lock
  std::vector<BegunStep> begun;
  // Nothing of it stands and nobody works on it: what bears its mark was left behind.
  bool over() const { return standing == 0 && !worked_on; }
};

using KnownRollouts = std::map<std::string, KnownRollout>;
Result<KnownRollouts> known_rollouts(ports::Session& session);

std::vector<Finding> find_begun(const KnownRollouts& known);
Status find_backfills(ports::Session& session, const KnownRollouts& known, std::vector<Finding>& out);
Status find_marked(ports::Session& session, const KnownRollouts& known, std::vector<Finding>& out);
// Each step of the plan against its probes and the ledger.
Status find_steps(ports::Session& session, const KnownRollouts& known, const BoundaryOptions& options,
                  std::vector<Finding>& out);

}  // namespace poundlock::engine
