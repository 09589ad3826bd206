// What poundlockd was told, by its command line, poundlock.yaml or a configuration of flagd's, as the
// options of a service. Reads the named files; opens nothing else. Errors are kUser.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/service.h"

namespace poundlock::server {

// As typed; "" and empty: not given. Addresses are HOST:PORT or, but for http, "off".
struct CommandLine {
  std::string config;  // poundlock.yaml, or flagd's: told apart by the key `sources`
  std::string environment;
  std::string data;
  std::string http, grpc_eval, grpc_sync, management;
  std::vector<std::string> flags;
  std::string override_file;
  std::vector<std::string> context_values;  // NAME=VALUE; each value is text
  boost::json::object context_of_file;      // of flagd's configuration, with the types that it has there
  std::vector<std::string> cors_origins, hosts;
  bool require_token = false;
  std::string tls_cert, tls_key;
};

struct Launch {
  ServiceOptions options;
  std::vector<std::string> warnings;
};

// With poundlock.yaml (named, or in `folder`) only the ports that are configured are opened beside HTTP's: a
// machine may run several such servers. A server of flags alone opens flagd's usual ports, for this machine
// only; where one of those that nobody named is taken, it does without. `lookup` reads environment variables.
Result<Launch> launch_options(const CommandLine& line, const std::string& folder,
                              const rollout::Lookup& lookup);

// flagd's own configuration, JSON or YAML: sources, context-value, cors-origin, its ports and certificates.
// Keys that it does not understand are warned of, as flagd ignores them. Error: config.flagd.
Status read_flagd_config(std::string_view text, const std::string& file, CommandLine& line,
                         std::vector<FlagSource>& sources, std::vector<std::string>& warnings);

}  // namespace poundlock::server
