#include <algorithm>

#include "base/json.h"
#include "flag/rollout_flag.h"
#include "rollout/flag_setting.h"

namespace poundlock::rollout {
namespace {

// At the last step everybody is in, whatever a rule said on the way: a context that stayed behind
// would read the new side for the first time at closing, when nobody brings it back.
bool is_last_step(const FlagSpec& flag, const FlagSetting& setting) {
  const std::size_t count = flag.steps.size();
  const double before = count > 1 ? flag.steps[count - 2] : 0;
  return setting.percentage > before;
}

}  // namespace

Result<boost::json::object> compile_setting(const FlagSpec& flag, const FlagSetting& setting) {
  flag::RolloutFlag compiled;
  compiled.key = flag.key;
  compiled.enabled = flag.enabled;
  PL_TRY(compiled.reached, flag::stage_from(setting.stage));
  compiled.others = flag::Stage::kDualwrite;
  compiled.percentage = setting.percentage;
  compiled.internal_percentage = setting.internal_percentage;
  const bool last = is_last_step(flag, setting);
  for (const TargetingRule& rule : flag.rules) {
    if (!rule.enabled) {
      if (setting.exclusions) compiled.excluded.push_back(rule.context);
    } else if (rule.percentage && rule.context != flag::kInternalContext) {
      const double share = last ? std::max(*rule.percentage, setting.percentage) : *rule.percentage;
      compiled.rules.push_back({rule.context, share, true});
    }
  }
  return flag::compile_rollout_flag(compiled);
}

std::string flag_document(const Plan& plan, const FlagSetting& setting) {
  // make_plan has compiled every setting of the plan. Should one fail all the same, nothing is
  // published for the key, and a missing key is legacy.
  if (!plan.flag) return "{}";
  const auto compiled = compile_setting(*plan.flag, setting);
  return compiled ? json::dump(*compiled) : "{}";
}

}  // namespace poundlock::rollout
