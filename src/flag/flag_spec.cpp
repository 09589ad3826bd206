#include "flag/flag_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/strings.h"
#include "base/yaml_values.h"
#include "flag/flag_spec_problems.h"
#include "flag/rollout_flag.h"

namespace poundlock::flag {
namespace {

using yaml::check_list;
using yaml::duration;
using yaml::Fields;
using yaml::mapping;
using yaml::Node;
using yaml::percentage;
using yaml::text;

constexpr double kSmallestShare = 0.01;
constexpr std::size_t kStepsMax = 200;
constexpr std::size_t kRulesMax = 100;
constexpr std::size_t kContextMax = 200;
constexpr std::size_t kKeyMax = 200;
constexpr Millis kIntervalMax{90LL * 86'400'000};
const std::vector<double> kDefaultSteps{1, 5, 25, 50, 100};

Result<std::string> flag_key(const Node& node) {
  const std::string& key = node.scalar;
  const bool charset =
      key.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
      std::string::npos;
  if (!charset || key.empty() || key.size() > kKeyMax) {
    return fail(node.error("spec.flag_key", fmt::format("{} cannot be a flag key", quote_for_message(key)))
                    .with_hint("use 1 to 200 letters, digits, '_', '-' or '.'"));
  }
  if (key.ends_with(kStageSuffix)) {
    return fail(node.error("spec.flag_key", fmt::format("the flag key '{}' ends in '{}'", key, kStageSuffix))
                    .with_hint("Poundlock publishes KEY.stage itself; name the flag without it"));
  }
  return key;
}

// The percentages of an increment: initial, initial + step, ... , 100.
Result<std::vector<double>> increments(const Node& node, double initial) {
  PL_TRY(const double step, percentage(node, "increment_step", kSmallestShare));
  const auto first = std::llround(initial * 100);
  const auto by = std::llround(step * 100);  // whole hundredths: sums of doubles would drift
  const auto count = static_cast<std::size_t>((10'000 - first + by - 1) / by + 1);
  if (count > kStepsMax) {
    return fail(
        node.error("spec.range", fmt::format("increment_step: {} % from {} % on makes {} steps, at most {} "
                                             "are allowed",
                                             step, initial, count, kStepsMax))
            .with_hint("use a larger increment, or list `steps`"));
  }
  std::vector<double> steps;
  for (std::size_t k = 0; k < count; ++k) {
    steps.push_back(static_cast<double>(std::min<long long>(10'000, first + static_cast<long long>(k) * by)) /
                    100);
  }
  return steps;
}

Result<std::vector<double>> listed_steps(const Node& node) {
  PL_CHECK(check_list(node, "steps", 1, kStepsMax, "[1, 5, 25, 50, 100]"));
  std::vector<double> steps;
  for (const Node& item : node.items) {
    PL_TRY(const double value, percentage(item, "steps", kSmallestShare));
    if (!steps.empty() && value <= steps.back()) {
      return fail(
          item.error("spec.steps", fmt::format("steps: {} follows {}; each step must be larger than the one "
                                               "before",
                                               value, steps.back()))
              .with_hint("write them in ascending order: [1, 5, 25, 50, 100]"));
    }
    steps.push_back(value);
  }
  if (steps.back() != 100) {
    return fail(node.items.back()
                    .error("spec.steps", fmt::format("steps: the last is {}, expected 100", steps.back()))
                    .with_hint("add 100; to keep some users on legacy until the contract, set `holdback`"));
  }
  return steps;
}

// Where neither list nor increment is given: the usual steps, from the initial percentage on.
std::vector<double> default_steps(std::optional<double> initial) {
  if (!initial) return kDefaultSteps;
  std::vector<double> steps{*initial};
  std::copy_if(kDefaultSteps.begin(), kDefaultSteps.end(), std::back_inserter(steps),
               [&](double step) { return step > *initial; });
  return steps;
}

// Takes what was read, or keeps what is wrong with it.
template <typename To, typename From>
void take(To& to, Result<From> value, std::vector<Error>& problems) {
  if (value)
    to = std::move(*value);
  else
    problems.push_back(std::move(value).error());
}

void read_steps(Fields& fields, FlagSpec& flag, std::vector<Error>& problems) {
  std::optional<double> initial;
  const std::size_t before = problems.size();
  if (const Node* node = fields.optional("initial_percentage"))
    take(initial, percentage(*node, "initial_percentage", kSmallestShare), problems);
  const Node* steps = fields.optional("steps");
  const Node* increment = fields.optional("increment_step");
  if (steps && increment) {
    problems.push_back(increment->error("spec.steps", "steps and increment_step exclude each other")
                           .with_hint("keep `steps` for a list, or `increment_step` for equal steps"));
  } else if (steps) {
    take(flag.steps, listed_steps(*steps), problems);
  } else if (increment) {
    take(flag.steps, increments(*increment, initial.value_or(flag.initial_percentage)), problems);
  } else {
    flag.steps = default_steps(initial);
  }
  if (problems.size() == before) flag.initial_percentage = initial.value_or(flag.steps.front());
  flag.stepped = initial || steps || increment;
  if (const Node* node = fields.optional("increment_interval"))
    take(flag.interval, duration(*node, "increment_interval", Millis{1}, kIntervalMax), problems);
}

Result<TargetingRule> targeting_rule(const Node& node) {
  PL_TRY(Fields fields, mapping(node, "targeting rule", {"context", "enabled", "percentage"}));
  TargetingRule rule;
  PL_TRY(const Node* context, fields.required("context"));
  PL_TRY(rule.context, text(*context, "context", kContextMax));
  const Node* enabled = fields.optional("enabled");
  const Node* share = fields.optional("percentage");
  if (enabled) {
    PL_TRY(rule.enabled, enabled->as_bool("enabled"));
  }
  if (share) {
    PL_TRY(rule.percentage, percentage(*share, "percentage", 0));
  }
  if (!rule.enabled && share) {
    return fail(
        share
            ->error("spec.rule",
                    fmt::format("the rule for '{}' has both enabled: false and a percentage", rule.context))
            .with_hint("enabled: false keeps the context on legacy; a percentage lets a part of it in"));
  }
  if (rule.enabled && !share) {
    return fail(node.error("spec.rule", fmt::format("the rule for '{}' says nothing", rule.context))
                    .with_hint("give a percentage, or enabled: false to keep the context on legacy"));
  }
  return rule;
}

std::vector<TargetingRule> targeting_rules(const Node& node, std::vector<Error>& problems) {
  std::vector<TargetingRule> rules;
  if (auto listed =
          check_list(node, "targeting_rules", 0, kRulesMax, "{context: \"internal\", percentage: 100}");
      !listed) {
    problems.push_back(std::move(listed).error());
    return rules;
  }
  std::set<std::string> seen;
  for (const Node& item : node.items) {
    auto rule = targeting_rule(item);
    if (!rule) {
      problems.push_back(std::move(rule).error());
      continue;
    }
    if (!seen.insert(rule->context).second)
      problems.push_back(
          item.error("spec.rule", fmt::format("a second rule for the context '{}'", rule->context))
              .with_hint("keep one rule for each context"));
    rules.push_back(std::move(*rule));
  }
  return rules;
}

Status check_strategy(const Node& node) {
  PL_TRY(const std::string strategy, node.as_string("rollout_strategy"));
  if (strategy == "percentage") return {};
  return fail(node.error("spec.strategy", fmt::format("rollout_strategy: expected 'percentage', found {}",
                                                      quote_for_message(strategy)))
                  .with_hint("contexts are let in or kept out by targeting_rules"));
}

}  // namespace

std::optional<FlagSpec> read_flag_spec(const Node& key, const Node& body, std::vector<Error>& problems) {
  const std::size_t before = problems.size();
  FlagSpec flag;
  take(flag.key, flag_key(key), problems);
  flag.where = key.where;
  auto read = Fields::of(body, fmt::format("flag '{}'", key.scalar));
  if (!read) {
    problems.push_back(std::move(read).error());
    return std::nullopt;
  }
  Fields fields = std::move(*read);
  for (const char* known : {"enabled", "rollout_strategy", "initial_percentage", "increment_step", "steps",
                            "increment_interval", "targeting_rules"})
    fields.optional(known);
  if (auto unknown = fields.finish(); !unknown) problems.push_back(std::move(unknown).error());
  if (const Node* node = fields.optional("enabled")) take(flag.enabled, node->as_bool("enabled"), problems);
  if (const Node* node = fields.optional("rollout_strategy")) {
    if (auto known = check_strategy(*node); !known) problems.push_back(std::move(known).error());
  }
  read_steps(fields, flag, problems);
  if (const Node* node = fields.optional("targeting_rules")) flag.rules = targeting_rules(*node, problems);
  if (problems.size() > before) return std::nullopt;
  return flag;
}

Result<FlagSpec> read_flag_spec(const Node& key, const Node& body) {
  std::vector<Error> problems;
  auto flag = read_flag_spec(key, body, problems);
  if (!flag) return fail(std::move(problems.front()));
  return std::move(*flag);
}

}  // namespace poundlock::flag
