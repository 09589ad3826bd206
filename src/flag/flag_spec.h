// One flag of `feature_flags:` as a person writes it, in a rollout file or in flags.yaml. Pure; every error
// is kUser and has a place in the file: spec.flag_key, spec.strategy, spec.steps, spec.rule, and those of
// base/yaml_values.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/yaml.h"

namespace poundlock::flag {

struct TargetingRule {
  std::string context;
  bool enabled = true;  // false: the context is kept on legacy until it is released
  std::optional<double> percentage;
};

struct FlagSpec {
  std::string key;
  bool enabled = true;
  bool stepped = false;       // the file says something of steps or percentages for everybody
  std::vector<double> steps;  // everybody's percentages, ascending, last is 100
  double initial_percentage = 1;
  Millis interval{15 * 60'000};  // dwell at each step
  std::vector<TargetingRule> rules;
  SourcePosition where;
  bool operator==(const FlagSpec& other) const { return key == other.key; }
};

// `key` and `body` are one entry of the mapping.
Result<FlagSpec> read_flag_spec(const yaml::Node& key, const yaml::Node& body);

}  // namespace poundlock::flag
