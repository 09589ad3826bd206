// What a team wants of the linter, as YAML: `lint:` of poundlock.yaml, or a file .poundlock-lint.yaml of its
// own with the same keys. Reading is strict: an unknown key or rule, a wrong type or a missing reason is an
// error (kUser) with its place and a suggestion. Pure; thread-safe.
//   rules:
//     truncate: {severity: off, reason: "scratch tables alone, DBA-311"}
//     missing_timeouts: error
//   in_transaction: true        # the runner puts each plain file into one transaction
//   timeouts_supplied: true     # the runner sets lock_timeout and statement_timeout
//   ignore: ["legacy/**", "*.seed.sql"]
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.h"
#include "lint/lint.h"

namespace poundlock::lint {

inline constexpr std::size_t kIgnoredPathsMax = 1'000;

struct RuleSetting {
  std::optional<Severity> severity;  // nullopt: off
  std::string reason;
};

struct Settings {
  std::map<std::string, RuleSetting, std::less<>> rules;
  bool in_transaction = false;
  bool timeouts_supplied = false;
  std::vector<std::string> ignored;  // path patterns, relative to the file that they stand in
};

Result<Settings> read_settings(const yaml::Node& node);
Result<Settings> parse_settings(std::string_view text, std::string file);

// Rules that are off go where their findings are never made; what the framework says itself is left out
// after.
void apply(const Settings& settings, Options& options);
void apply(const Settings& settings, Report& report);

// Does the path, with / between its parts, match? * is anything within a part, ** any number of parts, ? one
// character. A pattern without / is matched against each part, so that it also names a folder; one that names
// a folder takes everything in it. Takes a time bounded by the product of the lengths.
bool path_matches(std::string_view pattern, std::string_view path);

}  // namespace poundlock::lint
