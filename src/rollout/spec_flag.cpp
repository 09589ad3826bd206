// feature_flags: of a rollout file: the one flag that steers who reads the new side.
#include <fmt/format.h>

#include "base/strings.h"
#include "rollout/spec_parts.h"

namespace poundlock::rollout::parts {
namespace {

using yaml::Node;

Result<FlagSpec> one_flag(const Node& key, const Node& body) {
  PL_TRY(FlagSpec flag, flag::read_flag_spec(key, body));
  // Such a rollout would walk through every step and expose nobody.
  if (!flag.enabled) {
    return fail(body.find("enabled")
                    ->error("spec.flag_disabled", "enabled: false would never let anybody in")
                    .with_hint("remove it: the flag stays off until the expose phase begins; to decide then, "
                               "add approvals: [expose]"));
  }
  return flag;
}

}  // namespace

Result<FlagSpec> feature_flags(const Node& node) {
  if (node.kind != yaml::Kind::kMapping || node.entries.empty()) {
    return fail(node.error("yaml.type", fmt::format("feature_flags: expected a mapping of one flag, found {}",
                                                    yaml::to_string(node.kind)))
                    .with_hint("write feature_flags: {my_flag: {steps: [1, 5, 25, 50, 100]}}"));
  }
  PL_TRY(FlagSpec flag, one_flag(node.entries[0].first, node.entries[0].second));
  if (node.entries.size() > 1) {
    const Node& second = node.entries[1].first;
    return fail(
        second
            .error("spec.second_flag", fmt::format("a second flag, {}; a rollout has one: '{}'",
                                                   quote_for_message(second.scalar), flag.key))
            .with_hint("give the other change a rollout of its own, or put a plain flag into flags.yaml"));
  }
  return flag;
}

}  // namespace poundlock::rollout::parts
