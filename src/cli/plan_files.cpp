#include "cli/plan_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/text.h"

namespace poundlock::cli {
namespace {

namespace fs = std::filesystem;
using migration::Kind;
using migration::Source;
constexpr std::size_t kFilesMax = 10'000;

Status read_one(const Context& context, const std::string& file, std::vector<Source>& out) {
  PL_TRY(const std::string text, read_file(context, file));
  std::optional<std::string> conf;
  std::error_code error;
  if (file != "-" && fs::is_regular_file(context.directory / (file + ".conf"), error)) {
    PL_TRY(conf, read_file(context, file + ".conf"));
  }
  std::optional<std::string_view> configured;
  if (conf) configured = *conf;
  PL_TRY(auto sources, migration::read_sources(text, file == "-" ? "<stdin>" : file, configured));
  std::ranges::move(sources, std::back_inserter(out));
  return {};
}

// Versions in their order, what is repeated behind them by name, as Flyway runs them.
bool before(const Source& a, const Source& b) {
  const auto rank = [](const Source& one) { return one.kind == Kind::kRepeatable ? 1 : 0; };
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  if (a.tool == migration::Tool::kFlyway && b.tool == migration::Tool::kFlyway && rank(a) == 0)
    return migration::compare_versions(a.version, b.version) < 0;
  return false;
}

Status read_folder(const Context& context, const std::string& folder, std::vector<Source>& out) {
  std::error_code error;
  std::vector<std::string> files;
  for (auto it = fs::recursive_directory_iterator(context.directory / folder, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (!it->is_regular_file(error) || it->path().extension() != ".sql") continue;
    files.push_back((fs::path(folder) / it->path().lexically_relative(context.directory / folder)).string());
    if (files.size() > kFilesMax)
      return fail(
          user_error("plan.files", fmt::format("more than {} files below {}", kFilesMax, clean(folder)))
              .with_hint("name the files that are new"));
  }
  if (error)
    return fail(
        user_error("plan.files", fmt::format("cannot read all of {}: {}", clean(folder), error.message())));
  if (files.empty())
    return fail(user_error("plan.files", fmt::format("no .sql file below {}", clean(folder))));
  std::ranges::sort(files);
  std::vector<Source> found;
  for (const auto& file : files) PL_CHECK(read_one(context, file, found));
  std::erase_if(found,
                [](const Source& one) { return one.kind == Kind::kUndo || one.kind == Kind::kBaseline; });
  std::ranges::stable_sort(found, before);
  std::ranges::move(found, std::back_inserter(out));
  return {};
}

}  // namespace

bool is_rollout_file(const std::string& file) {
  const fs::path extension = fs::path(file).extension();
  return extension == ".yaml" || extension == ".yml";
}

Result<std::vector<Source>> plan_sources(const Context& context, const std::vector<std::string>& named) {
  std::vector<Source> out;
  for (const auto& one : named) {
    std::error_code error;
    if (is_rollout_file(one))
      return fail(
          user_error("plan.files", fmt::format("{} is a rollout, which is planned by itself", clean(one)))
              .with_hint("name either one rollout file, or SQL files and folders of them"));
    if (one != "-" && fs::is_directory(context.directory / one, error)) {
      PL_CHECK(read_folder(context, one, out));
    } else {
      PL_CHECK(read_one(context, one, out));
    }
  }
  return out;
}

}  // namespace poundlock::cli
