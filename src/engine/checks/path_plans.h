// How PostgreSQL would run one of the application's statements, read from EXPLAIN (FORMAT JSON).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ports/database.h"

namespace poundlock::engine {

struct RelationScan {
  bool sequential = false;    // reads every row
  bool by_condition = false;  // an index narrows what it reads
  std::string index;          // the first one that does
};

struct PlanFacts {
  double cost = 0;                            // total, in the planner's units
  std::map<std::string, RelationScan> scans;  // by quoted qualified name
  std::string shape;                          // "Limit > Index Scan orders_pkey on orders"
  // Of EXPLAIN ANALYZE: the node whose number of rows was guessed worst, and by which factor.
  double worst_factor = 1;
  std::string worst_node;  // "Seq Scan on orders: 5 rows expected, 4,000 seen"
};

struct ExplainOptions {
  bool analyze = false;    // runs it
  bool sequential = true;  // false: what would an index do, however small the table is?
  // The plan that fits any parameters, as PostgreSQL may keep it for a prepared statement after five
  // executions. Not with `analyze`.
  bool generic = false;
};

// Inside the caller's transaction. A statement with parameters gets `params`, a generic plan too: they say
// which partitions it would open.
Result<PlanFacts> plan_facts(ports::Session& session, const std::string& sql,
                             const std::vector<ports::Cell>& params, const ExplainOptions& options);

// The facts in EXPLAIN's JSON.
Result<PlanFacts> read_plan(std::string_view json);

}  // namespace poundlock::engine
