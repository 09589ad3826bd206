#include "lint/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "lint/framework.h"

namespace poundlock::lint {
namespace {

using yaml::Fields;
using yaml::Node;

constexpr std::size_t kPatternMax = 1'000;  // bytes

Result<std::optional<Severity>> severity_of(const Node& node) {
  PL_TRY(const std::string word, node.as_string("severity"));
  if (word == "off") return std::optional<Severity>();
  if (word == "warning") return std::optional(Severity::kWarning);
  if (word == "error") return std::optional(Severity::kError);
  return fail(node.error("lint.severity", fmt::format("a severity is off, warning or error, and not {}",
                                                      quote_for_message(word))));
}

Result<RuleSetting> rule_setting(const Node& key, const Node& value) {
  const std::string& id = key.scalar;
  if (find_rule(id) == nullptr && find_framework_rule(id) == nullptr) {
    const auto near = nearest_rule(id);
    return fail(key.error("lint.rule", fmt::format("there is no lint rule {}", quote_for_message(id)))
                    .with_hint(near.empty() ? "`poundlock lint --list-rules` names them"
                                            : fmt::format("did you mean {}?", near)));
  }
  RuleSetting setting;
  if (value.kind == yaml::Kind::kScalar) {
    PL_TRY(setting.severity, severity_of(value));
  } else {
    PL_TRY(Fields fields, Fields::of(value, "rule"));
    PL_TRY(const Node* severity, fields.required("severity"));
    const Node* reason = fields.optional("reason");
    PL_CHECK(fields.finish());
    PL_TRY(setting.severity, severity_of(*severity));
    if (reason) {
      PL_TRY(setting.reason, reason->as_string("reason"));
    }
  }
  if (!setting.severity && setting.reason.find_first_not_of(" \t\r\n") == std::string::npos)
    return fail(value.error("lint.reason", fmt::format("{} is turned off without a reason", id))
                    .with_hint(fmt::format("{}: {{severity: off, reason: \"why nobody is hurt\"}}", id)));
  return setting;
}

std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    if (!part.empty() && part != ".") parts.push_back(part);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return parts;
}

// * and ? in one part: greedy with one place to come back to, so that it is never exponential.
bool part_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t from = 0;
  while (t < text.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t]) && pattern[p] != '*') {
      ++p;
      ++t;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

bool path_matches(std::string_view pattern, std::string_view path) {
  const auto wanted = parts_of(pattern);
  const auto have = parts_of(path);
  if (wanted.empty()) return false;
  if (pattern.find('/') == std::string_view::npos)
    return std::ranges::any_of(have, [&](std::string_view part) { return part_matches(wanted[0], part); });
  // reached[j]: the pattern's parts so far match the path's first j parts.
  std::vector<bool> reached(have.size() + 1, false);
  reached[0] = true;
  for (const std::string_view part : wanted) {
    std::vector<bool> next(have.size() + 1, false);
    if (part == "**") {
      bool any = false;
      for (std::size_t j = 0; j <= have.size(); ++j) next[j] = any = any || reached[j];
    } else {
      for (std::size_t j = 0; j < have.size(); ++j)
        if (reached[j] && part_matches(part, have[j])) next[j + 1] = true;
    }
    reached = std::move(next);
  }
  return std::ranges::find(reached.begin() + 1, reached.end(), true) != reached.end();
}

Result<Settings> read_settings(const Node& node) {
  Settings settings;
  if (node.kind == yaml::Kind::kNull) return settings;
  PL_TRY(Fields fields, Fields::of(node, "lint"));
  const Node* rules = fields.optional("rules");
  const Node* in_transaction = fields.optional("in_transaction");
  const Node* timeouts = fields.optional("timeouts_supplied");
  const Node* ignored = fields.optional("ignore");
  PL_CHECK(fields.finish());
  if (rules) {
    PL_TRY(const Fields each, Fields::of(*rules, "rules"));
    for (const auto& [key, value] : each.node().entries) {
      PL_TRY(settings.rules[key.scalar], rule_setting(key, value));
    }
  }
  if (in_transaction) {
    PL_TRY(settings.in_transaction, in_transaction->as_bool("in_transaction"));
  }
  if (timeouts) {
    PL_TRY(settings.timeouts_supplied, timeouts->as_bool("timeouts_supplied"));
  }
  if (ignored) {
    if (ignored->kind != yaml::Kind::kSequence)
      return fail(ignored
                      ->error("yaml.type", fmt::format("ignore: expected a list of paths, found {}",
                                                       yaml::to_string(ignored->kind)))
                      .with_hint("ignore: [\"legacy/**\", \"*.seed.sql\"]"));
    if (ignored->items.size() > kIgnoredPathsMax)
      return fail(ignored->error("lint.ignore", fmt::format("more than {} paths", kIgnoredPathsMax)));
    for (const Node& item : ignored->items) {
      PL_TRY(std::string pattern, item.as_string("ignore"));
      if (pattern.empty() || pattern.size() > kPatternMax)
        return fail(item.error("lint.ignore", fmt::format("a path has 1 to {} bytes", kPatternMax)));
      settings.ignored.push_back(std::move(pattern));
    }
  }
  return settings;
}

Result<Settings> parse_settings(std::string_view text, std::string file) {
  PL_TRY(const Node root, yaml::parse(text, std::move(file)));
  return read_settings(root);
}

void apply(const Settings& settings, Options& options) {
  options.in_transaction = options.in_transaction || settings.in_transaction;
  options.timeouts_supplied = options.timeouts_supplied || settings.timeouts_supplied;
  for (const auto& [id, setting] : settings.rules)
    if (!setting.severity) options.disabled.push_back(id);
}

void apply(const Settings& settings, Report& report) {
  std::erase_if(report.findings, [&](Finding& finding) {
    const auto found = settings.rules.find(finding.rule);
    if (found == settings.rules.end()) return false;
    if (found->second.severity) finding.severity = *found->second.severity;
    return !found->second.severity;
  });
}

}  // namespace poundlock::lint
