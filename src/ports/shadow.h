// A shadow: a copy of the production schema with a sample of its data, on which a change is tried. It
// bears the mark `ALTER DATABASE ... SET poundlock.shadow = on`; nothing runs on a shadow without it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ports/database.h"
#include "schema/identifier.h"

namespace poundlock::ports {

// One table here and where the change will run. -1: not known (never analysed, no source).
struct TableSize {
  schema::QualifiedName table;
  double source_rows = -1, shadow_rows = -1;
  std::int64_t source_bytes = -1, shadow_bytes = -1;  // with its indexes and its TOAST
  bool operator==(const TableSize&) const = default;
};

struct ShadowInfo {
  std::string description;  // "database app_poundlock_shadow at 127.0.0.1:5432, 5,000 of 200,000 rows"
  double scale = 1;         // production rows / shadow rows of the largest table concerned
  bool kept = false;        // somebody's clone: whoever changes it takes the change back
  std::vector<TableSize> tables = {};  // of `tables`; from the catalog's own estimates
  std::string statistics = {};         // of a sample: which of the planner's statistics are the real tables'
  std::vector<std::string> left_out = {};  // what the database has and the shadow has not, in plain words
};

struct StatisticsCopied {
  bool done = false;
  std::string words;  // what was copied, or why nothing was; "": they are the shadow's own to begin with
};

// `first`, and what of the shadow stays where `gone` is an error: both are told.
inline Error and_what_stays(Error first, const Status& gone) {
  if (gone) return first;
  first.message += "; and " + gone.error().message;
  first.hint += (first.hint.empty() ? "" : "; ") + gone.error().hint;
  return first;
}

// Used by one thread at a time; connect() by several.
class Shadow {
 public:
  virtual ~Shadow() = default;
  // Makes a fresh one (drops the leftovers of a run that was killed), bears the mark, samples `tables`.
  // kRefused "shadow.unmarked" or "shadow.is_production" when it must not be used.
  virtual Result<ShadowInfo> create(const std::vector<schema::QualifiedName>& tables) = 0;
  virtual Result<std::unique_ptr<Session>> connect() = 0;  // only after create()
  // Idempotent. An error says what stays of it, or that somebody else may have worked on it meanwhile.
  virtual Status drop() = 0;
  // Writes the planner's statistics of the real tables, their numbers of rows as well, into the catalog of a
  // sample, in the transaction that `session` has open: for plans, and to be rolled back, since whoever
  // counts the rows of a batch by them would be wrong.
  virtual Result<StatisticsCopied> copy_statistics(Session&) { return StatisticsCopied{}; }
};

}  // namespace poundlock::ports
