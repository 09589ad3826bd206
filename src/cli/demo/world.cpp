#include "cli/demo/world.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/ids.h"
#include "base/json.h"
#include "cli/demo/files.h"
#include "cli/demo/keep.h"

namespace poundlock::cli {
namespace {

namespace fs = std::filesystem;
constexpr Millis kStartLimit{20'000};

Result<std::string> random_password() {
  std::array<unsigned char, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return fail(internal_error("the kernel gives no random bytes"));
  return to_hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

Status write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  return out ? Status{} : fail(internal_error("cannot write " + path));
}

}  // namespace

Result<std::unique_ptr<World>> World::start(Context& context, const DemoOptions& options) {
  std::unique_ptr<World> out(new World(context, options));
  if (auto status = out->start_all(); !status) {
    out->tear_down();  // also what was to be kept: nobody learns of it
    return fail(std::move(status).error());
  }
  return out;
}

Status World::start_all() {
  PL_TRY(password_, random_password());
  PL_CHECK(make_directory());
  PL_CHECK(start_cluster());
  PL_CHECK(make_tables());
  PL_CHECK(write_files());
  PL_CHECK(start_server());
  PL_TRY(auto watcher, cluster_->database("postgres", "app")->connect());
  stalls_ = std::make_unique<StallWatch>(std::move(watcher), context_.clock, "orders_app");
  return options_.application ? start_app("v1", true) : Status{};
}

World::~World() {
  if (!options_.keep) tear_down();
}

void World::tear_down() {
  stop_app();
  server_.stop(context_.clock, Millis{5'000});
  stalls_.reset();
  if (cluster_) cluster_->forget_keep();
  cluster_.reset();
  std::error_code ignored;
  if (!directory_.empty()) fs::remove_all(directory_, ignored);
}

Status World::make_directory() {
  std::string pattern = (fs::temp_directory_path() / "poundlock-demo-XXXXXX").string();
  if (!mkdtemp(pattern.data()))
    return fail(internal_error("cannot make a folder in " + fs::temp_directory_path().string()));
  directory_ = pattern;
  for (const char* folder : {"/rollouts", "/journal", "/state"}) fs::create_directories(directory_ + folder);
  return write_file(directory_ + "/fault", "none\n");
}

Status World::start_cluster() {
  postgres::ClusterOptions cluster;
  cluster.replica = true;
  cluster.durable = true;
  cluster.password = password_;
  cluster.keep = options_.keep;
  // Commits wait for no replica; a checkpoint in the middle would only add noise to so short a rollout.
  cluster.settings = {"checkpoint_timeout = '15min'", "max_wal_size = '2GB'",
                      "wal_receiver_status_interval = '1s'", "track_io_timing = on"};
  PL_TRY(cluster_, postgres::PrivateCluster::start(cluster));
  PL_TRY(auto super, cluster_->database("postgres", "postgres")->connect());
  for (const char* sql : {"GRANT pg_monitor TO app", "CREATE DATABASE app_staging OWNER app"})
    PL_CHECK(super->run(sql));
  PL_TRY(auto staging, cluster_->database("postgres", "app_staging")->connect());
  // As the cluster gave them to production: the gate of parity compares rights, too.
  for (const char* sql :
       {"CREATE EXTENSION pg_stat_statements SCHEMA public", "GRANT ALL ON SCHEMA public TO app",
        "GRANT USAGE ON SCHEMA public TO writer",
        "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public GRANT ALL ON TABLES TO writer",
        "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public GRANT ALL ON SEQUENCES TO writer"})
    PL_CHECK(staging->run(sql));
  return {};
}

Status World::make_tables() {
  for (const char* database : {"app", "app_staging"}) {
    PL_TRY(auto session, cluster_->database("app", database)->connect());
    for (const char* sql : kSchema) PL_CHECK(session->run(sql));
    if (std::string_view(database) == "app")
      PL_CHECK(session->run(ports::Sql{kFill, {std::to_string(options_.rows)}}));
    PL_CHECK(session->run("VACUUM (ANALYZE) public.orders"));
  }
  return {};
}

Status World::write_files() {
  PL_CHECK(write_file(directory_ + "/poundlock.yaml",
                      demo_config(cluster_->port(), cluster_->replica_port(), directory_ + "/state")));
  return write_file(rollout_file(), demo_rollout());
}

std::string World::program(const char* name) const {
  return (context_.program.parent_path() / name).string();
}

std::map<std::string, std::string> World::variables() const {
  return {{"DEMO_PASSWORD", password_}, {"PGPASSWORD", password_}};
}

Status World::restart_server(bool secrets) {
  server_.kill_now();
  // Readers know this address; port 0 of the file would give another one.
  return start_server(url_.substr(url_.find("//") + 2), secrets);
}

Status World::start_server(const std::string& listen, bool secrets) {
  ProcessOptions options;
  options.command = {program("poundlockd"), "--config", directory_ + "/poundlock.yaml"};
  if (!listen.empty()) options.command.insert(options.command.end(), {"--listen", listen});
  if (secrets) options.variables = variables();
  options.log = directory_ + "/poundlockd.log";
  options.keep = options_.keep;
  const std::string file = directory_ + "/state/server.json";
  fs::remove(file);  // of a server before this one
  PL_TRY(server_, Process::spawn(options));
  const TimePoint until = context_.clock.steady() + kStartLimit;
  while (context_.clock.steady() < until && server_.running()) {
    if (fs::exists(file)) {
      std::ifstream in(file);
      const std::string text((std::istreambuf_iterator<char>(in)), {});
      if (auto value = json::parse(text, file); value && value->is_object()) {
        PL_TRY(url_, json::get_string(value->as_object(), "url"));
        return {};
      }
    }
    context_.clock.sleep(Millis{20});
  }
  return fail(internal_error("poundlockd did not start: " + tail_of_file(options.log)));
}

Result<Api> World::api() const {
  Context local = context_;
  local.server = url_;
  local.token_file = directory_ + "/state/admin-token";
  return Api::open(local);
}

Status World::start_app(const std::string& build, bool legacy_path) {
  ++apps_;
  ProcessOptions options;
  options.command = {program("orders_app"),
                     "--dsn",
                     fmt::format("host=127.0.0.1 port={} user=writer dbname=app", cluster_->port()),
                     "--server",
                     url_,
                     "--flag",
                     "schema_v2_migration",
                     "--readers",
                     std::to_string(options_.readers),
                     "--writers",
                     std::to_string(options_.writers),
                     "--rate",
                     std::to_string(options_.rate),
                     "--build",
                     build,
                     "--instance",
                     "orders-" + build,
                     "--journal",
                     journal(),
                     "--fault-file",
                     directory_ + "/fault",
                     "--stats-file",
                     fmt::format("{}/app-{}.json", directory_, apps_)};
  if (!legacy_path) options.command.emplace_back("--no-legacy-path");
  options.variables = variables();
  options.log = directory_ + "/orders_app.log";
  options.keep = options_.keep;
  PL_TRY(app_, Process::spawn(options));
  return {};
}

Status World::write_stop() {
  return write_keep_files({directory_, cluster_->directory(), server_.pid(), app_.pid()},
                          {{"DEMO_PASSWORD", password_}});
}

void World::stop_app() {
  if (app_.pid() <= 0) return;
  const bool alone = !app_.running();  // ended before we said so
  app_.stop(context_.clock, Millis{10'000});
  if (alone || app_.exit_code() != 0) ++crashes_;
}

Status World::set_fault(const std::string& fault) {
  return write_file(directory_ + "/fault", fault + "\n");
}

AppFigures World::figures() const {
  AppFigures out;
  out.crashes = crashes_;
  for (int i = 1; i <= apps_; ++i) {
    const std::string file = fmt::format("{}/app-{}.json", directory_, i);
    std::ifstream in(file);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    const auto value = json::parse(text, file);
    if (!value || !value->is_object()) {
      ++out.unknown;
      continue;
    }
    const auto number = [&](std::string_view key) {
      return json::get_uint(value->as_object(), key).value_or(0);
    };
    out.statements += number("statements");
    out.errors += number("errors");
    out.user_errors += number("user_errors");
    out.fallbacks += number("fallbacks");
    out.excluded_reads_new += number("excluded_context_reads_new");
    out.faults += number("injected_faults");
  }
  return out;
}

Result<std::unique_ptr<ports::Session>> World::owner() const {
  return cluster_->database("app", "app")->connect();
}

Result<bool> World::column_exists(const std::string& column) const {
  PL_TRY(auto session, owner());
  PL_TRY(const auto rows,
         session->run(ports::Sql{"SELECT count(*) FROM pg_catalog.pg_attribute WHERE attrelid ="
                                 " 'public.orders'::regclass AND attname = $1 AND NOT attisdropped",
                                 {column}}));
  return rows.rows.at(0).at(0).value_or("0") != "0";
}

}  // namespace poundlock::cli
