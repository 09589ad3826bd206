// A flag of `feature_flags:` with everything that is wrong with it, for whoever lists the mistakes of a file.
// Pure.
#pragma once

#include <optional>
#include <vector>

#include "base/yaml.h"
#include "flag/flag_spec.h"

namespace poundlock::flag {

// As read_flag_spec() of flag_spec.h, which says the first of them only. Adds one problem at most for each
// key, and for each rule; nullopt where there was one.
std::optional<FlagSpec> read_flag_spec(const yaml::Node& key, const yaml::Node& body,
                                       std::vector<Error>& problems);

}  // namespace poundlock::flag
