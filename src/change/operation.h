// One kind of schema change: how it is written, and the steps with which it expands, keeps in step,
// backfills, verifies, contracts, undoes and restores. Each kind is one file in operations/ that
// defines `const OperationKind& NAME();` (cmake/Layers.cmake generates the table).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/yaml.h"
#include "change/step.h"
#include "schema/catalog.h"

namespace poundlock::change {

// How much ceremony a change gets. Ordered: a rollout takes the largest that an operation needs.
enum class Profile { kAdditive, kQuick, kFull };
const char* to_string(Profile profile);

// Which side the trigger treats as the authority. Every mode is installed by CREATE OR REPLACE
// FUNCTION, which takes no lock on the table.
enum class SyncMode {
  kOff,     // empty body: writers pass, nothing is derived
  kLegacy,  // only legacy is written by applications: new is derived from it always
  kBoth,    // either side may be written; where both are and disagree, legacy wins (flag still off)
  kNew,     // as kBoth, and new wins (from live on)
};

struct ColumnRef {
  std::string schema;  // as in the catalog, unquoted
  std::string table;
  std::string column;
  bool operator==(const ColumnRef&) const = default;
};

struct OperationPlan {
  // In order of execution; each step carries its phase (dual_write or contract).
  std::vector<Step> steps;
  // Replace the sync function; run in order, each one transaction. Empty: nothing is kept in step.
  std::vector<Step> open_sync;   // at the start of expose: -> kBoth/kNew
  std::vector<Step> close_sync;  // at a rollback of dual_write, before the undo: -> kOff
  // After the drop: bring the legacy side back and refill it through `down`.
  std::vector<Step> restore;
  std::vector<ColumnRef> legacy;   // what must not be referred to before the drop
  std::vector<ColumnRef> fresh;    // what must not be referred to before the new side is dropped
  std::vector<std::string> notes;  // what a person should know, for `plan`
};

class Operation {
 public:
  virtual ~Operation() = default;
  virtual Profile profile() const = 0;
  virtual std::string title() const = 0;  // "orders.legacy_status -> new_status varchar(32)"
  // Resolves every name in the catalog; errors are kUser and carry the place in the rollout file.
  // `rollout` makes the names of helper objects unique.
  virtual Result<OperationPlan> plan(const schema::Catalog& catalog, std::string_view rollout) const = 0;
};

struct OperationKind {
  std::string_view name;     // the key in the rollout file: "change_column"
  std::string_view summary;  // one sentence for help and documentation
  std::string_view example;  // YAML under `change:`; parsed by a test
  Result<std::unique_ptr<Operation>> (*parse)(const yaml::Node& node) = nullptr;
};

std::span<const OperationKind* const> all_operations();
// One entry of `change:`, a mapping with one key. An unknown kind lists the known ones.
Result<std::unique_ptr<Operation>> parse_operation(const yaml::Node& entry);

}  // namespace poundlock::change
