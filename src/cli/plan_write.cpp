#include "cli/plan_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <set>

#include "cli/text.h"

namespace poundlock::cli {
namespace {

namespace fs = std::filesystem;
using migration::Format;

// The migration tool that the databases of poundlock.yaml leave their DDL to; "" for none. Of the environment
// that is chosen; of all where none is, since the files are for each of them.
Result<std::string> ddl_owner(const Context& context) {
  PL_TRY(const auto site, find_site(context));
  if (!site) return std::string();
  const auto chosen = rollout::find_environment(site->config, context.environment);
  if (!chosen && !context.environment.empty()) return fail(chosen.error());
  std::set<std::string> owners;
  for (const auto& [name, environment] : site->config.environments)
    for (const auto& [database, one] : environment.databases)
      if (!chosen || *chosen == &environment) owners.insert(one.ddl_owner);
  if (owners.size() > 1)
    return fail(user_error("plan.format", fmt::format("the databases leave their schema changes to {}",
                                                      fmt::join(owners, " and ")))
                    .with_hint("--format says whose files to write"));
  const bool tool = owners.size() == 1 && *owners.begin() != "poundlock";
  return tool ? *owners.begin() : std::string();
}

Result<Format> format_of(const Context& context, const PlanWriting& writing) {
  if (!writing.format.empty()) return migration::format_from(writing.format);
  const fs::path extension = fs::path(writing.path).extension();
  if (extension == ".yaml" || extension == ".yml") return Format::kRollout;
  PL_TRY(const std::string owner, ddl_owner(context));
  if (!owner.empty()) {
    PL_TRY(const Format format, migration::format_from(owner));
    if (migration::one_file(format) || extension != ".sql") return format;
  }
  return extension == ".sql" ? Format::kSql : Format::kFlyway;
}

// Rails counts times; the present one, as in 20261122210000.
std::string time_version(const Context& context) {
  const std::time_t seconds = static_cast<std::time_t>(context.clock.now().ms / 1000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}{:02}{:02}{:02}{:02}{:02}", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec);
}

}  // namespace

Result<PlannedFiles> planned_files(const Context& context, const migration::SqlPlan& plan,
                                   const PlanWriting& writing) {
  PlannedFiles out;
  PL_TRY(out.format, format_of(context, writing));
  out.options = writing.options;
  if (out.options.version.empty())
    out.options.version = out.format == Format::kRails ? time_version(context) : "1";
  PL_TRY(out.files, migration::write_plan(plan, out.format, out.options));
  return out;
}

// What was written before goes away again: half of the files would be taken for the whole change.
void remove_plan_files(const Context& context, const std::vector<std::string>& written) {
  for (const auto& file : written) {
    std::error_code ignored;
    fs::remove(context.directory / file, ignored);
  }
}

Result<std::vector<std::string>> write_plan_files(const Context& context, const migration::SqlPlan& plan,
                                                  const PlanWriting& writing) {
  PL_TRY(const PlannedFiles planned, planned_files(context, plan, writing));
  std::vector<std::string> names;
  for (const auto& file : planned.files) {
    const bool one = migration::one_file(planned.format);
    const fs::path path = one ? fs::path(writing.path) : fs::path(writing.path) / file.name;
    std::error_code error;
    if (!writing.force && fs::exists(context.directory / path, error))
      return fail(
          make_error(Disposition::kConflict, "plan.exists",
                     fmt::format("{} is there already, and nothing was written", clean(path.string())))
              .with_hint("--force writes it anew; or name another place or another --version"));
    names.push_back(path.string());
  }
  if (!migration::one_file(planned.format)) {
    std::error_code error;
    fs::create_directories(context.directory / writing.path, error);
    if (error)
      return fail(user_error(
          "file.write", fmt::format("cannot make the folder {}: {}", clean(writing.path), error.message())));
  }
  std::vector<std::string> written;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto done = write_file(context, names[i], planned.files[i].text);
    if (!done) {
      if (!writing.force) remove_plan_files(context, written);
      return fail(done.error());
    }
    written.push_back(names[i]);
  }
  return names;
}

}  // namespace poundlock::cli
