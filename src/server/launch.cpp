#include "server/launch.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "base/yaml.h"

namespace poundlock::server {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kSourcesMax = 1'000;
constexpr const char* kLoopback = "127.0.0.1";

Result<std::string> read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in || fs::is_directory(path)) {
    return fail(
        user_error("config.file", fmt::format("cannot read {}", path.string()))
            .with_hint("`poundlock init` writes one; --config names another; --flags FILE serves flags "
                       "without any"));
  }
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// The command line's word, else the file's, else `otherwise`.
Result<std::optional<ListenWish>> wish(const std::string& given, const char* option,
                                       const std::optional<rollout::ListenAddress>& configured,
                                       std::optional<ListenWish> otherwise) {
  if (given == "off") return std::nullopt;
  if (!given.empty()) {
    PL_TRY(auto address, rollout::parse_listen(given, option));
    return ListenWish{std::move(address), true};
  }
  if (configured) return ListenWish{*configured, true};
  return otherwise;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

void warn_of_plain_tokens(const ServiceOptions& options, std::vector<std::string>& warnings) {
  if (!options.require_token || !options.tls_cert.empty()) return;
  const auto warn = [&](const char* name, const std::optional<ListenWish>& wish) {
    if (!wish || is_loopback(wish->address.host)) return;
    warnings.push_back(
        fmt::format("{} {}: tokens cross the network in plain text; --tls-cert and --tls-key protect them",
                    name, to_string(wish->address)));
  };
  warn("grpc-eval", options.grpc_eval);
  warn("grpc-sync", options.grpc_sync);
}

Status set_ports(const CommandLine& line, bool usual, ServiceOptions& out) {
  const auto& server = out.config.server;
  // HTTP's address may be any; what nobody asked for is open to this machine only.
  const auto usual_port = [&](std::uint16_t port) {
    const std::string host = is_loopback(out.http.host) ? out.http.host : kLoopback;
    return usual ? std::optional(ListenWish{{host, port}, false}) : std::nullopt;
  };
  if (!line.http.empty()) {
    PL_TRY(out.http, rollout::parse_listen(line.http, "--http"));
  }
  PL_TRY(out.grpc_eval, wish(line.grpc_eval, "--grpc-eval", server.grpc_eval, usual_port(8013)));
  PL_TRY(out.management, wish(line.management, "--management", server.management, usual_port(8014)));
  PL_TRY(out.grpc_sync, wish(line.grpc_sync, "--grpc-sync", server.grpc_sync, usual_port(8015)));
  return {};
}

// flagd's values are text: a rule that compares with "42" must not meet a number.
Status set_context(const CommandLine& line, json::Object& to) {
  to = line.context_of_file;
  for (const auto& one : line.context_values) {
    const auto equals = one.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(user_error("config.context", fmt::format("--context-value {} is no NAME=VALUE", one)));
    to[one.substr(0, equals)] = one.substr(equals + 1);
  }
  return {};
}

void set_rest(const CommandLine& line, const fs::path& base, ServiceOptions& out) {
  const auto& server = out.config.server;
  const auto path = [&](const std::string& given, const std::string& configured) {
    return !given.empty() ? given : configured.empty() ? "" : (base / configured).string();
  };
  for (const auto& one : line.flags) out.flags.push_back({one, one});
  if (line.flags.empty())
    for (const auto& one : server.flags) out.flags.push_back({(base / one).string(), one});
  out.override_file = path(line.override_file, server.override_file);
  out.tls_cert = path(line.tls_cert, server.tls_cert);
  out.tls_key = path(line.tls_key, server.tls_key);
  out.origins = line.cors_origins.empty() ? server.cors_origins : line.cors_origins;
  out.hosts = line.hosts.empty() ? server.hosts : line.hosts;
  out.require_token = line.require_token || server.require_token;
}

bool is_flagd(const std::string& text, const std::string& file) {
  const auto root = yaml::parse(text, file);
  return root && root->find("sources") != nullptr;
}

}  // namespace

Result<Launch> launch_options(const CommandLine& given, const std::string& folder,
                              const rollout::Lookup& lookup) {
  CommandLine line = given;
  Launch out;
  const bool beside = fs::exists(fs::path(folder) / "poundlock.yaml");
  const bool without = line.config.empty() && !beside && !line.flags.empty();
  fs::path base = folder;
  bool usual = true;
  if (!without) {
    const fs::path file = fs::path(folder) / (line.config.empty() ? "poundlock.yaml" : line.config);
    PL_TRY(const std::string text, read_file(file));
    base = fs::absolute(file).parent_path();
    if (is_flagd(text, file.string())) {
      PL_CHECK(read_flagd_config(text, file.string(), line, out.options.flags, out.warnings));
    } else {
      PL_TRY(out.options.config, rollout::parse_config(text, file.string(), lookup));
      PL_TRY([[maybe_unused]] const auto* environment,
             rollout::find_environment(out.options.config, line.environment));
      resolve_password_files(out.options.config, base);
      usual = false;
    }
  }
  ServiceOptions& options = out.options;
  options.environment = line.environment;
  options.state_dir = line.data.empty() ? (base / options.config.server.state).string() : line.data;
  options.http = {options.config.server.host, options.config.server.port};
  PL_CHECK(set_ports(line, usual, options));
  PL_CHECK(set_context(line, options.context_values));
  set_rest(line, base, options);
  if (options.tls_cert.empty() != options.tls_key.empty())
    return fail(user_error("config.tls", "--tls-cert and --tls-key belong together"));
  warn_of_plain_tokens(options, out.warnings);
  return out;
}

