// The parts of a rollout file's parser, and what they share. Only spec*.cpp and config.cpp include this.
// Pure; every error is kUser and has a place in the file.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.h"
#include "rollout/spec.h"

namespace poundlock::rollout::parts {

// A mapping whose keys are all among `keys`; the misspelt key is reported before the one that it was to
// be is missed.
Result<yaml::Fields> mapping(const yaml::Node& node, std::string what,
                             std::initializer_list<std::string_view> keys);

// A list of `min` to `max` items. `example` is one item as it is written.
Status check_list(const yaml::Node& node, std::string_view what, std::size_t min, std::size_t max,
                  std::string_view example);

Result<Millis> duration(const yaml::Node& node, std::string_view what, Millis min, Millis max);

// From `min` to 100, in hundredths: the flag's hash tells no smaller share apart.
Result<double> percentage(const yaml::Node& node, std::string_view what, double min);

// Text that is not empty and has at most `max` bytes.
Result<std::string> text(const yaml::Node& node, std::string_view what, std::size_t max);

// [a-z][a-z0-9_]{0,47}: it becomes a part of names in the database and of URLs.
Result<std::string> plain_name(const yaml::Node& node, std::string_view what);

std::string words(const std::vector<std::string>& list);  // "a, b and c"

Result<FlagSpec> feature_flags(const yaml::Node& node);
Result<std::vector<PathSpec>> paths(const yaml::Node& node);

}  // namespace poundlock::rollout::parts
