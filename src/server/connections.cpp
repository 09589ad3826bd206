#include "server/connections.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <utility>

#include "postgres/catalog_loader.h"
#include "postgres/database.h"
#include "postgres/hook_shadow.h"
#include "postgres/lock_sampler.h"
#include "postgres/pg_dump_shadow.h"
#include "postgres/traffic.h"

namespace poundlock::server {
namespace {

using postgres::PgDatabase;

Result<std::string> password_of(const rollout::Connection& connection) {
  if (connection.password_file.empty()) return std::string();
  std::ifstream in(connection.password_file, std::ios::binary);
  std::string password((std::istreambuf_iterator<char>(in)), {});
  while (!password.empty() && (password.back() == '\n' || password.back() == '\r')) password.pop_back();
  if (password.empty()) {
    return fail(user_error("config.password_file",
                           fmt::format("{} is empty or cannot be read", connection.password_file))
                    .at(connection.where)
                    .with_hint("it holds the password and nothing else, readable by the user of poundlockd"));
  }
  return password;
}

Result<std::unique_ptr<PgDatabase>> open(const rollout::Connection& connection) {
  if (!connection.missing.empty()) {
    return fail(user_error("config.variable", fmt::format("{} is not set for poundlockd", connection.missing))
                    .at(connection.where)
                    .with_hint("set it where poundlockd is started"));
  }
  PL_TRY(const std::string password, password_of(connection));
  return PgDatabase::create(connection.url, password);
}

// `wanted` and `source` are those of connect(); the environments outlive the shadow.
std::unique_ptr<ports::Shadow> commanded_shadow(const rollout::ShadowConfig& wanted, const PgDatabase& source,
                                                Clock& clock, const postgres::ShadowOptions& options) {
  postgres::HookOptions hooks;
  hooks.create = wanted.create;
  hooks.destroy = wanted.destroy;
  hooks.stopped = options.stopped;
  hooks.on = [&source, &clock, rows = wanted.rows, environments = options.environments,
              stopped = options.stopped](std::unique_ptr<PgDatabase> database) {
    postgres::ShadowOptions inner;
    inner.rows_max = rows;
    inner.disposable = true;
    inner.environments = environments;
    inner.stopped = stopped;
    inner.given = std::move(database);
    return postgres::make_pg_dump_shadow(source, clock, std::move(inner));
  };
  return postgres::make_hook_shadow(clock, std::move(hooks));
}

}  // namespace

ports::Databases Connections::view() const {
  ports::Databases out;
  out.primary = primary.get();
  out.staging = staging.get();
  for (const auto& replica : replicas) out.replicas.push_back(replica.get());
  return out;
}

void resolve_password_files(rollout::Config& config, const std::filesystem::path& folder) {
  const auto resolve = [&](rollout::Connection& connection) {
    if (!connection.password_file.empty())
      connection.password_file = (folder / connection.password_file).string();
  };
  for (auto& [environment_name, environment] : config.environments) {
    for (auto& [name, database] : environment.databases) {
      resolve(database.primary);
      for (auto& replica : database.replicas) resolve(replica);
      if (database.shadow && database.shadow->given) resolve(*database.shadow->given);
    }
  }
}

Result<Connections> connect(const rollout::Config& config, const std::string& environment_name,
                            const std::string& database_name, Clock& clock, std::function<bool()> stopped) {
  PL_TRY(const auto* database, rollout::find_database(config, environment_name, database_name));
  PL_TRY(const auto* environment, rollout::find_environment(config, environment_name));
  Connections out;
  PL_TRY(auto primary, open(database->primary));
  const PgDatabase& source = *primary;
  postgres::ShadowOptions shadow;
  shadow.stopped = std::move(stopped);
  for (const auto& replica : database->replicas) {
    PL_TRY(auto opened, open(replica));
    shadow.environments.push_back(opened.get());
    out.replicas.push_back(std::move(opened));
  }
  out.no_parity = environment->no_parity;
  if (!environment->parity.empty()) {
    PL_TRY(const auto* staging, rollout::find_database(config, environment->parity, database_name));
    PL_TRY(auto opened, open(staging->primary));
    shadow.environments.push_back(opened.get());
    out.staging = std::move(opened);
    PL_TRY(const auto* staging_environment, rollout::find_environment(config, environment->parity));
    out.staging_roles = staging_environment->roles;
  }
  out.primary_roles = environment->roles;
  out.primary = std::move(primary);
  out.load_catalog = [](ports::Session& session) { return postgres::load_catalog(session); };
  out.load_whole_catalog = [](ports::Session& session) {
    return postgres::load_catalog(session, {.schemas = {}, .tables = {}, .whole = true});
  };
  if (database->shadow) {
    shadow.rows_max = database->shadow->rows;
    if (database->shadow->given) {
      PL_TRY(shadow.given, open(*database->shadow->given));
    }
    out.shadow = database->shadow->create.empty()
                     ? postgres::make_pg_dump_shadow(source, clock, std::move(shadow))
                     : commanded_shadow(*database->shadow, source, clock, shadow);
    out.traffic = postgres::make_traffic(clock);
    out.sampler = postgres::make_lock_sampler(clock);
  }
  return out;
}

}  // namespace poundlock::server