namespace {

class FlagdReader {
 public:
  FlagdReader(CommandLine& line, std::vector<FlagSource>& sources, std::vector<std::string>& warnings)
      : line_(line), sources_(sources), warnings_(warnings) {}
  Status key(const std::string& name, const yaml::Node& value);

 private:
  Status source(const yaml::Node& node);
  Status context(const yaml::Node& node);
  Status port(const yaml::Node& node, const std::string& name, std::string& to);
  static Status text(const yaml::Node& node, const std::string& name, std::string& to);

  CommandLine& line_;
  std::vector<FlagSource>& sources_;
  std::vector<std::string>& warnings_;
};

// The command line goes before the file.
Status FlagdReader::port(const yaml::Node& node, const std::string& name, std::string& to) {
  PL_TRY(const auto port, node.as_int(name, 0, 65'535));
  if (to.empty()) to = fmt::format("{}:{}", kLoopback, port);
  return {};
}

Status FlagdReader::text(const yaml::Node& node, const std::string& name, std::string& to) {
  PL_TRY(std::string value, node.as_string(name));
  if (to.empty()) to = std::move(value);
  return {};
}

Status FlagdReader::source(const yaml::Node& node) {
  const auto* uri = node.find("uri");
  const auto* provider = node.find("provider");
  if (!uri || !provider)
    return fail(node.error("config.flagd", "a source needs a uri and a provider")
                    .with_hint(R"({"uri": "flags.json", "provider": "file"})"));
  PL_TRY(const std::string path, uri->as_string("uri"));
  PL_TRY(const std::string kind, provider->as_string("provider"));
  if (kind != "file") {
    return fail(
        provider->error("config.flagd", fmt::format("the provider {} is not there: only file is", kind))
            .with_hint("let something else write the flags to a file; it is read again on each change"));
  }
  if (sources_.size() >= kSourcesMax) return fail(node.error("config.flagd", "too many sources"));
  sources_.push_back({path.starts_with("file:") ? path.substr(5) : path, path});
  return {};
}

Status FlagdReader::context(const yaml::Node& node) {
  for (const auto& [name, value] : node.entries) {
    PL_TRY(const std::string text, value.as_string("context-value"));
    const auto typed = json::parse(text, name.scalar);
    const bool is_typed = !value.quoted && typed && (typed->is_bool() || typed->is_number());
    line_.context_of_file[name.scalar] = is_typed ? *typed : json::Value(text);
  }
  return {};
}

Status FlagdReader::key(const std::string& name, const yaml::Node& value) {
  if (name == "sources") {
    for (const auto& item : value.items) PL_CHECK(source(item));
  } else if (name == "context-value") {
    return context(value);
  } else if (name == "cors-origin" && line_.cors_origins.empty()) {
    for (const auto& item : value.items) {
      PL_TRY(std::string origin, item.as_string(name));
      line_.cors_origins.push_back(std::move(origin));
    }
  } else if (name == "port") {
    return port(value, name, line_.grpc_eval);
  } else if (name == "management-port") {
    return port(value, name, line_.management);
  } else if (name == "sync-port") {
    return port(value, name, line_.grpc_sync);
  } else if (name == "ofrep-port") {
    return port(value, name, line_.http);
  } else if (name == "server-cert-path") {
    return text(value, name, line_.tls_cert);
  } else if (name == "server-key-path") {
    return text(value, name, line_.tls_key);
  } else if (name != "cors-origin") {
    warnings_.push_back(
        fmt::format("{}:{}: {} has no effect here", value.where.file, value.where.line, name));
  }
  return {};
}

}  // namespace

Status read_flagd_config(std::string_view text, const std::string& file, CommandLine& line,
                         std::vector<FlagSource>& sources, std::vector<std::string>& warnings) {
  PL_TRY(const auto root, yaml::parse(text, file));
  FlagdReader reader(line, sources, warnings);
  for (const auto& [name, value] : root.entries) PL_CHECK(reader.key(name.scalar, value));
  if (sources.empty() && line.flags.empty())
    return fail(root.error("config.flagd", "sources: there is none")
                    .with_hint(R"("sources": [{"uri": "flags.json", "provider": "file"}])"));
  return {};
}

}  // namespace poundlock::server
