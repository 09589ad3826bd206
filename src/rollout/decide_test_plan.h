// A small full rollout, made by hand, for tests of decide() and the controller. Every gate is waived
// but those that a test asks for, so that each test sees one rule at work.
#pragma once

#include <set>
#include <string>

#include "rollout/decide.h"

namespace poundlock::rollout::testing {

inline change::Step make_step(std::string id, Phase phase, change::StepKind kind) {
  change::Step step;
  step.id = std::move(id);
  step.phase = phase;
  step.kind = kind;
  step.title = "do " + step.id;
  step.sql = {"SELECT '" + step.id + "'"};
  step.probe = "SELECT probe('" + step.id + "')";
  step.undo = {"SELECT 'undo " + step.id + "'"};
  return step;
}

inline Item step_item(change::Step step) {
  Item item;
  item.id = step.id;
  item.kind = ItemKind::kStep;
  item.phase = step.phase;
  item.title = step.title;
  item.step = std::move(step);
  return item;
}

inline Item make_item(std::string id, ItemKind kind, Phase phase,
                      std::optional<Moment> moment = std::nullopt) {
  Item item;
  item.id = id;
  item.title = std::move(id);
  item.kind = kind;
  item.phase = phase;
  item.moment = moment;
  return item;
}

inline Item exposure_item(std::string id, FlagSetting flag, Millis dwell) {
  Item item = make_item(std::move(id), ItemKind::kExposure, Phase::kExpose, Moment::kExpose);
  item.flag = std::move(flag);
  item.duration = dwell;
  return item;
}

inline Item window_item(std::string id, std::string window, Phase phase, Moment moment, Millis duration) {
  Item item = make_item(std::move(id), ItemKind::kWindow, phase, moment);
  item.window = std::move(window);
  item.duration = duration;
  return item;
}

inline Item flag_item(std::string id, Phase phase, FlagSetting flag) {
  Item item = make_item(std::move(id), ItemKind::kFlag, phase);
  item.flag = std::move(flag);
  return item;
}

inline Item approval_item(std::string id, std::string approval) {
  Item item = make_item(std::move(id), ItemKind::kApproval, Phase::kContract);
  item.approval = std::move(approval);
  return item;
}

inline Plan make_test_plan(const std::set<std::string>& armed_gates = {}) {
  using change::StepKind;
  Plan plan;
  plan.rollout = "orders_status_v2";
  plan.flag.emplace();
  plan.flag->key = "schema_v2";
  plan.flag->steps = {25, 100};
  plan.flag->rules = {{"internal", true, 100}, {"batch", false, std::nullopt}};
  change::Step check = make_step("prepare.dry_run", Phase::kPrepare, StepKind::kCheck);
  check.check = "dry_run";
  check.undo.clear();
  plan.items.push_back(step_item(check));
  for (const char* id : {"dual_write.add_column", "dual_write.sync_trigger"})
    plan.items.push_back(step_item(make_step(id, Phase::kDualWrite, StepKind::kTransaction)));
  auto backfill = make_step("dual_write.backfill", Phase::kDualWrite, StepKind::kBackfill);
  auto verify = make_step("dual_write.verify", Phase::kDualWrite, StepKind::kVerify);
  backfill.undo.clear();
  verify.undo.clear();
  plan.items.push_back(step_item(backfill));
  plan.items.push_back(step_item(verify));
  plan.items.push_back(step_item(make_step("dual_write.index", Phase::kDualWrite, StepKind::kStandalone)));
  plan.items.push_back(flag_item("dual_write.flag", Phase::kDualWrite, {"dualwrite", 0, 0, true}));
  plan.items.push_back(
      window_item("dual_write.window", "dual_write", Phase::kDualWrite, Moment::kDualWrite, Millis{60'000}));
  auto open = make_step("expose.open_sync", Phase::kExpose, StepKind::kTransaction);
  open.undo.clear();
  plan.items.push_back(step_item(open));
  plan.items.push_back(exposure_item("expose.all_25", {"live", 100, 25, true}, Millis{10'000}));
  plan.items.push_back(exposure_item("expose.all_100", {"live", 100, 100, true}, Millis{10'000}));
  plan.items.push_back(
      window_item("expose.observe", "observe", Phase::kExpose, Moment::kObserve, Millis{30'000}));
  plan.items.push_back(approval_item("contract.approve_release", "release"));
  plan.items.push_back(flag_item("contract.release", Phase::kContract, {"live", 100, 100, false}));
  plan.items.push_back(
      window_item("contract.observe", "observe_again", Phase::kContract, Moment::kRelease, Millis{30'000}));
  plan.items.push_back(flag_item("contract.close", Phase::kContract, {"complete", 100, 100, false}));
  plan.items.push_back(approval_item("contract.approve_drop", "drop"));
  auto again = make_step("contract.verify", Phase::kContract, StepKind::kVerify);
  again.undo.clear();
  again.open = true;
  plan.items.push_back(step_item(again));
  auto drop = make_step("contract.drop", Phase::kContract, StepKind::kTransaction);
  drop.destructive = true;
  drop.undo.clear();
  plan.items.push_back(step_item(drop));
  auto vacuum = make_step("contract.vacuum", Phase::kContract, StepKind::kStandalone);
  vacuum.undo.clear();
  plan.items.push_back(step_item(vacuum));
  plan.close_sync = {make_step("rollback.close_sync", Phase::kDualWrite, StepKind::kTransaction)};
  plan.restore = {make_step("restore.add_column", Phase::kContract, StepKind::kTransaction),
                  make_step("restore.backfill", Phase::kContract, StepKind::kBackfill)};
  for (const Gate* gate : all_gates())
    if (!armed_gates.contains(std::string(gate->id)))
      plan.gates[std::string(gate->id)].waived = "not under test";
  return plan;
}

}  // namespace poundlock::rollout::testing
