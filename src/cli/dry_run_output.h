// What a dry run found, for people, programs and continuous integration. Pure; thread-safe.
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "cli/context.h"
#include "engine/dry_run.h"

namespace poundlock::cli {

boost::json::object dry_run_json(const engine::DryRunReport& report);
std::string dry_run_junit(const engine::DryRunReport& report);
std::string dry_run_text(const Context& context, const engine::DryRunReport& report);

// The exact SQL, as a file for psql: each step with its time-outs and its transaction.
std::string plan_sql_file(const rollout::Plan& plan);
std::string scripts_sql_file(const std::vector<engine::Script>& scripts);

}  // namespace poundlock::cli
