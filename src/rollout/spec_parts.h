// The parts of a rollout file's parser, and what they share. Only spec*.cpp and config.cpp include this.
// Pure; every error is kUser and has a place in the file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/yaml_values.h"
#include "rollout/spec.h"

namespace poundlock::rollout::parts {

using yaml::check_list;
using yaml::duration;
using yaml::mapping;
using yaml::percentage;
using yaml::text;

// [a-z][a-z0-9_]{0,47}: it becomes a part of names in the database and of URLs.
Result<std::string> plain_name(const yaml::Node& node, std::string_view what);

std::string words(const std::vector<std::string>& list);  // "a, b and c"

Result<FlagSpec> feature_flags(const yaml::Node& node);
Result<std::vector<PathSpec>> paths(const yaml::Node& node);

}  // namespace poundlock::rollout::parts
