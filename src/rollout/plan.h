// The plan: what a rollout will do, item by item, made once from the file and the catalog and then
// immutable. decide() walks it; the executor has no choices left.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "change/operation.h"
#include "change/step.h"
#include "rollout/spec.h"

namespace poundlock::rollout {

using change::Phase;

// When a gate is judged; a gate names several.
enum class Moment : std::uint32_t {
  kBaseline = 1,      // before the expand: a gate that would already fail is said then
  kPrepare = 2,       // after dry run and rehearsal
  kDualWrite = 4,     // from the trigger to the end of the window
  kExpose = 8,        // at each exposure step
  kObserve = 16,      // at 100 %
  kRelease = 32,      // after the excluded contexts are released
  kBeforeDrop = 64,   // before the legacy side goes
  kUndoExpand = 128,  // before the new side is dropped again by a rollback
  kExpand = 256,      // while the expand's steps and the backfill run
};
using Moments = std::uint32_t;
constexpr Moments operator|(Moment a, Moment b) {
  return static_cast<Moments>(a) | static_cast<Moments>(b);
}
constexpr Moments operator|(Moments a, Moment b) {
  return a | static_cast<Moments>(b);
}
constexpr bool has(Moments set, Moment one) {
  return (set & static_cast<Moments>(one)) != 0;
}
const char* to_string(Moment moment);

// What the rollout's flag says. Compiled to KEY and KEY.stage by flag_document().
struct FlagSetting {
  std::string stage = "off";       // of those who are in: off, dualwrite, shadow, live, rampdown, complete
  double internal_percentage = 0;  // of the context "internal"
  double percentage = 0;           // of everybody else
  bool exclusions = true;          // excluded contexts stay on legacy
  bool operator==(const FlagSetting&) const = default;
};

enum class ItemKind {
  kStep,      // carry out `step`
  kBaseline,  // record the baseline from the application's figures
  kGates,     // the gates of `moment` must pass
  kFlag,      // publish `flag` and wait until readers have applied it
  kExposure,  // publish `flag`, dwell for `duration`, gates of `moment`
  kWindow,    // until window `window` has accumulated `duration`, gates of `moment`
  kApproval,  // until somebody approves `approval`
};
const char* to_string(ItemKind kind);

struct Item {
  std::string id;  // unique: a step's id, "expose.all_25", "contract.observe"
  ItemKind kind = ItemKind::kStep;
  Phase phase = Phase::kPrepare;
  std::string title;
  std::optional<change::Step> step;
  std::optional<FlagSetting> flag;
  Millis duration{0};
  std::string window;
  std::string approval;
  std::optional<Moment> moment;
};

struct Plan {
  std::string rollout;
  std::string database;
  change::Profile profile = change::Profile::kFull;
  std::vector<Item> items;
  std::vector<change::Step> close_sync;  // first thing of a rollback of dual_write
  std::vector<change::Step> restore;     // after the drop: legacy comes back
  std::vector<change::ColumnRef> legacy;
  std::vector<change::ColumnRef> fresh;
  std::vector<PathSpec> paths;
  std::optional<FlagSpec> flag;
  Windows windows;  // already divided by speed
  double speed = 1;
  std::map<std::string, GateOverride> gates;
  std::vector<std::string> notes;

  const Item* item(std::string_view id) const;
  std::optional<std::size_t> index_of(std::string_view id) const;
  // First index whose phase is this or later; items.size() where there is none.
  std::size_t first_of(Phase phase) const;
  std::vector<std::string> excluded_contexts() const;
};

struct PlanOptions {
  double speed = 1;  // divides windows and dwell; never a gate's limit or a time-out
};

// `catalog`: the production schema before the change. Errors are kUser with the place in the file.
Result<Plan> make_plan(const RolloutSpec& spec, const schema::Catalog& catalog,
                       const PlanOptions& options = {});

boost::json::value to_json(const Plan& plan);
Result<Plan> plan_from_json(const boost::json::value& json);

// The flagd document part {"KEY": {...}, "KEY.stage": {...}} of a setting.
std::string flag_document(const Plan& plan, const FlagSetting& setting);

}  // namespace poundlock::rollout
