// What `poundlock paths` found, for people and machines.
#pragma once

#include <boost/json/value.hpp>
#include <string>

#include "cli/context.h"
#include "engine/checks/paths.h"

namespace poundlock::cli {

// {"passed", "rollout", "shadow", "statistics", "statements": [{path, side, before_expand, after_expand,
// after_contract}], "compared", "plans", "findings": [{path, side, kind, severity, message, fix}]}
boost::json::value paths_json(const rollout::Plan& plan, const engine::PathsReport& report);
std::string paths_junit(const rollout::Plan& plan, const engine::PathsReport& report);
void print_paths(Context& context, const rollout::Plan& plan, const engine::PathsReport& report);

}  // namespace poundlock::cli
