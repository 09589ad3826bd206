// Which files lint looks at, and what the team wants of it: arguments, folders, the settings found upward.
// One thread.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/context.h"
#include "lint/config.h"

namespace poundlock::cli {

inline constexpr std::size_t kLintBytesMax = std::size_t{64} << 20;  // of a file

bool is_rollout_name(const std::string& file);  // .yaml, .yml

struct LintSettings {
  lint::Settings settings;
  std::filesystem::path folder;  // that the ignored paths are relative to
};
// The nearest .poundlock-lint.yaml here or above; else `lint:` of poundlock.yaml; else nothing is set. Of
// poundlock.yaml nothing else has to be right: lint needs no environment.
Result<LintSettings> find_lint_settings(const Context& context);

struct LintFiles {
  std::vector<std::string> files;  // "-" is standard input
  std::size_t left_out = 0;        // by `ignore` of the settings
};
// A folder stands for the SQL files and the rollouts below it, in the order of their names.
Result<LintFiles> lint_files(const Context& context, const std::vector<std::string>& named,
                             const LintSettings& settings);

}  // namespace poundlock::cli
