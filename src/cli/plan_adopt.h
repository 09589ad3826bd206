// plan --adopt: what of a plan is there already, by each step's probe on the database; and, where all of it
// is and a migration tool owns the schema's history, the files and history rows that make the tool take it as
// run. One thread.
#pragma once

#include "cli/plan_write.h"
#include "migration/history.h"

namespace poundlock::cli {

enum class Adopted {
  kDone,     // its whole effect is there
  kNotDone,  // nothing of it, as far as the catalog tells
  kHalf,     // a leftover of a failure in the middle: an invalid index
  kUnknown,  // the catalog does not tell: rows, VACUUM, comments
};
const char* to_string(Adopted state);  // "done", "not done", "half done", "unknown"

// One for each step. Reads only. `session` is in no transaction.
Result<std::vector<Adopted>> adopted(ports::Session& session, const migration::SqlPlan& plan);

// In one transaction; nothing stays of it when one row cannot be written.
Status record_history(ports::Session& session, const std::vector<std::string>& statements);

}  // namespace poundlock::cli
