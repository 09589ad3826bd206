// Proof that nothing partial stays in a target database after an abort, a crash or a lost connection: steps
// that were begun and never ended, half-built indexes, what a rollout that is over left behind. Looks only,
// unless asked to repair; then it takes away what nobody works on and what is known to be Poundlock's own.
// One session, one thread. Errors are the session's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "change/step.h"
#include "ports/database.h"
#include "schema/catalog.h"
#include "schema/identifier.h"

namespace poundlock::engine {

struct Finding {
  std::string kind;  // "step", "backfill", "index", "constraint", "trigger", "function", "sequence", "slot",
                     // "prepared transaction", "session", "shadow", "schema"
  std::string object;   // "shop.orders_status_idx"
  std::string detail;   // what is wrong with it, in plain words
  std::string rollout;  // whose it is; "" where nobody's name is on it
  bool partial = true;  // false: belongs to somebody else, or to a rollout that is under way; only shown
  // What takes it away, each statement by itself. Empty: a person has to decide.
  std::vector<std::string> repair;
  std::string guard = {};     // SELECT of one boolean, asked right before: is it still as it was found?
  std::string repaired = {};  // set by repair(): what was done, or why it was not
  bool done = false;          // and it is gone
};

struct BoundaryOptions {
  std::string rollout;                  // look at this one's only; "" for all
  std::vector<change::Step> steps;      // of the plan of a file: each is wholly done or not at all
  std::vector<std::string> statements;  // of an SQL file: its indexes count as ours
  // Set: `steps` are this SQL file's. A migration tool runs them, so that no ledger knows of them, and no
  // lock tells whether somebody is at it.
  std::string file;
  std::vector<schema::QualifiedName> indexes;   // a person vouches that these are abandoned
  std::vector<std::string> slots;               // and that nobody comes back for these
  std::optional<schema::Fingerprint> expected;  // the schema as it was recorded
  std::optional<schema::Fingerprint> present;   // and as it is, made in the same way
};

Result<std::vector<Finding>> find_partial(ports::Session& session, const BoundaryOptions& options);

// Carries out `repair` of the findings that are partial. What belongs to a rollout is repaired under its
// advisory lock: an executor that has come back meanwhile is left alone. An index goes by DROP INDEX
// CONCURRENTLY, and only if it is still invalid.
Status repair(ports::Session& session, std::vector<Finding>& findings);

// The indexes that CREATE INDEX in these statements makes, with their tables; others are passed over.
struct MadeIndex {
  schema::QualifiedName table;
  std::string name;
};
std::vector<MadeIndex> indexes_made_by(const std::vector<std::string>& statements);

}  // namespace poundlock::engine
