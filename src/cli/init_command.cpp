// init: writes the two files that everything else starts from.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <fstream>

#include "cli/commands.h"
#include "cli/text.h"
#include "rollout/config.h"

namespace poundlock::cli {
namespace {

namespace fs = std::filesystem;

// Whole or not at all: a half-written file would be taken for the real one.
Status write_file(const fs::path& path, std::string_view text) {
  std::error_code error;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  const fs::path fresh = path.string() + ".new";
  {
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    out << text << std::flush;
    if (!out) {
      fs::remove(fresh, error);
      return fail(user_error("file.write", fmt::format("cannot write {}", clean(path.string())))
                      .with_hint("the folder must be writable by this user"));
    }
  }
  fs::rename(fresh, path, error);
  if (error)
    return fail(
        user_error("file.write", fmt::format("cannot write {}: {}", clean(path.string()), error.message())));
  return {};
}

}  // namespace

int init_command(Context& context, bool force) {
  const fs::path config = context.directory / (context.config.empty() ? "poundlock.yaml" : context.config);
  const fs::path example = config.parent_path() / "rollouts" / "example.yaml";
  for (const auto& file : {config, example}) {
    std::error_code ignored;
    if (!force && fs::exists(file, ignored)) {
      return report(context, make_error(Disposition::kConflict, "init.exists",
                                        fmt::format("{} is there already, and nothing was written",
                                                    clean(file.lexically_normal().string())))
                                 .with_hint("--force writes both files anew"));
    }
  }
  for (const auto& [file, text] :
       {std::pair{config, rollout::example_config()}, std::pair{example, rollout::example_rollout()}})
    if (auto status = write_file(file, text); !status) return report(context, status.error());
  if (context.json) {
    print_json(context, boost::json::object{{"written", {config.string(), example.string()}}});
    return 0;
  }
  say(context, "wrote " + clean(config.lexically_normal().string()));
  say(context, "wrote " + clean(example.lexically_normal().string()));
  say(context, "next: name your databases in the first, then `poundlock doctor`");
  return 0;
}

}  // namespace poundlock::cli
