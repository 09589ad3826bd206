// Proof that both of the application's ways work, on a shadow: each statement wherever the phases need it,
// both with the same rows and effects for the same parameters, and planned alike. One implementation for the
// prepare phase's check and for `poundlock paths`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "engine/checks.h"

namespace poundlock::engine {

struct PathOptions {
  int samples = 20;         // rows of parameters for each reading path
  int write_samples = 3;    // for each writing one: the tables are looked at three times for each
  double cost_factor = 2;   // the new statement may cost so many times the legacy one
  double cost_floor = 100;  // planner units that it may cost more in any case
  double estimate_factor = 10;
  double large_rows = 10'000;  // of the real table: from here on a sequential scan counts
  Millis statement_limit{10'000};
};

enum class Side { kLegacy, kFresh };
const char* to_string(Side side);  // "legacy", "new"

struct PathFinding {
  std::string path;
  std::string side;  // "legacy", "new", "both"
  // does_not_work, prepared_breaks, rows_differ, columns_differ, order_differs, effect_differs, out_of_step,
  // not_compared, values_left_out, index_lost, seq_scan, cost, estimate, select_star, whole_row,
  // insert_without_columns, contract_fails, view_in_the_way
  std::string kind;
  bool error = true;  // false: worth knowing, and no reason to stop
  std::string message, fix;
};

// Where a statement works; nullopt: not tried.
struct PathWorks {
  std::string path;
  Side side = Side::kLegacy;
  std::optional<bool> before_expand, after_expand, after_contract;
};

struct PathCompared {
  std::string path;
  bool writes = false;
  int compared = 0;  // rows of parameters for which both gave the same
  int skipped = 0;
  std::size_t left_out = 0;  // values of theirs that change by themselves, and were not compared
  double rows = 0;           // that legacy gave
};

struct PathPlanned {
  std::string path;
  double legacy_cost = 0, fresh_cost = 0;
  std::string legacy_plan, fresh_plan;
};

struct PathsReport {
  std::string shadow;
  std::string statistics;  // what the plans were made from, in plain words
  std::vector<PathWorks> works;
  std::vector<PathCompared> compared;
  std::vector<PathPlanned> planned;
  std::vector<PathFinding> findings;
  int errors() const;
  int comparisons() const;
};

// On a shadow of its own, left as it was found: the contract is tried in a transaction that is rolled back.
Result<PathsReport> prove_paths(const CheckContext& context, const PathOptions& options);

}  // namespace poundlock::engine
