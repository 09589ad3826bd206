#include "rollout/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "flag/rollout_flag.h"
#include "rollout/flag_setting.h"
#include "rollout/row_copies.h"

namespace poundlock::rollout {
namespace {

using change::ColumnRef;
using change::OperationPlan;
using change::Profile;
using change::Step;

// How long the application is watched before anything changes: long enough for a p99 at a few requests
// a second.
constexpr Millis kBaselineLength{10 * 60'000};
constexpr double kSpeedMin = 0.001;
constexpr double kSpeedMax = 1e9;

Millis scaled(Millis duration, double speed) {
  if (duration.count() == 0) return duration;
  const auto ms = std::llround(static_cast<double>(duration.count()) / speed);
  return Millis{std::max<std::int64_t>(1, ms)};
}

bool wants(const RolloutSpec& spec, std::string_view approval) {
  return std::find(spec.approvals.begin(), spec.approvals.end(), approval) != spec.approvals.end();
}

// An additive change has no other side: what these gates ask for is never measured, and a gate without
// data holds for ever. Waived in the plan, where a person reads the reason.
constexpr std::array<std::string_view, 4> kNotInAdditive{"parity", "paths_equal", "rehearsal",
                                                         "lock_contention"};

class Builder {
 public:
  Builder(const RolloutSpec& spec, const PlanOptions& options) : spec_(spec) {
    plan_.rollout = spec.name;
    plan_.database = spec.database;
    plan_.profile = spec.profile;
    plan_.paths = spec.paths;
    plan_.flag = spec.flag;
    plan_.speed = options.speed;
    plan_.windows = {scaled(spec.windows.overlap, options.speed),
                     scaled(spec.windows.dual_write, options.speed),
                     scaled(spec.windows.observe, options.speed)};
    plan_.gates = spec.gates;
  }

  Result<Plan> build(const schema::Catalog& catalog) {
    PL_CHECK(add_operations(catalog));
    if (spec_.profile == Profile::kAdditive) {
      additive();
    } else {
      prepare();
      dual_write();
      expose();
      contract();
    }
    PL_CHECK(check());
    return std::move(plan_);
  }

 private:
  Status add_operations(const schema::Catalog& catalog);
  Status add_columns(std::vector<ColumnRef>& into, const std::vector<ColumnRef>& columns);
  void additive();
  void prepare();
  void dual_write();
  void expose();
  void contract();
  void release();
  Status check() const;
  std::vector<Step> final_verify() const;

  Item& add(std::string id, ItemKind kind, Phase phase, std::string title) {
    Item item;
    item.id = std::move(id);
    item.kind = kind;
    item.phase = phase;
    item.title = std::move(title);
    return plan_.items.emplace_back(std::move(item));
  }
  void add_check(std::string_view check, std::string title);
  void add_steps(const std::vector<Step>& steps, Phase phase);
  void add_flag(std::string id, Phase phase, std::string title, FlagSetting setting) {
    add(std::move(id), ItemKind::kFlag, phase, std::move(title)).flag = std::move(setting);
  }
  void add_exposure(std::string id, std::string title, FlagSetting setting);
  void add_window(std::string id, Phase phase, std::string title, std::string window, Millis duration,
                  std::optional<Moment> moment);
  void add_gates(std::string id, Phase phase, std::string title, Moment moment) {
    add(std::move(id), ItemKind::kGates, phase, std::move(title)).moment = moment;
  }
  void add_approval(std::string_view name, std::string id, Phase phase, std::string title) {
    if (wants(spec_, name)) add(std::move(id), ItemKind::kApproval, phase, std::move(title)).approval = name;
  }
  const TargetingRule* internal_rule() const;

  const RolloutSpec& spec_;
  Plan plan_;
  std::vector<Step> expand_;
  std::vector<Step> drop_;
  std::vector<Step> open_sync_;
};

// --- the operations' steps -------------------------------------------------------------------------

// Two operations on one column would each install a trigger and drop the other's column.
Status Builder::add_columns(std::vector<ColumnRef>& into, const std::vector<ColumnRef>& columns) {
  for (const ColumnRef& column : columns) {
    for (const auto* taken : {&plan_.legacy, &plan_.fresh}) {
      if (std::find(taken->begin(), taken->end(), column) == taken->end()) continue;
      return fail(user_error("plan.same_column", fmt::format("two operations of this rollout change {}.{}.{}",
                                                             column.schema, column.table, column.column))
                      .with_hint("put one of them into a rollout of its own"));
    }
  }
  into.insert(into.end(), columns.begin(), columns.end());
  return {};
}

void number(std::vector<Step>& steps, std::size_t index) {
  if (index == 0) return;
  for (Step& step : steps) step.id += fmt::format("_{}", index + 1);
}

void append(std::vector<Step>& into, std::vector<Step> steps) {
  std::move(steps.begin(), steps.end(), std::back_inserter(into));
}

Status Builder::add_operations(const schema::Catalog& catalog) {
  const auto star = spec_.gates.find("select_star");
  const bool waived = star != spec_.gates.end() && star->second.waived;
  for (std::size_t i = 0; i < spec_.operations.size(); ++i) {
    const change::Operation& operation = *spec_.operations[i];
    PL_TRY(OperationPlan part, operation.plan(catalog, spec_.name));
    for (auto* steps : {&part.steps, &part.open_sync, &part.close_sync, &part.restore}) number(*steps, i);
    // Each operation names its own columns once, or several times where it has several steps.
    std::vector<ColumnRef> legacy;
    std::vector<ColumnRef> fresh;
    PL_CHECK(add_columns(legacy, part.legacy));
    PL_CHECK(add_columns(fresh, part.fresh));
    for (const ColumnRef& column : fresh) {
      const schema::Table* table = catalog.table({column.schema, column.table});
      if (table != nullptr && !waived) PL_CHECK(check_row_copies(catalog, *table));
    }
    plan_.legacy.insert(plan_.legacy.end(), legacy.begin(), legacy.end());
    plan_.fresh.insert(plan_.fresh.end(), fresh.begin(), fresh.end());
    for (Step& step : part.steps) {
      if (step.phase != Phase::kDualWrite && step.phase != Phase::kContract) {
        return fail(internal_error(
            fmt::format("step {} of '{}' belongs to no phase of an operation", step.id, operation.title())));
      }
      (step.phase == Phase::kDualWrite ? expand_ : drop_).push_back(std::move(step));
    }
    append(open_sync_, std::move(part.open_sync));
    append(plan_.close_sync, std::move(part.close_sync));
    append(plan_.restore, std::move(part.restore));
    std::move(part.notes.begin(), part.notes.end(), std::back_inserter(plan_.notes));
  }
  return {};
}

void Builder::add_check(std::string_view check, std::string title) {
  Step step;
  step.id = fmt::format("prepare.{}", check);
  step.phase = Phase::kPrepare;
  step.kind = change::StepKind::kCheck;
  step.title = std::move(title);
  step.check = check;
  add_steps({std::move(step)}, Phase::kPrepare);
}

void Builder::add_steps(const std::vector<Step>& steps, Phase phase) {
  for (const Step& step : steps) add(step.id, ItemKind::kStep, phase, step.title).step = step;
}

// --- the phases ------------------------------------------------------------------------------------

void Builder::additive() {
  for (const std::string_view gate : kNotInAdditive) {
    auto& waived = plan_.gates[std::string(gate)].waived;
    if (!waived)
      waived = "an additive change has no second side to compare, and declares no statements to replay";
  }
  add_check("lint", "check every statement against the lint rules");
  add_check("dry_run", "try the change on the shadow and trace its locks");
  add_gates("prepare.gates", Phase::kPrepare, "the gates of the dry run pass", Moment::kPrepare);
  add_steps(expand_, Phase::kDualWrite);
}

void Builder::prepare() {
  add_check("parity", "compare staging with production: version, settings, extensions, schema");
  add_check("lint", "check every statement against the lint rules");
  add_check("paths", "prepare and plan the application's statements on the shadow");
  add_check("dry_run", "try the change on the shadow and trace its locks");
  add_check("rehearsal", "rehearse the whole change on the shadow, forth and back");
  Item& baseline = add("prepare.baseline", ItemKind::kBaseline, Phase::kPrepare,
                       "record how the application does before anything changes");
  baseline.duration = scaled(kBaselineLength, plan_.speed);
  baseline.moment = Moment::kBaseline;
  add_gates("prepare.gates", Phase::kPrepare, "every gate of the preparation passes", Moment::kPrepare);
}

void Builder::dual_write() {
  add_steps(expand_, Phase::kDualWrite);
  add_flag("dual_write.flag", Phase::kDualWrite, "tell the application that both sides are written",
           {"dualwrite", 0, 0, true});
  add_window("dual_write.window", Phase::kDualWrite, "watch both sides being written while legacy is read",
             "dual_write", plan_.windows.dual_write, Moment::kDualWrite);
}

const TargetingRule* Builder::internal_rule() const {
  for (const TargetingRule& rule : spec_.flag->rules) {
    if (rule.context == flag::kInternalContext && rule.enabled && rule.percentage) return &rule;
  }
  return nullptr;
}

void Builder::expose() {
  add_approval("expose", "expose.approve_expose", Phase::kExpose,
               "wait for the approval to expose the new side");
  add_steps(open_sync_, Phase::kExpose);
  const FlagSpec& flag = *spec_.flag;
  double internal = 0;
  if (const TargetingRule* rule = internal_rule(); rule && *rule->percentage > 0) {
    internal = *rule->percentage;
    const double first = std::min(flag.initial_percentage, internal);
    for (const double share : std::set<double>{first, internal}) {
      add_exposure(fmt::format("expose.internal_{}", share),
                   fmt::format("{} % of internal traffic reads the new side", share),
                   {"live", share, 0, true});
    }
  }
  for (const double step : flag.steps) {
    const double share = std::min(step, std::round(10'000 - spec_.holdback * 100) / 100);
    const std::string held =
        step == 100 && spec_.holdback > 0 ? fmt::format(", {} % are held back", spec_.holdback) : "";
    add_exposure(fmt::format("expose.all_{}", share),
                 fmt::format("{} % of everybody reads the new side{}", share, held),
                 {"live", internal, share, true});
  }
  add_window("expose.observe", Phase::kExpose, "observe everybody on the new side", "observe",
             plan_.windows.observe, Moment::kObserve);
}

void Builder::release() {
  const FlagSetting everybody{"live", 100, 100, true};
  if (spec_.holdback > 0) {
    add_flag("contract.release_holdback", Phase::kContract,
             fmt::format("let the {} % who were held back read the new side", spec_.holdback), everybody);
  }
  const std::vector<std::string> excluded = plan_.excluded_contexts();
  if (excluded.empty()) return;
  const std::string names = fmt::format("{}", fmt::join(excluded, ", "));
  add_approval("release", "contract.approve_release", Phase::kContract,
               fmt::format("wait for the approval to release {}", names));
  FlagSetting released = everybody;
  released.exclusions = false;
  add_flag("contract.release", Phase::kContract, fmt::format("let {} read the new side", names), released);
}

void Builder::contract() {
  release();
  add_window("contract.observe", Phase::kContract, "observe again, while going back is still instant",
             "observe_again", plan_.windows.observe, Moment::kRelease);
  add_window("contract.overlap", Phase::kContract, "wait until both sides have been in step for long enough",
             "overlap", plan_.windows.overlap, std::nullopt);
  add_flag("contract.close", Phase::kContract, "close the flag: every reader is on the new side for good",
           {"complete", 100, 100, false});
  add_window("contract.closing", Phase::kContract, "watch that nobody refers to the legacy side any more",
             "closing", plan_.windows.observe, Moment::kBeforeDrop);
  if (drop_.empty()) return;
  add_approval("drop", "contract.approve_drop", Phase::kContract,
               "wait for the approval to drop the legacy side");
  add_gates("contract.drop_gates", Phase::kContract, "nothing refers to the legacy side",
            Moment::kBeforeDrop);
  add_steps(final_verify(), Phase::kContract);
  add_steps(drop_, Phase::kContract);
}

// The expand's comparison of every row is weeks old by now, and samples overlook one row in a million: what
// was written past the trigger since then would go with the legacy side.
std::vector<Step> Builder::final_verify() const {
  std::vector<Step> steps;
  for (const Step& step : expand_) {
    if (step.kind != change::StepKind::kVerify) continue;
    Step& again = steps.emplace_back(step);
    again.id = "contract" + step.id.substr(std::min(step.id.find('.'), step.id.size()));
    again.phase = Phase::kContract;
    again.title = step.title + " once more, before the drop";
    again.open = true;
  }
  return steps;
}

void Builder::add_exposure(std::string id, std::string title, FlagSetting setting) {
  Item& item = add(std::move(id), ItemKind::kExposure, Phase::kExpose, std::move(title));
  item.flag = std::move(setting);
  item.duration = scaled(spec_.flag->interval, plan_.speed);
  item.moment = Moment::kExpose;
}

void Builder::add_window(std::string id, Phase phase, std::string title, std::string window, Millis duration,
                         std::optional<Moment> moment) {
  Item& item = add(std::move(id), ItemKind::kWindow, phase, std::move(title));
  item.window = std::move(window);
  item.duration = duration;
  item.moment = moment;
}

// Refuses what would otherwise come to light in the middle of a rollout.
Status Builder::check() const {
  std::set<std::string_view> seen;
  const auto once = [&](const std::string& id) -> Status {
    if (!id.empty() && seen.insert(id).second) return {};
    return fail(internal_error(fmt::format("the plan has two items with the id '{}'", id)));
  };
  for (const Item& item : plan_.items) {
    PL_CHECK(once(item.id));
    if (item.flag) PL_CHECK(compile_setting(*plan_.flag, *item.flag));
  }
  for (const Step& step : plan_.close_sync) PL_CHECK(once(step.id));
  for (const Step& step : plan_.restore) PL_CHECK(once(step.id));
  const bool keeps = !drop_.empty() || !open_sync_.empty() || !plan_.close_sync.empty();
  if (spec_.profile == Profile::kAdditive && keeps) {
    return fail(internal_error("an operation calls itself additive and has more than an expand"));
  }
  return {};
}

}  // namespace

const char* to_string(Moment moment) {
  switch (moment) {
    case Moment::kBaseline: return "baseline";
    case Moment::kPrepare: return "prepare";
    case Moment::kDualWrite: return "dual_write";
    case Moment::kExpose: return "expose";
    case Moment::kObserve: return "observe";
    case Moment::kRelease: return "release";
    case Moment::kBeforeDrop: return "before_drop";
    case Moment::kUndoExpand: return "undo_expand";
    case Moment::kExpand: return "expand";
  }
  return "";
}

const char* to_string(ItemKind kind) {
  switch (kind) {
    case ItemKind::kStep: return "step";
    case ItemKind::kBaseline: return "baseline";
    case ItemKind::kGates: return "gates";
    case ItemKind::kFlag: return "flag";
    case ItemKind::kExposure: return "exposure";
    case ItemKind::kWindow: return "window";
    case ItemKind::kApproval: return "approval";
  }
  return "";
}

const Item* Plan::item(std::string_view id) const {
  const auto index = index_of(id);
  return index ? &items[*index] : nullptr;
}

std::optional<std::size_t> Plan::index_of(std::string_view id) const {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].id == id) return i;
  }
  return std::nullopt;
}

std::size_t Plan::first_of(Phase phase) const {
  const auto found =
      std::find_if(items.begin(), items.end(), [&](const Item& item) { return item.phase >= phase; });
  return static_cast<std::size_t>(found - items.begin());
}

std::vector<std::string> Plan::excluded_contexts() const {
  std::vector<std::string> contexts;
  if (!flag) return contexts;
  for (const TargetingRule& rule : flag->rules) {
    if (!rule.enabled) contexts.push_back(rule.context);
  }
  return contexts;
}

Result<Plan> make_plan(const RolloutSpec& spec, const schema::Catalog& catalog, const PlanOptions& options) {
  if (!(options.speed >= kSpeedMin && options.speed <= kSpeedMax)) {
    return fail(user_error("plan.speed", fmt::format("speed: expected a number from {} to {}, found {}",
                                                     kSpeedMin, kSpeedMax, options.speed)));
  }
  if (spec.profile != change::Profile::kAdditive && !spec.flag) {
    return fail(
        user_error("spec.no_flag", fmt::format("profile '{}' needs a flag, and feature_flags is missing",
                                               change::to_string(spec.profile))));
  }
  for (const auto& operation : spec.operations) {
    if (operation->profile() <= spec.profile) continue;
    return fail(user_error("spec.profile", fmt::format("profile '{}' is too small: {} needs '{}'",
                                                       change::to_string(spec.profile), operation->title(),
                                                       change::to_string(operation->profile()))));
  }
  return Builder(spec, options).build(catalog);
}

}  // namespace poundlock::rollout
