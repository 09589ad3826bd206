#include "cli/plan_files.h"

#include <fmt/format.h>

#include <filesystem>

#include "cli/migration_files.h"
#include "cli/text.h"

namespace poundlock::cli {
namespace fs = std::filesystem;

bool is_rollout_file(const std::string& file) {
  const fs::path extension = fs::path(file).extension();
  return extension == ".yaml" || extension == ".yml";
}

Result<std::vector<migration::Source>> plan_sources(const Context& context,
                                                    const std::vector<std::string>& named) {
  for (const auto& one : named)
    if (is_rollout_file(one))
      return fail(
          user_error("plan.files", fmt::format("{} is a rollout, which is planned by itself", clean(one)))
              .with_hint("name either one rollout file, or SQL files and folders of them"));
  return read_migrations(context, named);
}

}  // namespace poundlock::cli
