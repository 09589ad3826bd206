#include "cli/paths/flag_states.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"

namespace poundlock::cli {
namespace {

using rollout::FlagSetting;

struct Named {
  std::string name, says;
  FlagSetting setting;
  bool everybody = true;  // the same for every context
};

Named named(FlagSetting setting, bool excludes) {
  // A share would make the outcome hang on the targeting keys of the suite.
  setting.internal_percentage = setting.internal_percentage > 0 ? 100 : 0;
  setting.percentage = setting.percentage > 0 ? 100 : 0;
  if (setting.stage != "live")
    return {setting.stage,
            setting.stage == "complete" ? "closed: everybody is on the new side for good"
                                        : "everybody is on the legacy side",
            setting, true};
  if (setting.percentage == 0)
    return {"live.internal", "the context internal is on the new side", setting, false};
  if (!setting.exclusions) return {"live.released", "everybody is, excluded contexts too", setting, true};
  return {"live.all", excludes ? "everybody is but excluded contexts" : "everybody is on the new side",
          setting, !excludes};
}

void add(std::vector<Named>& states, Named state) {
  const bool known =
      std::any_of(states.begin(), states.end(), [&](const Named& one) { return one.name == state.name; });
  if (!known) states.push_back(std::move(state));
}

FlagState document(const rollout::Plan& plan, const Named& state) {
  const std::string& key = plan.flag->key;
  json::Object overrides;
  if (state.everybody) {
    const bool on = state.setting.stage == "live" || state.setting.stage == "rampdown" ||
                    state.setting.stage == "complete";
    overrides[key] = on ? "on" : "off";
    overrides[key + ".stage"] = state.setting.stage;
  }
  return {state.name, state.says, fmt::format("{{\"flags\": {}}}\n", flag_document(plan, state.setting)),
          json::dump(json::Object{{"flags", std::move(overrides)}}) + "\n"};
}

}  // namespace

Result<std::vector<FlagState>> flag_states(rollout::RolloutSpec spec, const std::vector<std::string>& only) {
  if (!spec.flag || spec.profile == change::Profile::kAdditive)
    return fail(user_error(
        "paths.no_flag", fmt::format("the rollout {} has no flag: its test suite has one state", spec.name)));
  spec.operations.clear();  // what the flag says hangs on none of them, and they would want a catalog
  PL_TRY(const auto plan, rollout::make_plan(spec, {}));
  const bool excludes = !plan.excluded_contexts().empty();
  std::vector<Named> states;
  add(states, named({"off", 0, 0, true}, excludes));
  for (const auto& item : plan.items) {
    if (!item.flag) continue;
    if (item.flag->stage == "complete")
      add(states,
          {"rampdown", "everybody is on the new side, legacy is about to go", {"rampdown", 100, 100, false}});
    add(states, named(*item.flag, excludes));
    if (item.flag->stage == "dualwrite")
      add(states,
          {"shadow", "legacy answers, and both sides are read to be compared", {"shadow", 0, 0, true}});
  }
  std::string known;
  for (const auto& one : states) known += (known.empty() ? "" : ", ") + one.name;
  for (const auto& wanted : only)
    if (std::none_of(states.begin(), states.end(), [&](const Named& one) { return one.name == wanted; }))
      return fail(user_error("paths.state", fmt::format("this rollout has no flag state '{}'", wanted))
                      .with_hint("its states are " + known));
  std::vector<FlagState> out;
  for (const auto& one : states) {
    const bool wanted =
        only.empty() ? one.name != "shadow" : std::find(only.begin(), only.end(), one.name) != only.end();
    if (wanted) out.push_back(document(plan, one));
  }
  return out;
}

}  // namespace poundlock::cli
