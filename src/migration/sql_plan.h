// Plain SQL turned into the ordered steps of a rollout: unsafe statements are replaced by safe phased ones
// wherever the rules know how; what takes a person is a decision, with the reason and the choices, and is
// left out of the steps. Every step has a probe, so that whoever runs it may be killed and begin again.
// Pure; thread-safe. Times are milliseconds or seconds as named.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "migration/source.h"
#include "rollout/plan.h"
#include "schema/catalog.h"

namespace poundlock::migration {

inline constexpr std::size_t kPlannedStepsMax = 20'000;

// A statement that is not among the steps, because what it should become depends on something that only a
// person knows.
struct Decision {
  std::string file;
  int line = 1;  // from 1, in characters, of the statement
  int column = 1;
  std::string sql;  // as it was written
  std::string why;
  std::vector<std::string> choices;  // what can be done; the first is what we would do
  std::string rollout;               // a rollout file that does the same safely; "": none is proposed
};

// One statement of the plan. Statements of one transaction group are one item of `plan`: they commit
// together.
struct SqlStep {
  change::Step step;          // of this statement alone
  std::string item;           // id of its item in the plan
  int transaction_group = 1;  // from 1, in order; what stands outside a transaction has a group of its own
  bool rewritten = false;     // not what the person wrote
  bool rewrites = false;      // writes the whole table anew
  bool scans = false;         // reads the whole table
  bool once = false;          // of a backfill: each row at most once, in the order of the key
  bool writes_rows = false;   // changes rows, by a statement of its own or in batches
  std::string blocks;         // who waits while it runs: "", "schema changes", "writes", "reads and writes"
  std::optional<double> seconds;  // expected, from the catalog's sizes; nullopt: not known
  std::string file;
  int line = 1;  // of the statement that it comes from
};

struct SqlPlan {
  // Their sql sets search_path, since sessions of ours see pg_catalog alone; that of `steps` is as it was
  // written. Items of kind kStep in order, and before the first drop the gates of kBeforeDrop: dry run,
  // boundaries and rehearsal take it as they take a rollout's.
  rollout::Plan plan;
  std::vector<SqlStep> steps;
  std::vector<Decision> decisions;
};

struct SqlPlanOptions {
  std::string name = "migration";  // the plan's name: of ledger rows
  // Where names without a schema are looked for; what is made goes to the first. Not empty.
  std::vector<std::string> search_path = {"public"};
};

// `catalog`: the schema before the first source; null where no database is known. Errors are kUser with the
// place: what does not parse ("schema.syntax"), a transaction that is never ended, too many statements.
Result<SqlPlan> plan_sql(std::span<const Source> sources, const schema::Catalog* catalog,
                         const SqlPlanOptions& options = {});

// A rollout's own step seen in the same way: what it locks, reads and writes.
SqlStep seen(const change::Step& step, const schema::Catalog* catalog);

// What the step runs, as one text with a semicolon behind each statement; of a backfill what its batches
// amount to.
std::string sql_text(const change::Step& step);
std::string undo_text(const change::Step& step);
// The step's probe; of rows that are brought in step whether any is left, which reads the table.
std::string probe_text(const change::Step& step);

}  // namespace poundlock::migration
