#include "cli/plan_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <iterator>
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

// Files of the folder that a migration tool looks at, by name; of Flyway's also those of folders below.
constexpr std::size_t kFilesMax = 100'000;
std::vector<fs::path> files_below(const Context& context, const PlanWriting& writing) {
  std::vector<fs::path> out;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(context.directory / writing.path, error);
       !error && it != fs::recursive_directory_iterator() && out.size() < kFilesMax; it.increment(error))
    if (it->is_regular_file(error)) out.push_back(it->path());
  return out;
}

// "V2026_11_2__x.sql" as 2026, 11, 2; empty where Flyway gives the file no version.
std::vector<std::uint64_t> flyway_version(const std::string& name) {
  std::vector<std::uint64_t> out;
  const auto end = name.find("__");
  if (name.empty() || end == name.npos || (name[0] != 'V' && name[0] != 'B' && name[0] != 'U')) return out;
  bool begins = true;
  for (const char c : name.substr(1, end - 1)) {
    if (c == '_' || c == '.') {
      begins = true;
      continue;
    }
    if (c < '0' || c > '9') return {};
    if (begins) out.push_back(0);
    begins = false;
    if (out.back() > 100'000'000'000'000'000U) return {};
    out.back() = out.back() * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return out;
}

// What follows the version: the same again would be the same change twice, and two classes of one name.
std::string_view behind_version(std::string_view name, Format format) {
  const auto at = format == Format::kFlyway ? name.find("__") : name.find('_');
  return at == name.npos ? std::string_view() : name.substr(at);
}

std::string text_of_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Error is_there(const std::string& name) {
  return make_error(
             Disposition::kConflict, "plan.exists",
             fmt::format("the same change is there already, as {}, and nothing was written", clean(name)))
      .with_hint("remove those files first, or name another folder or another --name");
}

// Flyway leaves out, or refuses, what comes below a version that it has run.
Status free_version(const Context& context, const PlanWriting& writing, PlannedFiles& planned,
                    const migration::SqlPlan& plan) {
  std::vector<std::uint64_t> last;
  std::string last_name;
  const auto there = files_below(context, writing);
  for (const auto& path : there) {
    const auto version = flyway_version(path.filename().string());
    if (version > last) {
      last = version;
      last_name = path.filename().string();
    }
  }
  if (last.empty()) return {};
  if (writing.options.version.empty()) {
    for (const auto& path : there)
      if (behind_version(path.filename().string(), Format::kFlyway) ==
              behind_version(planned.files.front().name, Format::kFlyway) &&
          text_of_file(path) == planned.files.front().text)
        return fail(is_there(path.filename().string()));
    planned.options.version = fmt::format("{}", last.front() + 1);
    PL_TRY(planned.files, migration::write_plan(plan, planned.format, planned.options));
    return {};
  }
  if (flyway_version(planned.files.front().name) > last) return {};
  return fail(
      make_error(Disposition::kConflict, "plan.version",
                 fmt::format("version {} is not above that of {}, and nothing was written",
                             clean(writing.options.version), clean(last_name)))
          .with_hint(fmt::format("--version {} is free; --force writes what was named", last.front() + 1)));
}

Status no_class_twice(const Context& context, const PlanWriting& writing, const PlannedFiles& planned) {
  for (const auto& path : files_below(context, writing))
    for (const auto& file : planned.files)
      if (behind_version(path.filename().string(), planned.format) ==
          behind_version(file.name, planned.format))
        return fail(is_there(path.filename().string()));
  return {};
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
  if (writing.force) return out;
  if (out.format == Format::kFlyway) PL_CHECK(free_version(context, writing, out, plan));
  if (out.format == Format::kRails) PL_CHECK(no_class_twice(context, writing, out));
  return out;
}

// What was written before goes away again: half of the files would be taken for the whole change.
void remove_plan_files(const Context& context, const std::vector<std::string>& written) {
  for (const auto& file : written) {
    std::error_code ignored;
    fs::remove(context.directory / file, ignored);
  }
}

Result<WrittenPlan> write_plan_files(const Context& context, const migration::SqlPlan& plan,
                                     const PlanWriting& writing) {
  PL_TRY(const PlannedFiles planned, planned_files(context, plan, writing));
  WrittenPlan out;
  auto& names = out.files;
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
    if (file.contract) out.contract.push_back(path.string());
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
  return out;
}

}  // namespace poundlock::cli
