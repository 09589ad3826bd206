// poundlock.yaml as values: the environments with their databases, and the server. Reading is strict, as
// for rollout files. Pure: variables come through a function, files are read by the caller. Relative
// paths are relative to the file's folder; the caller resolves them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rollout/connection_url.h"

namespace poundlock::rollout {

struct Connection {
  std::string url;  // for libpq, ${NAME} replaced. May hold a password: print it by without_password()
  std::string password_file;  // holds the password and nothing else; "" where the url or ~/.pgpass tells it
  std::string missing;        // a variable that is not set; then url is empty
  SourcePosition where;
};

// Where a change is tried first. Either a database that exists and bears the mark poundlock.shadow, or one
// that is made beside the database for the time of a dry run, or one that commands make and take away.
struct ShadowConfig {
  std::optional<Connection> given;
  std::uint64_t rows = 20'000;  // made: rows sampled from each table
  std::string create, destroy;  // for sh; create prints the URL. Both or none
};

struct DatabaseConfig {
  Connection primary;
  std::vector<Connection> replicas;
  std::optional<ShadowConfig> shadow;
  // What runs the schema changes that are no rollout: "poundlock", or the migration tool whose files `plan
  // --write` then writes: "flyway", "liquibase", "alembic", "rails".
  std::string ddl_owner = "poundlock";
};

struct EnvironmentConfig {
  std::map<std::string, DatabaseConfig> databases;
  std::string parity;      // the environment that has to be like this one before a rollout; "" for none
  bool no_parity = false;  // `parity: none`: nothing is expected to be like this one, and the gate is waived
  // What parity compares beside the databases: the flag files of this environment, or the poundlockd that
  // serves them; and its own role names with what the others call them.
  std::vector<std::string> flags;
  std::string server;
  std::map<std::string, std::string> roles;
  SourcePosition where;
};

struct ListenAddress {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free one
  bool operator==(const ListenAddress&) const = default;
};
// "HOST:PORT", with an IPv6 address in brackets. `what` names the setting. Error (kUser): config.listen.
Result<ListenAddress> parse_listen(std::string_view text, std::string_view what);
std::string to_string(const ListenAddress& address);  // as parse_listen() reads it

struct ServerConfig {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8016;  // 0: any free one
  std::string state = "./state";
  std::optional<ListenAddress> grpc_eval, grpc_sync, management;  // nullopt: not opened
  std::vector<std::string> flags;                                 // files and folders of plain flags
  std::string override_file;                                      // "" for none
  std::vector<std::string> cors_origins;                          // sites whose pages may read flags
  std::vector<std::string> hosts;                                 // names that this server is called by
  bool require_token = false;                                     // reading flags needs a token, too
  std::string tls_cert, tls_key;                                  // of gRPC; both or none
};

struct Config {
  std::map<std::string, EnvironmentConfig> environments;
  std::string default_environment;  // "" where there are several and none is named
  ServerConfig server;
};

// A variable that is not set is no error yet: somebody without production's password works on dev.
Result<Config> parse_config(std::string_view text, std::string file, const Lookup& lookup);

// "" stands for the default environment and for the only database. Errors are kUser: an unknown name with
// the nearest known one, or a variable that this database needs.
Result<const EnvironmentConfig*> find_environment(const Config& config, std::string_view environment);
Result<const DatabaseConfig*> find_database(const Config& config, std::string_view environment,
                                            std::string_view database);

// What `poundlock init` writes. Both parse.
std::string_view example_config();
std::string_view example_rollout();

}  // namespace poundlock::rollout
