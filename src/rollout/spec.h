// rollouts/NAME.yaml as values. Parsing is strict: whatever is not understood is an error with file,
// line and column, and nothing is applied.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "base/yaml.h"
#include "change/operation.h"
#include "flag/flag_spec.h"

namespace poundlock::rollout {

// One of the application's statements, both ways.
struct PathSpec {
  std::string name;
  std::string legacy;
  std::string fresh;   // `new` in the file
  std::string sample;  // optional SELECT that yields rows of parameters for both
  SourcePosition where;
};

using flag::FlagSpec;
using flag::TargetingRule;

struct Windows {
  Millis overlap{14LL * 86'400'000};
  Millis dual_write{7LL * 86'400'000};
  Millis observe{72LL * 3'600'000};
};

// The key in `gates:` whose min_samples and deadline hold for every gate that says nothing else itself.
inline constexpr std::string_view kEveryGate = "all";

// What differs from a gate's defaults.
struct GateOverride {
  std::optional<double> limit;
  std::optional<std::uint64_t> min_samples;
  std::optional<Millis> deadline;     // how long it may hold without data before exposure is rolled back
  std::optional<std::string> waived;  // the reason; audited
};

struct RolloutSpec {
  std::string name;
  std::string database;  // a name from poundlock.yaml; "" where there is only one
  change::Profile profile = change::Profile::kFull;
  std::vector<std::unique_ptr<change::Operation>> operations;
  std::vector<PathSpec> paths;
  std::optional<FlagSpec> flag;  // none for an additive change
  Windows windows;
  double holdback = 0;  // per cent of users that stay on legacy until the contract releases them
  std::vector<std::string> approvals;         // of "expose", "release", "drop"
  std::map<std::string, GateOverride> gates;  // by gate id
  std::string source;                         // the file's text
};

// Refuses unknown keys, wrong types, percentages outside 0..100, steps that do not grow, unknown gates,
// a second flag key, a full profile without a flag. `known_gates` are the ids of all_gates().
Result<RolloutSpec> parse_rollout(std::string_view text, std::string file);

}  // namespace poundlock::rollout
