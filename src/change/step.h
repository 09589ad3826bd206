// A step: one idempotent action with a probe that tells whether it is done. Steps are made by an
// operation at plan time and leave the executor no choice: exact SQL, time-outs, expected lock.
// Plain values; safe to copy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace poundlock::change {

enum class Phase { kPrepare, kDualWrite, kExpose, kContract };
const char* to_string(Phase phase);  // "prepare", "dual_write", "expose", "contract"
Result<Phase> phase_from(std::string_view text);

enum class StepKind {
  kTransaction,  // all of `sql` in one transaction with the fence first and the ledger row last
  kStandalone,   // each of `sql` by itself outside a transaction (CONCURRENTLY, VACUUM), after a fence
                 // transaction, under a session advisory lock; ends by probe
  kBackfill,     // brings every row in step (in_step), in batches
  kVerify,       // counts rows out of step; done when there are none
  kCheck,        // reads only: a check of the engine, named by `check`
};
const char* to_string(StepKind kind);
Result<StepKind> step_kind_from(std::string_view text);

// The one generated predicate that trigger, backfill, verify and sampling share.
struct InStep {
  std::string table;             // quoted and qualified: "public"."Order Items"
  std::vector<std::string> key;  // quoted key columns; empty where the table has no primary key
  std::string assignment;        // `"new_status" = (...)::character varying(32)`
  std::string out_of_step;       // boolean SQL over one row of the table; never NULL
  // The same once the new side may be written: neither `up` nor `down` maps one side to the other.
  std::string out_of_step_open;
  std::string conflicts;  // quoted sequence that counts conflicts; may be empty
  // One SELECT of one boolean each: are trigger and function there and not turned off, and does the function
  // let either side be written, as it has to from exposure on? Empty where no trigger keeps the rows.
  std::string installed_probe;
  std::string opened_probe;
  bool operator==(const InStep&) const = default;
};

struct Step {
  std::string id;  // unique in the plan and stable: "dual_write.add_column"
  Phase phase = Phase::kPrepare;
  StepKind kind = StepKind::kCheck;
  std::string title;  // plain words, imperative: "add column new_status to public.orders"
  std::string check;  // kCheck only: "parity", "lint", "paths", "dry_run", "rehearsal"
  std::vector<std::string> sql;
  // One SELECT that returns one boolean: true when the step's whole effect is there. It must not depend
  // on search_path. Empty for checks, kBackfill and kVerify, and for VACUUM, which leaves no trace that
  // could be trusted: then the ledger row tells.
  std::string probe;
  // Takes the effect back; idempotent ("IF EXISTS"); run as one transaction, or each by itself where
  // undo_standalone. Empty: nothing to take back.
  std::vector<std::string> undo;
  bool undo_standalone = false;
  // One SELECT that returns one boolean: whether what `undo` names is of our making, so far as the catalog
  // tells. Empty: it can be nothing else. An index of this name on another table is somebody else's.
  std::string undo_when;
  // Cleans up a half-done standalone step (an INVALID index) before it is tried again.
  std::vector<std::string> repair;
  // One SELECT that returns one boolean: whether there is such a leftover. Empty: repair always.
  std::string repair_when;
  std::string relation;           // the table locked, quoted and qualified; may be empty
  std::string lock_mode;          // strongest lock expected on it, as in pg_locks: "AccessExclusiveLock"
  Millis lock_timeout{50};        // how long one try may wait for a lock; 0: does not wait for table locks
  Millis statement_timeout{0};    // 0: none
  bool blocks_writers = false;    // counted by the dry run's limit of 120 s
  bool destructive = false;       // data cannot be had back from the database alone
  std::optional<InStep> in_step;  // kBackfill and kVerify
  bool open = false;              // kVerify: both sides are written, so that out_of_step_open counts
  bool operator==(const Step&) const = default;
};

}  // namespace poundlock::change
