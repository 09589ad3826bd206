#include "rollout/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/strings.h"
#include "base/suggest.h"
#include "lint/config.h"
#include "rollout/spec_parts.h"

namespace poundlock::rollout {
namespace {

using yaml::Fields;
using yaml::Node;

constexpr std::size_t kEnvironmentsMax = 50;
constexpr std::size_t kDatabasesMax = 200;
constexpr std::size_t kReplicasMax = 50;
constexpr std::size_t kUrlMax = 4'096;
constexpr std::size_t kTextsMax = 100;
constexpr std::size_t kRolesMax = 1'000;
constexpr std::size_t kRoleNameMax = 63;  // bytes, as PostgreSQL has it
constexpr std::size_t kCommandMax = 4'096;
constexpr std::int64_t kRowsMax = 100'000'000;

class Reader {
 public:
  explicit Reader(const Lookup& lookup) : lookup_(lookup) {}
  Result<Config> read(const Node& root);

 private:
  Result<Connection> connection(const Node& url, const Node* password_file);
  Result<Connection> replica(const Node& node);
  Result<ShadowConfig> shadow(const Node& node);
  Result<DatabaseConfig> database(const Node& node, const std::string& name);
  Result<EnvironmentConfig> environment(const Node& key, const Node& body);

  const Lookup& lookup_;
};

// A mapping from names that the user chooses; `one` says what a name stands for.
Status check_names(const Node& node, std::string_view what, std::string_view one, std::size_t max) {
  if (node.kind != yaml::Kind::kMapping || node.entries.empty()) {
    return fail(node.error("yaml.type", fmt::format("{}: expected a mapping of at least one {}, found {}",
                                                    what, one, yaml::to_string(node.kind))));
  }
  if (node.entries.size() > max) {
    return fail(node.entries[max].first.error(
        "spec.too_many",
        fmt::format("{}: {} entries, at most {} are allowed", what, node.entries.size(), max)));
  }
  for (const auto& [key, value] : node.entries) PL_CHECK(parts::plain_name(key, one));
  return {};
}

Result<Connection> Reader::connection(const Node& url, const Node* password_file) {
  Connection connection;
  connection.where = url.where;
  PL_TRY(const std::string written, parts::text(url, "url", kUrlMax));
  if (auto status = check_url(written); !status) return fail(std::move(status).error().at(url.where));
  if (password_file) {
    PL_TRY(connection.password_file, parts::text(*password_file, "password_file", kUrlMax));
    if (has_password(written)) {
      return fail(password_file->error("config.password", "the url has a password, and so has password_file")
                      .with_hint("keep one of them"));
    }
  }
  // The first variable that is not set is remembered; every other fault is told now.
  const Lookup remember = [&](std::string_view name) -> std::optional<std::string> {
    auto value = lookup_(name);
    if ((!value || value->empty()) && connection.missing.empty()) connection.missing = name;
    return value;
  };
  auto expanded = expand_url(written, remember);
  if (expanded) {
    connection.url = std::move(*expanded);
  } else if (connection.missing.empty()) {
    return fail(std::move(expanded).error().at(url.where));
  }
  return connection;
}

// Either the url alone or a mapping with a password file.
Result<Connection> Reader::replica(const Node& node) {
  if (node.kind == yaml::Kind::kScalar) return connection(node, nullptr);
  PL_TRY(Fields fields, parts::mapping(node, "replica", {"url", "password_file"}));
  PL_TRY(const Node* url, fields.required("url"));
  return connection(*url, fields.optional("password_file"));
}

Result<ShadowConfig> Reader::shadow(const Node& node) {
  PL_TRY(Fields fields,
         parts::mapping(node, "shadow", {"url", "password_file", "create", "destroy", "rows"}));
  ShadowConfig shadow;
  const Node* url = fields.optional("url");
  const Node* create = fields.optional("create");
  const Node* destroy = fields.optional("destroy");
  const Node* rows = fields.optional("rows");
  const Node* password_file = fields.optional("password_file");
  bool made = false;
  if (create && destroy) {
    PL_TRY(shadow.create, parts::text(*create, "create", kCommandMax));
    PL_TRY(shadow.destroy, parts::text(*destroy, "destroy", kCommandMax));
    made = true;
  } else if (create) {
    PL_TRY(made, create->as_bool("create"));
  }
  if (destroy && !create) {
    return fail(
        destroy->error("config.shadow", "destroy belongs to create: the command that makes the shadow"));
  }
  if (made == (url != nullptr)) {
    return fail(node.error("config.shadow", "shadow: expected either url or create: true")
                    .with_hint("shadow: {create: true, rows: 20000} makes one beside the database"));
  }
  if (const Node* idle = url ? rows : password_file) {
    return fail(
        idle->error("config.shadow", url ? "rows belongs to create: true; a given shadow has its own rows"
                                         : "password_file belongs to url"));
  }
  if (url) {
    PL_TRY(shadow.given, connection(*url, password_file));
  }
  if (rows) {
    PL_TRY(const std::int64_t count, rows->as_int("rows", 1, kRowsMax));
    shadow.rows = static_cast<std::uint64_t>(count);
  }
  return shadow;
}

Result<std::string> ddl_owner(const Node& node) {
  static const std::vector<std::string> kOwners{"poundlock", "flyway", "liquibase", "alembic", "rails"};
  PL_TRY(std::string text, node.as_string("ddl_owner"));
  if (std::ranges::find(kOwners, text) != kOwners.end()) return text;
  Error error = node.error(
      "config.ddl_owner",
      fmt::format("ddl_owner: expected {}, found {}", fmt::join(kOwners, ", "), quote_for_message(text)));
  if (const auto near = nearest(text, kOwners); !near.empty())
    error.hint = fmt::format("did you mean '{}'?", near);
  return fail(std::move(error));
}

Result<DatabaseConfig> Reader::database(const Node& node, const std::string& name) {
  PL_TRY(Fields fields, parts::mapping(node, fmt::format("database '{}'", name),
                                       {"url", "password_file", "replicas", "shadow", "ddl_owner"}));
  DatabaseConfig database;
  PL_TRY(const Node* url, fields.required("url"));
  PL_TRY(database.primary, connection(*url, fields.optional("password_file")));
  if (const Node* replicas = fields.optional("replicas")) {
    PL_CHECK(parts::check_list(*replicas, "replicas", 0, kReplicasMax, "postgres://app@replica1/app"));
    for (const Node& item : replicas->items) {
      PL_TRY(Connection one, replica(item));
      database.replicas.push_back(std::move(one));
    }
  }
  if (const Node* value = fields.optional("shadow")) {
    PL_TRY(database.shadow, shadow(*value));
  }
  if (const Node* value = fields.optional("ddl_owner")) {
    PL_TRY(database.ddl_owner, ddl_owner(*value));
  }
  return database;
}

Status read_texts(Fields& fields, std::string_view key, std::string_view example,
                  std::vector<std::string>& to) {
  const Node* node = fields.optional(key);
  if (!node) return {};
  if (node->kind == yaml::Kind::kScalar) {
    PL_TRY(std::string one, parts::text(*node, key, kUrlMax));
    to = {std::move(one)};
    return {};
  }
  PL_CHECK(parts::check_list(*node, key, 0, kTextsMax, example));
  for (const Node& item : node->items) {
    PL_TRY(std::string one, parts::text(item, key, kUrlMax));
    to.push_back(std::move(one));
  }
  return {};
}

Status read_text(Fields& fields, std::string_view key, std::string& to) {
  if (const Node* node = fields.optional(key)) {
    PL_TRY(to, parts::text(*node, key, kUrlMax));
  }
  return {};
}

// `shop_staging: shop`: what is called so here is called otherwise in the environments compared with.
Result<std::map<std::string, std::string>> read_roles(const Node& node) {
  std::map<std::string, std::string> out;
  std::map<std::string, std::string> taken;
  if (node.kind != yaml::Kind::kMapping)
    return fail(
        node.error("yaml.type", fmt::format("roles: expected a mapping such as {{shop_staging: shop}}, "
                                            "found {}",
                                            yaml::to_string(node.kind))));
  if (node.entries.size() > kRolesMax)
    return fail(node.entries[kRolesMax].first.error(
        "spec.too_many",
        fmt::format("roles: {} entries, at most {} are allowed", node.entries.size(), kRolesMax)));
  for (const auto& [key, value] : node.entries) {
    PL_TRY(const std::string from, parts::text(key, "roles", kRoleNameMax));
    PL_TRY(const std::string to, parts::text(value, "roles", kRoleNameMax));
    if (const auto [other, fresh] = taken.emplace(to, from); !fresh)
      return fail(
          value.error("config.roles", fmt::format("roles: '{}' and '{}' would both be '{}': a difference "
                                                  "between them could not be seen",
                                                  other->second, from, to)));
    out.emplace(from, to);
  }
  return out;
}

Result<EnvironmentConfig> Reader::environment(const Node& key, const Node& body) {
  PL_TRY(Fields fields, parts::mapping(body, fmt::format("environment '{}'", key.scalar),
                                       {"databases", "parity", "flags", "server", "roles"}));
  EnvironmentConfig environment;
  environment.where = key.where;
  PL_TRY(const Node* databases, fields.required("databases"));
  PL_CHECK(check_names(*databases, "databases", "database", kDatabasesMax));
  for (const auto& [name, value] : databases->entries) {
    PL_TRY(environment.databases[name.scalar], database(value, name.scalar));
  }
  PL_CHECK(read_texts(fields, "flags", "./flags", environment.flags));
  PL_CHECK(read_text(fields, "server", environment.server));
  if (const Node* both = fields.optional("server"); both && !environment.flags.empty())
    return fail(both->error("config.flags", "flags and server both say what flags this environment has")
                    .with_hint("keep one of them"));
  if (const Node* roles = fields.optional("roles")) {
    PL_TRY(environment.roles, read_roles(*roles));
  }
  return environment;
}

Error unknown_name(std::string_view what, std::string_view name, const std::vector<std::string>& known) {
  const auto near = nearest(name, known);
  return user_error("config.unknown", fmt::format("there is no {} {}", what, quote_for_message(name)))
      .with_hint(near.empty() ? fmt::format("known: {}", fmt::join(known, ", "))
                              : fmt::format("did you mean '{}'?", near));
}

template <typename Map>
std::vector<std::string> names_of(const Map& map) {
  std::vector<std::string> names;
  for (const auto& entry : map) names.push_back(entry.first);
  return names;
}

Result<std::string> known_environment(const Node& node, std::string_view what, const Config& config) {
  PL_TRY(std::string name, node.as_string(what));
  if (config.environments.contains(name)) return name;
  return fail(unknown_name("environment", name, names_of(config.environments)).at(node.where));
}

Status read_listen(Fields& fields, std::string_view key, std::optional<ListenAddress>& to) {
  const Node* node = fields.optional(key);
  if (!node) return {};
  PL_TRY(const std::string text, node->as_string(key));
  if (text == "off" && key != "listen") return {};
  auto parsed = parse_listen(text, key);
  if (!parsed) return fail(std::move(parsed).error().at(node->where));
  to = std::move(*parsed);
  return {};
}

Result<ServerConfig> read_server(const Node& node) {
  PL_TRY(Fields fields,
         parts::mapping(node, "server",
                        {"listen", "state", "grpc_eval", "grpc_sync", "management", "flags", "override_file",
                         "cors_origins", "hosts", "require_token", "tls_cert", "tls_key"}));
  ServerConfig server;
  std::optional<ListenAddress> listen;
  PL_CHECK(read_listen(fields, "listen", listen));
  if (listen) {
    server.host = std::move(listen->host);
    server.port = listen->port;
  }
  PL_CHECK(read_text(fields, "state", server.state));
  PL_CHECK(read_listen(fields, "grpc_eval", server.grpc_eval));
  PL_CHECK(read_listen(fields, "grpc_sync", server.grpc_sync));
  PL_CHECK(read_listen(fields, "management", server.management));
  PL_CHECK(read_texts(fields, "flags", "./flags", server.flags));
  PL_CHECK(read_text(fields, "override_file", server.override_file));
  PL_CHECK(read_texts(fields, "cors_origins", "https://app.example.com", server.cors_origins));
  PL_CHECK(read_texts(fields, "hosts", "flags.example.com", server.hosts));
  if (const Node* token = fields.optional("require_token")) {
    PL_TRY(server.require_token, token->as_bool("require_token"));
  }
  PL_CHECK(read_text(fields, "tls_cert", server.tls_cert));
  PL_CHECK(read_text(fields, "tls_key", server.tls_key));
  if (server.tls_cert.empty() != server.tls_key.empty())
    return fail(node.error("config.tls", "tls_cert and tls_key belong together"));
  return server;
}

Result<Config> Reader::read(const Node& root) {
  PL_TRY(Fields fields,
         parts::mapping(root, "configuration", {"environments", "default_environment", "server", "lint"}));
  Config config;
  PL_TRY(const Node* environments, fields.required("environments"));
  PL_CHECK(check_names(*environments, "environments", "environment", kEnvironmentsMax));
  for (const auto& [key, value] : environments->entries) {
    PL_TRY(config.environments[key.scalar], environment(key, value));
  }
  for (const auto& [key, value] : environments->entries) {
    const Node* parity = value.find("parity");
    if (!parity) continue;
    if (parity->scalar == "none" && !config.environments.contains("none")) {
      config.environments[key.scalar].no_parity = true;
      continue;
    }
    PL_TRY(std::string name, known_environment(*parity, "parity", config));
    if (name == key.scalar) {
      return fail(parity->error("config.parity", fmt::format("parity: '{}' is compared with itself", name)));
    }
    config.environments[key.scalar].parity = std::move(name);
  }
  if (const Node* node = fields.optional("default_environment")) {
    PL_TRY(config.default_environment, known_environment(*node, "default_environment", config));
  } else if (config.environments.size() == 1) {
    config.default_environment = config.environments.begin()->first;
  }
  if (const Node* node = fields.optional("server")) {
    PL_TRY(config.server, read_server(*node));
  }
  // Of the linter alone, which reads it by itself; here it is only held to be right.
  if (const Node* node = fields.optional("lint")) PL_CHECK(lint::read_settings(*node));
  return config;
}

Status check_variables(const DatabaseConfig& database) {
  std::vector<const Connection*> all{&database.primary};
  for (const Connection& replica : database.replicas) all.push_back(&replica);
  if (database.shadow && database.shadow->given) all.push_back(&*database.shadow->given);
  for (const Connection* one : all) {
    if (one->missing.empty()) continue;
    return fail(
        user_error("config.variable", fmt::format("the environment variable {} is not set", one->missing))
            .at(one->where)
            .with_hint(fmt::format("export {}=..., or use password_file", one->missing)));
  }
  return {};
}

}  // namespace

Result<Config> parse_config(std::string_view text, std::string file, const Lookup& lookup) {
  PL_TRY(const Node root, yaml::parse(text, std::move(file)));
  return Reader(lookup).read(root);
}

Result<const EnvironmentConfig*> find_environment(const Config& config, std::string_view environment) {
  const std::string name(environment.empty() ? std::string_view(config.default_environment) : environment);
  if (name.empty()) {
    return fail(user_error("config.environment", "there are several environments, and none was chosen")
                    .with_hint(fmt::format("name one of {}, or set default_environment",
                                           parts::words(names_of(config.environments)))));
  }
  const auto found = config.environments.find(name);
  if (found != config.environments.end()) return &found->second;
  return fail(unknown_name("environment", name, names_of(config.environments)));
}

Result<const DatabaseConfig*> find_database(const Config& config, std::string_view environment,
                                            std::string_view database) {
  PL_TRY(const EnvironmentConfig* where, find_environment(config, environment));
  const auto& databases = where->databases;
  if (database.empty() && databases.size() != 1) {
    return fail(user_error("config.database", "there are several databases, and none was chosen")
                    .with_hint(fmt::format("write `database:` into the rollout: {}",
                                           parts::words(names_of(databases)))));
  }
  const auto found = database.empty() ? databases.begin() : databases.find(std::string(database));
  if (found == databases.end()) return fail(unknown_name("database", database, names_of(databases)));
  PL_CHECK(check_variables(found->second));
  return &found->second;
}

}  // namespace poundlock::rollout
