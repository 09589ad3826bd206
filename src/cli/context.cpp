#include "cli/context.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/json.h"
#include "cli/text.h"
#include "postgres/database.h"

namespace poundlock::cli {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kFileBytesMax = 1 << 20;
constexpr std::string_view kConfigName = "poundlock.yaml";

Result<std::string> read_stream(std::istream& in, const std::string& name, std::size_t bytes_max) {
  constexpr std::size_t kPiece = 1 << 18;
  std::string text;
  while (in && text.size() <= bytes_max) {
    const std::size_t before = text.size();
    text.resize(before + std::min(kPiece, bytes_max + 1 - before));
    in.read(text.data() + before, static_cast<std::streamsize>(text.size() - before));
    text.resize(before + static_cast<std::size_t>(in.gcount()));
  }
  if (in.bad()) return fail(user_error("file.read", fmt::format("cannot read {}", name)));
  if (text.size() > bytes_max)
    return fail(user_error("file.read", fmt::format("{} is larger than {} MiB", name, bytes_max >> 20)));
  return text;
}

Result<std::string> read_path(const fs::path& path, std::size_t bytes_max = kFileBytesMax) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status))
    return fail(user_error("file.read", fmt::format("there is no file {}", clean(path.string())))
                    .with_hint("check the name and the folder that you are in"));
  if (fs::is_directory(status))
    return fail(user_error("file.read", fmt::format("{} is a folder", clean(path.string())))
                    .with_hint("name a file in it"));
  std::ifstream in(path, std::ios::binary);
  if (!in)
    return fail(user_error("file.read", fmt::format("cannot open {}", clean(path.string())))
                    .with_hint("it must be readable by this user"));
  return read_stream(in, clean(path.string()), bytes_max);
}

Result<Site> load_site(const Context& context, const fs::path& file) {
  PL_TRY(const std::string text, read_path(file));
  Site site;
  site.file = file;
  PL_TRY(site.config, rollout::parse_config(text, file.string(), context.environment_variable));
  return site;
}

}  // namespace

fs::path Site::resolve(const std::string& path) const {
  return folder() / path;
}

Result<std::optional<Site>> find_site(const Context& context) {
  if (!context.config.empty()) {
    PL_TRY(auto site, load_site(context, context.directory / context.config));
    return std::optional<Site>(std::move(site));
  }
  for (fs::path folder = context.directory;; folder = folder.parent_path()) {
    std::error_code error;
    if (fs::is_regular_file(folder / kConfigName, error)) {
      PL_TRY(auto site, load_site(context, folder / kConfigName));
      return std::optional<Site>(std::move(site));
    }
    if (folder == folder.parent_path()) return std::optional<Site>();
  }
}

Result<Site> need_site(const Context& context) {
  PL_TRY(auto site, find_site(context));
  if (site) return std::move(*site);
  return fail(user_error("config.file", "no poundlock.yaml in this folder or above it")
                  .with_hint("`poundlock init` writes one, --config FILE names one"));
}

std::string who_of(const Context& context) {
  if (!context.who.empty()) return context.who;
  for (const char* name : {"USER", "LOGNAME"})
    if (auto value = context.environment_variable(name); value && !value->empty()) return *value;
  // Services and containers often lack both variables, and the audit trail should still name somebody.
  const passwd* account = ::getpwuid(::geteuid());
  return account && account->pw_name ? account->pw_name : "operator";
}

Result<std::string> read_file(const Context& context, const std::string& path) {
  return read_file(context, path, kFileBytesMax);
}

Result<std::string> read_file(const Context& context, const std::string& path, std::size_t bytes_max) {
  if (path == "-") return read_stream(std::cin, "standard input", bytes_max);
  return read_path(context.directory / path, bytes_max);
}

Status write_file(const Context& context, const std::string& path, std::string_view text) {
  const fs::path to = context.directory / path;
  const fs::path beside = to.string() + fmt::format(".new.{}", ::getpid());
  const int file = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const bool written = file >= 0 &&
                       ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(file) == 0;
  if (file >= 0) ::close(file);
  std::error_code error;
  if (written) fs::rename(beside, to, error);
  if (written && !error) return {};
  std::error_code ignored;
  fs::remove(beside, ignored);
  return fail(user_error("file.write", fmt::format("cannot write {}", clean(path)))
                  .with_hint("its folder must be there and writable by this user"));
}

Result<std::unique_ptr<ports::Database>> open_connection(const Site& site,
                                                         const rollout::Connection& connection) {
  if (!connection.missing.empty())
    return fail(
        user_error("config.variable", fmt::format("the variable {} is not set", connection.missing))
            .at(connection.where)
            .with_hint(fmt::format("export {}=..., or choose another --environment", connection.missing)));
  std::string password;
  if (!connection.password_file.empty()) {
    auto text = read_path(site.resolve(connection.password_file));
    if (!text) return fail(std::move(text).error().at(connection.where));
    password = std::move(*text);
    while (!password.empty() && (password.back() == '\n' || password.back() == '\r')) password.pop_back();
  }
  PL_TRY(auto database, postgres::PgDatabase::create(connection.url, password));
  return std::unique_ptr<ports::Database>(std::move(database));
}

Result<std::unique_ptr<ports::Database>> open_database(const Context& context, const std::string& url,
                                                       const std::string& database) {
  if (!url.empty()) {
    PL_TRY(auto opened, postgres::PgDatabase::create(url));
    return std::unique_ptr<ports::Database>(std::move(opened));
  }
  PL_TRY(const Site site, need_site(context));
  PL_TRY(const auto* found, rollout::find_database(site.config, context.environment, database));
  return open_connection(site, found->primary);
}

namespace {

// As a shell has it for a program that a signal has ended: the work was stopped, and nothing could not be
// reached.
int shown_code(const Error& error) {
  constexpr int kStopped = 130;
  return error.code == "check.stopped" ? kStopped : exit_code(error);
}

}  // namespace

boost::json::object error_json(const Error& error) {
  boost::json::object body{{"code", error.code},
                           {"message", error.message},
                           {"hint", error.hint},
                           {"disposition", to_string(error.disposition)},
                           {"exit_code", shown_code(error)}};
  if (!error.sqlstate.empty()) body["sqlstate"] = error.sqlstate;
  if (error.where)
    body["where"] = {
        {"file", error.where->file}, {"line", error.where->line}, {"column", error.where->column}};
  return {{"error", std::move(body)}};
}

int report(Context& context, const Error& error) {
  const Paint paint(context.colour);
  std::string text = paint(Colour::kRed, "error: ") + clean(error.message);
  if (!error.sqlstate.empty()) text += fmt::format(" [SQLSTATE {}]", clean(error.sqlstate));
  if (error.where)
    text += fmt::format("\n  at {}:{}:{}", clean(error.where->file), error.where->line, error.where->column);
  if (!error.hint.empty()) text += "\n" + paint(Colour::kCyan, "try: ") + clean(error.hint);
  context.err << text << std::endl;
  if (context.json) print_json(context, error_json(error));
  return shown_code(error);
}

void print_json(Context& context, const boost::json::value& value) {
  context.out << json::dump(value) << std::endl;
}

void say(Context& context, std::string_view line) {
  context.out << line << std::endl;
}

}  // namespace poundlock::cli
