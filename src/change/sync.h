// Keeps two columns of a row in step: the one generated predicate and the BEFORE INSERT OR UPDATE trigger
// that trigger, backfill, verify and sampling share. Only SQL text is made here.
//
// The rules of the trigger, in this order:
//   (a) in step: leave; (b) one side written: derive the other; (c) neither: while legacy is the only
//   authority derive new, afterwards leave; (d) both written and they disagree: the mode's authority wins,
//   or what `SET LOCAL poundlock.path = 'legacy' | 'new'` says, and a conflict is counted.
// Before (a), once the new side may be written: an INSERT by the new side alone always derives the old one.
// On INSERT a side that is NULL or equals its constant default counts as not written; see docs/adr/0008 for a
// default that comes only with the drop. A failing `up` makes
// the new side NULL (its default where it must not be NULL) and the row a mismatch; a failing `down` raises.
// Pure functions; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "change/operation.h"
#include "change/step.h"
#include "schema/expression.h"
#include "schema/identifier.h"

namespace poundlock::change {

// The schema in the target database that holds everything of ours: ledger, functions, sequences.
inline constexpr std::string_view kHelperSchema = "poundlock";

struct SyncSide {
  std::string column;                       // unquoted
  std::string type;                         // SQL
  std::optional<std::string> default_expr;  // a constant
  bool not_null = false;                    // now, or at the end of the expand
  bool operator==(const SyncSide&) const = default;
};

struct SyncSpec {
  schema::QualifiedName table;
  SyncSide legacy;
  SyncSide fresh;
  schema::Expression up;    // legacy -> new
  schema::Expression down;  // new -> legacy
  std::string rollout;
  std::string name;              // part of the helpers' names; the same when the sides are exchanged
  std::vector<std::string> key;  // unquoted; empty: no primary key
  // The new side gets its default when the old one is dropped, and has none while both are written.
  bool default_at_drop = false;
  // A column of the table has a collation of its own: comparing by = might then be loose, or ambiguous.
  bool collations = false;
  std::vector<std::pair<std::string, std::string>> column_types;  // every column of the table
};

// The same with the sides exchanged: how a dropped legacy column is brought back.
SyncSpec swapped(const SyncSpec& spec);

std::string sync_function(const SyncSpec& spec);        // quoted and qualified, without ()
std::string sync_trigger(const SyncSpec& spec);         // quoted; sorts behind other triggers: they run first
std::string sync_sequence(const SyncSpec& spec);        // quoted and qualified
std::string rollout_comment(std::string_view rollout);  // on each helper object: whose it is

InStep in_step(const SyncSpec& spec);
// Out of step once either side may be written: `new` is not up(legacy) and `legacy` is not down(new).
std::string out_of_step_open(const SyncSpec& spec);

// " WHEN (...)" of the trigger, rule (a) where the executor decides it without calling the function: a row
// that is in step, as a backfill or an application that writes both leaves it, costs almost nothing. ""
// where the comparison could raise, which would fail a writer.
std::string trigger_condition(const SyncSpec& spec);
// CREATE OR REPLACE FUNCTION: no lock on the table.
std::string create_sync_function(const SyncSpec& spec, SyncMode mode);
// One SELECT: true when exactly this function of this mode is installed.
std::string sync_mode_probe(const SyncSpec& spec, SyncMode mode);
// One SELECT: true when trigger and function are there and the function is not turned off.
std::string sync_installed_probe(const SyncSpec& spec);

// True where neither evaluating `up` nor assigning it can raise, so that no exception block is needed.
bool up_is_safe(const SyncSpec& spec);

}  // namespace poundlock::change
