// What a rollout is connected to, made from poundlock.yaml.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ports/database.h"
#include "ports/lock_sampler.h"
#include "ports/shadow.h"
#include "ports/traffic.h"
#include "rollout/config.h"
#include "schema/catalog.h"

namespace poundlock::server {

// Members are destroyed in reverse: the shadow before the database that it was made from.
struct Connections {
  std::unique_ptr<ports::Database> primary;
  std::unique_ptr<ports::Database> staging;
  bool no_parity = false;  // the environment says that it is compared with none
  std::vector<std::unique_ptr<ports::Database>> replicas;
  std::unique_ptr<ports::Shadow> shadow;
  std::unique_ptr<ports::Traffic> traffic;
  std::unique_ptr<ports::LockSampler> sampler;  // of what refuses a transaction, on the shadow
  std::function<Result<schema::Catalog>(ports::Session&)> load_catalog, load_whole_catalog;
  std::map<std::string, std::string> primary_roles, staging_roles;  // `roles:` of either environment
  ports::Databases view() const;
};

// A password file's name is relative to the folder of poundlock.yaml, wherever the server is started.
void resolve_password_files(rollout::Config& config, const std::filesystem::path& folder);

// Opens no session yet. Errors are kUser with the place in poundlock.yaml. `clock` outlives the answer, and
// so does what `stopped` refers to: true ends the programs that make a shadow.
Result<Connections> connect(const rollout::Config& config, const std::string& environment,
                            const std::string& database, Clock& clock, std::function<bool()> stopped = {});

}  // namespace poundlock::server
