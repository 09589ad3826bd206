// The steps of a column that is kept in step with another one: expand, open, close, contract, restore, in
// the design's order. Pure functions; thread-safe.
//
// Invariants: (1) between any two steps every statement of an application that was valid stays valid;
// (2) the trigger, its function and the new column go in one transaction; (3) nothing that an undo drops
// was there before the rollout.
#pragma once

#include <string>
#include <vector>

#include "change/operation.h"
#include "change/sync.h"
#include "schema/catalog.h"

namespace poundlock::change {

struct IndexSpec {
  std::string name;                  // unquoted
  std::vector<std::string> columns;  // unquoted
  bool unique = false;
};

struct ColumnPlan {
  SyncSpec sync;
  const schema::Table* table = nullptr;  // lives in the catalog
  const schema::Column* legacy = nullptr;
  std::vector<const schema::Table*> partitions;  // of a partitioned table, those that hold rows
  std::vector<IndexSpec> indexes;
  std::string collation;  // of the new column; "" for the type's own
  int server_version_num = 0;
};

std::vector<Step> expand_steps(const ColumnPlan& plan);
std::vector<Step> open_steps(const ColumnPlan& plan);
std::vector<Step> close_steps(const ColumnPlan& plan);
std::vector<Step> contract_steps(const ColumnPlan& plan);
std::vector<Step> restore_steps(const ColumnPlan& plan);

// CREATE [UNIQUE] INDEX CONCURRENTLY as a step of its own, with probe and repair. Also for create_index.
Step index_step(const std::string& id, Phase phase, const schema::QualifiedName& table,
                const std::string& name, const std::string& create_sql);
// "a", "b" in quotes and parentheses.
std::string column_list(const std::vector<std::string>& columns);

}  // namespace poundlock::change
