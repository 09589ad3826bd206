// A dry run: the change on a shadow, statement by statement, with everything that it does to others traced
// and scaled to the size of the real tables. For rollouts and for migrations as they are written.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/checks.h"
#include "engine/lock_queue.h"
#include "engine/trace.h"

namespace poundlock::engine {

inline constexpr double kBlockingSecondsMax = 120;  // the limit of the gate dry_run_time

struct DryRunStatement {
  Trace trace;
  std::string source;           // the step's id, or the file
  int line = 0;                 // in that file; 0: none
  bool blocks_writers = false;  // by a lock on a table, or on half its rows and more
  double scaled_seconds = 0;    // as long as it would take on the real tables
  std::string basis;            // "x 10.0: public.orders has 5,000,000 rows, 500,000 here"
};

// A statement that was not tried, since a person has to decide what it should become, or since the sample has
// no rows for it.
struct LeftOut {
  std::string file;  // or the step's id
  int line = 0;      // from 1; 0: none
  std::string sql;
  std::string why;
};

struct DryRunReport {
  bool passed = false;
  std::vector<std::string> why_not;
  double seconds = 0;           // of all statements
  double blocking_seconds = 0;  // scaled, of those that block writers
  std::vector<DryRunStatement> statements;
  QueueReport queue;
  ports::TrafficReport replay;  // beside the run itself, where `replayed`
  bool replayed = false;
  ports::ShadowInfo shadow;
  std::vector<std::string> notes;
  std::vector<LeftOut> left_out;  // those that found no rows, and the caller's; each is in `why_not` as well
};

// What one tool's transaction holds, or one statement that stands alone.
struct ScriptStatement {
  std::string sql;
  int line = 0;
};
struct Script {
  std::string file;
  bool in_transaction = false;  // the tool puts one around all of it
  std::vector<ScriptStatement> statements;
};

struct DryRunOptions {
  bool measure_queue = false;
  QueueOptions queue;  // its search_path and, for a rollout with paths, its traffic are filled in
  std::function<void(const std::string& what)> progress;  // before each statement; may be empty
};

// Scripts exactly as they are written: their own BEGIN and COMMIT, no time-outs but theirs. The first
// statement that fails ends it, as every tool would; that is told in the report and is no Error. Before any
// of it runs, a statement that reaches beyond the database is the kUser "dry_run.reach" (reach.h); so below.
Result<DryRunReport> dry_run_scripts(const CheckContext& context, ShadowUse& shadow,
                                     const std::vector<Script>& scripts, const DryRunOptions& options);

// The forward steps of a plan. A kept shadow is spared the contract. A statement that fails is in the report.
Result<DryRunReport> dry_run_plan(const CheckContext& context, ShadowUse& shadow,
                                  const DryRunOptions& options);

// How much longer a traced statement takes on the real tables, and why. 1 where nothing of it grows.
double scale_of(const Trace& trace, const ports::ShadowInfo& shadow, std::string& basis);

}  // namespace poundlock::engine
