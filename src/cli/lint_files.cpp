#include "cli/lint_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/yaml.h"
#include "cli/migration_files.h"
#include "cli/text.h"

namespace poundlock::cli {
namespace {

namespace fs = std::filesystem;
constexpr const char* kSettingsName = ".poundlock-lint.yaml";
constexpr const char* kConfigName = "poundlock.yaml";

// Other YAML lies beside migrations too. A rollout that is no YAML yet is taken, so that its mistake is told.
bool holds_rollout(const Context& context, const std::string& file) {
  const auto text = read_file(context, file);
  if (!text) return false;
  if (const auto root = yaml::parse(*text, file)) return root->find("rollout") != nullptr;
  return text->starts_with("rollout:") || text->find("\nrollout:") != std::string::npos;
}

// The folder that `file` names, or that holds the file, seen from the settings' folder: the path that a
// pattern is held against.
std::string seen_from(const Context& context, const LintSettings& settings, const std::string& file) {
  const fs::path whole = (context.directory / file).lexically_normal();
  return whole.lexically_relative(settings.folder.lexically_normal()).generic_string();
}

bool is_ignored(const Context& context, const LintSettings& settings, const std::string& file) {
  if (file == "-" || settings.settings.ignored.empty()) return false;
  const std::string path = seen_from(context, settings, file);
  return std::ranges::any_of(settings.settings.ignored,
                             [&](const std::string& pattern) { return lint::path_matches(pattern, path); });
}

Status below(const Context& context, const LintSettings& settings, const std::string& folder,
             LintFiles& out) {
  std::size_t left_out = 0;
  PL_TRY(auto found, files_below(context, folder, "lint.files", [&](const std::string& file) {
           if (!is_sql_name(file) && !is_rollout_name(file)) return false;
           const bool ignored = is_ignored(context, settings, file);
           left_out += ignored ? 1 : 0;
           return !ignored && (is_sql_name(file) || holds_rollout(context, file));
         }));
  if (found.empty() && left_out == 0)
    return fail(user_error("lint.files", fmt::format("no .sql file and no rollout below {}", clean(folder))));
  std::ranges::move(found, std::back_inserter(out.files));
  out.left_out += left_out;
  return {};
}

}  // namespace

bool is_rollout_name(const std::string& file) {
  const fs::path extension = fs::path(file).extension();
  return extension == ".yaml" || extension == ".yml";
}

Result<LintSettings> find_lint_settings(const Context& context) {
  const auto of_config = [&](const fs::path& file) -> Result<LintSettings> {
    PL_TRY(const std::string text, read_file(context, file.string()));
    PL_TRY(const yaml::Node root, yaml::parse(text, file.string()));
    LintSettings out{.folder = (context.directory / file).parent_path()};
    if (const yaml::Node* node = root.find("lint")) {
      PL_TRY(out.settings, lint::read_settings(*node));
    }
    return out;
  };
  if (!context.config.empty()) return of_config(context.config);
  std::optional<fs::path> config;
  for (fs::path folder = context.directory;; folder = folder.parent_path()) {
    std::error_code error;
    if (fs::is_regular_file(folder / kSettingsName, error)) {
      const std::string file = (folder / kSettingsName).string();
      PL_TRY(const std::string text, read_file(context, file));
      LintSettings out{.folder = folder};
      PL_TRY(out.settings, lint::parse_settings(text, file));
      return out;
    }
    if (!config && fs::is_regular_file(folder / kConfigName, error)) config = folder / kConfigName;
    if (folder == folder.parent_path()) break;
  }
  if (config) return of_config(*config);
  return LintSettings{.folder = context.directory};
}

Result<LintFiles> lint_files(const Context& context, const std::vector<std::string>& named,
                             const LintSettings& settings) {
  LintFiles out;
  for (const auto& one : named) {
    std::error_code error;
    if (one != "-" && fs::is_directory(context.directory / one, error)) {
      PL_CHECK(below(context, settings, one, out));
    } else if (is_ignored(context, settings, one)) {
      ++out.left_out;  // pre-commit names each file
    } else {
      out.files.push_back(one);
    }
  }
  return out;
}

}  // namespace poundlock::cli
