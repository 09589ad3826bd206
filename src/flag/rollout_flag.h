// A rollout's two flags, compiled to flagd's form: `KEY.stage` (a string variant) and the boolean `KEY`,
// true exactly in live, rampdown and complete. Both decide by the same rules and the same hash
// {cat: [KEY, targetingKey]}, so that they can never disagree, and growing a percentage keeps everyone
// who was in. Pure; thread-safe.
//
// Order: 1. not enabled: everybody has `others`; 2. excluded contexts have `others`, wherever the
// exclusion stands; 3. the context "internal" has max(internal_percentage, percentage); 4. the other
// rules' percentages, first match wins, but only once `percentage` is above 0: until everybody's steps
// begin, only internal traffic is let in; 5. `percentage`. Somebody without a targetingKey that is a
// non-empty string is never in: without a key nobody could stay in.
#pragma once

#include <boost/json/object.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "flag/flag_spec.h"
#include "flag/report.h"

namespace poundlock::flag {

enum class Stage { kOff, kDualwrite, kShadow, kLive, kRampdown, kComplete };
const char* to_string(Stage stage);  // "off", "dualwrite", ...
Result<Stage> stage_from(std::string_view text);
constexpr bool is_new(Stage stage) {
  return stage >= Stage::kLive;
}

inline constexpr std::string_view kInternalContext = "internal";
inline constexpr std::string_view kStageSuffix = ".stage";
inline constexpr int kPercentageResolution = 100;  // steps to one percent: 0.01 %

struct RolloutFlag {
  struct Rule {
    std::string context;
    double percentage = 100;
    bool enabled = true;  // false: this context is excluded, like a name in `excluded`
  };
  std::string key;
  bool enabled = true;
  // The stage of those who are in. off, dualwrite and shadow hold for everybody, percentages or not.
  Stage reached = Stage::kOff;
  Stage others = Stage::kDualwrite;  // the stage of those who are not in: off, dualwrite or shadow
  std::vector<Rule> rules;
  double percentage = 0;           // of everybody else, 0..100
  double internal_percentage = 0;  // of the context "internal", 0..100
  std::vector<std::string> excluded;
  bool complete = false;  // a constant `complete` without any targeting: closing and after
};

// {"KEY": {...}, "KEY.stage": {...}}. Errors (kUser): flag.key, flag.percentage, flag.stage,
// flag.context.
Result<boost::json::object> compile_rollout_flag(const RolloutFlag& rollout);

// What a flag of `feature_flags:` is where no rollout moves it: live for its first percentage and for what
// its rules say, off for everybody else; never live where it is not enabled. A file that says nothing of
// percentages means everybody, but in a rollout's file the rollout's first step.
RolloutFlag plain_flag(const FlagSpec& spec, bool in_rollout_file);

// The document that is published: {"flags": {...}, "metadata": {"epoch": E, "revision": R}} on one
// line. `parts` are flag maps as above; a key that two parts define is an error (flag.duplicate_key).
Result<std::string> snapshot_document(std::span<const boost::json::object> parts, Revision revision);

}  // namespace poundlock::flag
