#include "flag/rollout_flag.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>

namespace poundlock::flag {

namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

constexpr int kWeightSum = 100 * kPercentageResolution;
constexpr std::size_t kKeyLengthMax = 200;
constexpr std::size_t kContextsMax = 1'000;

value call(const char* name, array operands) {
  return object{{name, std::move(operands)}};
}
value var(const char* name) {
  return object{{"var", name}};
}

// `context` may be a string or a list. merge makes a list of either, and `in` a list compares whole
// names: with a plain string `in` would look for a part of it, and "internal" would match "internals".
value has_context(const std::string& name) {
  return call("in", {value(name), call("merge", {var("context")})});
}

// starts_with answers null unless both are strings; !! makes false of it, because `and` takes null for
// true in one implementation.
value has_targeting_key() {
  return call("and", {call("!!", {var("targetingKey")}),
                      call("!!", {call("starts_with", {var("targetingKey"), ""})})});
}

int weight_of(double percentage) {
  return static_cast<int>(std::llround(percentage * kPercentageResolution));
}

struct Variants {
  const char* in;
  const char* out;
};

value share(const std::string& key, double percentage, const Variants& variants) {
  const int weight = weight_of(percentage);
  if (weight == 0) return value(variants.out);
  value hashed = call("cat", {value(key), var("targetingKey")});
  value split = call("fractional", {std::move(hashed), array{variants.in, weight},
                                    array{variants.out, kWeightSum - weight}});
  return call("if", {has_targeting_key(), std::move(split), variants.out});
}

std::vector<std::string> exclusions(const RolloutFlag& rollout) {
  std::vector<std::string> names = rollout.excluded;
  for (const auto& rule : rollout.rules) {
    if (!rule.enabled) names.push_back(rule.context);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

value targeting(const RolloutFlag& rollout, const Variants& variants) {
  array clauses;
  for (const std::string& name : exclusions(rollout)) {
    clauses.push_back(has_context(name));
    clauses.push_back(value(variants.out));
  }
  clauses.push_back(has_context(std::string(kInternalContext)));
  clauses.push_back(share(rollout.key, std::max(rollout.internal_percentage, rollout.percentage), variants));
  if (weight_of(rollout.percentage) > 0) {
    for (const auto& rule : rollout.rules) {
      if (!rule.enabled || rule.context == kInternalContext) continue;
      clauses.push_back(has_context(rule.context));
      clauses.push_back(share(rollout.key, rule.percentage, variants));
    }
  }
  clauses.push_back(share(rollout.key, rollout.percentage, variants));
  return call("if", std::move(clauses));
}

Status check_percentage(double percentage, const std::string& what) {
  if (std::isfinite(percentage) && percentage >= 0 && percentage <= 100) return {};
  return fail(user_error("flag.percentage", fmt::format("{} is {}, expected 0 to 100", what, percentage)));
}

Status check(const RolloutFlag& rollout) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  if (rollout.key.empty() || rollout.key.size() > kKeyLengthMax ||
      !std::all_of(rollout.key.begin(), rollout.key.end(), allowed) || rollout.key.ends_with(kStageSuffix)) {
    return fail(user_error("flag.key", fmt::format("'{}' cannot be a rollout's flag key", rollout.key))
                    .with_hint("1 to 200 letters, digits, '_', '-' or '.', not ending in '.stage'"));
  }
  PL_CHECK(check_percentage(rollout.percentage, "percentage"));
  PL_CHECK(check_percentage(rollout.internal_percentage, "internal percentage"));
  if (is_new(rollout.others)) {
    return fail(user_error("flag.stage", "those who are not in cannot be on the new side"));
  }
  if (rollout.rules.size() > kContextsMax || rollout.excluded.size() > kContextsMax) {
    return fail(user_error("flag.context", fmt::format("more than {} contexts", kContextsMax)));
  }
  for (const auto& rule : rollout.rules) {
    if (rule.context.empty()) return fail(user_error("flag.context", "a rule names no context"));
    PL_CHECK(check_percentage(rule.percentage, "percentage of context " + rule.context));
  }
  return {};
}

object flag_object(object variants, const char* fallback) {
  return object{{"state", "ENABLED"}, {"variants", std::move(variants)}, {"defaultVariant", fallback}};
}

}  // namespace

const char* to_string(Stage stage) {
  switch (stage) {
    case Stage::kOff: return "off";
    case Stage::kDualwrite: return "dualwrite";
    case Stage::kShadow: return "shadow";
    case Stage::kLive: return "live";
    case Stage::kRampdown: return "rampdown";
    case Stage::kComplete: return "complete";
  }
  return "off";
}

Result<Stage> stage_from(std::string_view text) {
  for (Stage stage :
       {Stage::kOff, Stage::kDualwrite, Stage::kShadow, Stage::kLive, Stage::kRampdown, Stage::kComplete}) {
    if (text == to_string(stage)) return stage;
  }
  return fail(user_error("flag.stage", fmt::format("'{}' is no stage", text))
                  .with_hint("off, dualwrite, shadow, live, rampdown or complete"));
}

Result<boost::json::object> compile_rollout_flag(const RolloutFlag& rollout) {
  PL_CHECK(check(rollout));
  const bool complete = rollout.complete || rollout.reached == Stage::kComplete;
  Stage base = rollout.others;
  if (complete) {
    base = Stage::kComplete;
  } else if (rollout.enabled && !is_new(rollout.reached)) {
    base = rollout.reached;
  }
  object stages;
  for (Stage stage :
       {Stage::kOff, Stage::kDualwrite, Stage::kShadow, Stage::kLive, Stage::kRampdown, Stage::kComplete}) {
    stages[to_string(stage)] = to_string(stage);
  }
  object stage_flag = flag_object(std::move(stages), to_string(base));
  object bool_flag = flag_object({{"on", true}, {"off", false}}, complete ? "on" : "off");
  const bool nobody = weight_of(rollout.percentage) == 0 && weight_of(rollout.internal_percentage) == 0;
  if (!complete && rollout.enabled && is_new(rollout.reached) && !nobody) {
    stage_flag["targeting"] = targeting(rollout, {to_string(rollout.reached), to_string(rollout.others)});
    bool_flag["targeting"] = targeting(rollout, {"on", "off"});
  }
  object flags;
  flags[rollout.key] = std::move(bool_flag);
  flags[rollout.key + std::string(kStageSuffix)] = std::move(stage_flag);
  return flags;
}

RolloutFlag plain_flag(const FlagSpec& spec, bool in_rollout_file) {
  RolloutFlag flag;
  flag.key = spec.key;
  flag.enabled = spec.enabled;
  flag.reached = Stage::kLive;
  flag.others = Stage::kOff;
  flag.percentage = spec.stepped || in_rollout_file ? spec.initial_percentage : 100;
  for (const TargetingRule& rule : spec.rules) {
    if (!rule.enabled) {
      flag.excluded.push_back(rule.context);
    } else if (rule.context == kInternalContext) {
      flag.internal_percentage = rule.percentage.value_or(100);
    } else {
      flag.rules.push_back({rule.context, rule.percentage.value_or(100), true});
    }
  }
  return flag;
}

Result<std::string> snapshot_document(std::span<const boost::json::object> parts, Revision revision) {
  object flags;
  for (const object& part : parts) {
    for (const auto& entry : part) {
      if (flags.contains(entry.key())) {
        return fail(user_error("flag.duplicate_key",
                               fmt::format("the flag '{}' is defined twice", std::string_view(entry.key()))));
      }
      flags.insert(entry);
    }
  }
  object document{{"flags", std::move(flags)},
                  {"metadata", object{{"epoch", revision.epoch}, {"revision", revision.number}}}};
  return boost::json::serialize(document);
}

}  // namespace poundlock::flag
