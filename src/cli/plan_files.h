// The SQL files that plan works from: files as they are named, a folder of Flyway's in Flyway's order. One
// thread.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "migration/source.h"

namespace poundlock::cli {

bool is_rollout_file(const std::string& file);  // .yaml, .yml

// Undo files (U...) and baselines (B...) of a folder are left out: they are no part of the way forward.
// Errors are kUser: "plan.files", and what is wrong in a file, with its place.
Result<std::vector<migration::Source>> plan_sources(const Context& context,
                                                    const std::vector<std::string>& named);

}  // namespace poundlock::cli
