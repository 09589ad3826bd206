// The SQL files that plan works from: files as they are named, a folder of Flyway's in Flyway's order. One
// thread.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "migration/source.h"

namespace poundlock::cli {

bool is_rollout_file(const std::string& file);  // .yaml, .yml

// As read_migrations(). Errors are kUser: "plan.files" where a rollout is among them, and what is wrong in a
// file, with its place.
Result<std::vector<migration::Source>> plan_sources(const Context& context,
                                                    const std::vector<std::string>& named);

}  // namespace poundlock::cli
