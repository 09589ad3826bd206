// poundlock.yaml: what is read, that secrets stay out of it, and that faults are told with their place.
#include "rollout/config.h"

#include <gmock/gmock.h>

namespace poundlock::rollout {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::optional<std::string> variables(std::string_view name) {
  if (name == "PW") return "p@ss/w:rd%";
  if (name == "HOST") return "db1:5433";
  if (name == "URL") return "postgres://app:secret@db/app";
  if (name == "SPACED") return "two words";
  return std::nullopt;
}

Config parsed(std::string_view text) {
  auto config = parse_config(text, "c.yaml", variables);
  EXPECT_TRUE(config) << config.error().to_string();
  return config ? std::move(*config) : Config{};
}

std::string refused(std::string_view text) {
  const auto config = parse_config(text, "c.yaml", variables);
  EXPECT_FALSE(config) << text;
  if (config) return "";
  EXPECT_EQ(config.error().disposition, Disposition::kUser);
  return config.error().to_string();
}

std::string one(const std::string& database, const std::string& more = "") {
  return "environments:\n  prod:\n    databases:\n      app: " + database + "\n" + more;
}
std::string with_url(const std::string& url) {
  return one("{url: \"" + url + "\"}");
}

std::string url_of(const std::string& url) {
  const Config config = parsed(with_url(url));
  const auto database = find_database(config, "", "");
  EXPECT_TRUE(database) << database.error().to_string();
  return database ? (*database)->primary.url : "";
}

// --- what is read ----------------------------------------------------------------------------------

TEST(Config, TheExampleParsesWithoutAnyVariable) {
  const auto config = parse_config(example_config(), "poundlock.yaml",
                                   [](std::string_view) { return std::optional<std::string>(); });
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->environments.size(), 3U);
  EXPECT_EQ(config->default_environment, "dev");
  EXPECT_EQ(config->environments.at("prod").parity, "staging");
  EXPECT_FALSE(config->environments.at("prod").no_parity);
  EXPECT_EQ(config->environments.at("dev").parity, "");
  EXPECT_TRUE(config->environments.at("dev").no_parity);
  // What lacks its variable is told when it is used, with its place.
  EXPECT_EQ(find_database(*config, "", "app").error().code, "config.variable");
  const Error missing = find_database(*config, "staging", "app").error();
  EXPECT_EQ(missing.code, "config.variable");
  EXPECT_THAT(missing.to_string(),
              HasSubstr("poundlock.yaml:13:14: the environment variable STAGING_DATABASE_URL"));
}

TEST(Config, EverySettingIsRead) {
  const Config config = parsed(R"(
environments:
  prod:
    parity: staging
    databases:
      app:
        url: postgres://app@db/app
        password_file: /run/secrets/app
        replicas: [postgres://app@r1/app, {url: postgres://app@r2/app, password_file: r2}]
        shadow: {create: true, rows: 500}
        ddl_owner: flyway
      other: {url: host=/tmp dbname=other, shadow: {url: postgres://app@db/shadow, password_file: s}}
  staging: {databases: {app: {url: postgres://app@staging/app}}}
default_environment: prod
server: {listen: "[::1]:0", state: /var/lib/poundlock}
)");
  const auto app = find_database(config, "", "app");
  ASSERT_TRUE(app);
  EXPECT_EQ((*app)->primary.url, "postgres://app@db/app");
  EXPECT_EQ((*app)->primary.password_file, "/run/secrets/app");
  EXPECT_EQ((*app)->primary.where, (SourcePosition{"c.yaml", 7, 14}));
  ASSERT_EQ((*app)->replicas.size(), 2U);
  EXPECT_EQ((*app)->replicas[0].url, "postgres://app@r1/app");
  EXPECT_EQ((*app)->replicas[1].password_file, "r2");
  EXPECT_EQ((*app)->ddl_owner, "flyway");
  ASSERT_TRUE((*app)->shadow);
  EXPECT_FALSE((*app)->shadow->given);
  EXPECT_EQ((*app)->shadow->rows, 500U);
  const auto other = find_database(config, "prod", "other");
  ASSERT_TRUE(other);
  EXPECT_EQ((*other)->primary.url, "host=/tmp dbname=other");
  EXPECT_EQ((*other)->shadow->given->url, "postgres://app@db/shadow");
  EXPECT_EQ((*other)->ddl_owner, "poundlock");
  EXPECT_FALSE((*find_database(config, "staging", ""))->shadow);
  const Config commands = parsed(one("{url: postgres://db/a, shadow: {create: ./make it, destroy: ./gone}}"));
  const auto& commanded = (*find_database(commands, "", ""))->shadow;
  EXPECT_EQ(commanded->create, "./make it");
  EXPECT_EQ(commanded->destroy, "./gone");
  EXPECT_EQ(config.server.host, "::1");
  EXPECT_EQ(config.server.port, 0);
  EXPECT_EQ(config.server.state, "/var/lib/poundlock");
}

TEST(Config, WhatParityComparesBesideTheDatabases) {
  const Config config = parsed(R"(
environments:
  staging:
    databases: {app: {url: postgres://db/a}}
    flags: [./flags, more.json]
    roles: {shop_staging: shop, "Odd \"one\"": other}
  prod:
    databases: {app: {url: postgres://db/b}}
    server: https://flags.example.com
)");
  const auto& staging = config.environments.at("staging");
  EXPECT_THAT(staging.flags, ::testing::ElementsAre("./flags", "more.json"));
  EXPECT_EQ(staging.roles.at("shop_staging"), "shop");
  EXPECT_EQ(staging.roles.at("Odd \"one\""), "other");
  EXPECT_EQ(config.environments.at("prod").server, "https://flags.example.com");
}

TEST(Config, WhatIsNotGivenHasItsDefault) {
  const Config config = parsed(one("{url: postgres://db/app, shadow: {create: true}}"));
  EXPECT_EQ(config.default_environment, "prod");
  EXPECT_EQ(config.server.host, "127.0.0.1");
  EXPECT_EQ(config.server.port, 8016);
  EXPECT_EQ(config.server.state, "./state");
  EXPECT_EQ((*find_database(config, "", ""))->shadow->rows, 20'000U);
}

TEST(Config, VariablesStandForPartsOrForAll) {
  EXPECT_EQ(url_of("${URL}"), "postgres://app:secret@db/app");
  EXPECT_EQ(url_of("postgres://app@${HOST}/app"), "postgres://app@db1:5433/app");
  // What would end the password early is encoded.
  EXPECT_EQ(url_of("postgres://app:${PW}@${HOST}/app"), "postgres://app:p%40ss%2Fw%3Ard%25@db1:5433/app");
  EXPECT_EQ(url_of("host=db password=${HOST} dbname=app"), "host=db password=db1:5433 dbname=app");
  EXPECT_EQ(url_of("postgres://app@db/app?application_name=a$b"),
            "postgres://app@db/app?application_name=a$b");
}

TEST(Config, NamesAreFoundOrSuggested) {
  const Config config = parsed(R"(environments:
  prod: {databases: {orders: {url: postgres://db/a}, users: {url: postgres://db/b}}}
  staging: {databases: {orders: {url: postgres://db/a}}}
)");
  EXPECT_EQ(config.default_environment, "");
  EXPECT_THAT(find_database(config, "", "orders").error().hint, HasSubstr("prod and staging"));
  EXPECT_THAT(find_database(config, "stagin", "orders").error().hint, HasSubstr("did you mean 'staging'?"));
  EXPECT_THAT(find_database(config, "prod", "order").error().hint, HasSubstr("did you mean 'orders'?"));
  EXPECT_THAT(find_database(config, "prod", "zzz").error().hint, HasSubstr("known: orders, users"));
  EXPECT_EQ(find_database(config, "prod", "").error().code, "config.database");
  EXPECT_TRUE(find_database(config, "staging", ""));
}

// --- secrets ---------------------------------------------------------------------------------------

TEST(Config, APasswordInTheFileIsRefusedAndNeverRepeated) {
  for (const char* url :
       {"postgres://app:hunter2@db/app", "postgresql://app:hunter2@db", "host=db password=hunter2",
        "postgres://app@db/app?password=hunter2", "host=db password = 'hun ter2'",
        "postgres://app@db/app?sslmode=require&sslpassword=hunter2", "postgres://app:hunter2${PW}@db/app"}) {
    const std::string told = refused(with_url(url));
    EXPECT_THAT(told, HasSubstr("c.yaml:4:19: url: a password stands in the file")) << url;
    EXPECT_THAT(told, HasSubstr("${NAME}")) << url;
    EXPECT_THAT(told, Not(HasSubstr("ter2"))) << url;
  }
  EXPECT_THAT(refused(one("{url: postgres://db/a, replicas: [postgres://app:hunter2@db/app]}")),
              HasSubstr("a password stands in the file"));
  EXPECT_THAT(refused(one("{url: postgres://db/a, shadow: {url: postgres://app:hunter2@db/app}}")),
              HasSubstr("a password stands in the file"));
  EXPECT_THAT(refused(one("{url: \"postgres://app:${PW}@db/app\", password_file: f}")),
              HasSubstr("and so has password_file"));
}

TEST(Config, PasswordsAreHiddenFromPeopleAndLogs) {
  EXPECT_EQ(without_password("postgres://app:se:cret@db/app?x=1&password=more"),
            "postgres://app:***@db/app?x=1&password=***");
  EXPECT_EQ(without_password("host=db password='it\\'s a secret' dbname=app"),
            "host=db password='***' dbname=app");
  EXPECT_EQ(without_password("host=db user=app"), "host=db user=app");
  EXPECT_EQ(without_password("postgres://app@db/app"), "postgres://app@db/app");
}

TEST(Config, AVariableThatIsNotSetIsToldWhenItIsNeeded) {
  const Config config = parsed(one("{url: postgres://db/a, replicas: [\"${NOT_SET}\"]}"));
  const Error error = find_database(config, "", "").error();
  EXPECT_THAT(error.to_string(), HasSubstr("c.yaml:4:47: the environment variable NOT_SET is not set"));
  EXPECT_THAT(error.hint, HasSubstr("export NOT_SET="));
}

// --- what is refused -------------------------------------------------------------------------------

TEST(Config, FaultsAreToldWithTheirPlace) {
  struct Case {
    std::string text;
    const char* place;
    const char* told;
  };
  const std::string good = one("{url: postgres://db/a}");
  const Case cases[] = {
      {"", "1:1", "configuration: expected a mapping"},
      {"server: {}\n", "1:1", "lacks the key 'environments'"},
      {"enviroments: {}\n", "1:1", "did you mean 'environments'?"},
      {"environments: {}\n", "1:15", "at least one environment"},
      {"environments: {Prod: {databases: {}}}\n", "1:16", "write prod"},
      {"environments: {prod: {databases: {}}}\n", "1:34", "at least one database"},
      {"environments: {prod: {}}\n", "1:22", "lacks the key 'databases'"},
      {one("{}"), "4:12", "database 'app' lacks the key 'url'"},
      {one("{urls: x}"), "4:13", "did you mean 'url'?"},
      {one("{url: orders}"), "4:18", "expected a connection string"},
      {one("{url: \"postgres://${HOST/app\"}"), "4:19", "expected ${NAME}"},
      {one("{url: \"host=db password=${SPACED}\"}"), "4:19", "holds a blank"},
      {one("{url: postgres://db/a, shadow: {}}"), "4:43", "either url or create: true"},
      {one("{url: postgres://db/a, shadow: {create: false}}"), "4:43", "either url or create: true"},
      {one("{url: postgres://db/a, shadow: {create: true, url: postgres://db/s}}"), "4:43", "either url"},
      {one("{url: postgres://db/a, shadow: {url: postgres://db/s, rows: 5}}"), "4:72",
       "rows belongs to create"},
      {one("{url: postgres://db/a, shadow: {create: true, rows: 0}}"), "4:64", "found 0"},
      {one("{url: postgres://db/a, shadow: {destroy: ./gone}}"), "4:53", "destroy belongs to create"},
      {one("{url: postgres://db/a, shadow: {create: ./make}}"), "4:52", "create"},
      {one("{url: postgres://db/a, shadow: {create: ./make, destroy: ./gone, url: postgres://db/s}}"), "4:43",
       "either url"},
      {one("{url: postgres://db/a, replicas: postgres://db/r}"), "4:45", "expected a list"},
      {good + "default_environment: prd\n", "5:22", "did you mean 'prod'?"},
      {good + "server: {listen: localhost}\n", "5:18", "expected HOST:PORT"},
      {good + "server: {listen: off}\n", "5:18", "expected HOST:PORT"},
      {good + "server: {grpc_sync: 8015}\n", "5:21", "grpc_sync: expected HOST:PORT"},
      {good + "server: {tls_cert: a.pem}\n", "5:9", "belong together"},
      {good + "server: {listen: \"::1:8016\"}\n", "5:19", "[::1]:8016"},
      {good + "server: {listen: \"127.0.0.1:70000\"}\n", "5:19", "expected HOST:PORT"},
      {good + "server: {port: 80}\n", "5:10", "unknown key 'port' in server"},
      {"environments: {prod: {parity: prod, databases: {a: {url: postgres://db/a}}}}\n", "1:31",
       "compared with itself"},
      {"environments: {prod: {roles: {a: x, b: x}, databases: {a: {url: postgres://db/a}}}}\n", "1:40",
       "'a' and 'b' would both be 'x'"},
      {"environments: {prod: {roles: [a], databases: {a: {url: postgres://db/a}}}}\n", "1:30",
       "expected a mapping"},
      {"environments: {prod: {flags: f, server: \"http://f\", databases: {a: {url: postgres://db/a}}}}\n",
       "1:42", "keep one of them"},
      {"environments: {prod: {parity: stage, databases: {a: {url: postgres://db/a}}}}\n", "1:31",
       "there is no environment 'stage'"},
  };
  for (const Case& bad : cases) {
    const std::string told = refused(bad.text);
    EXPECT_THAT(told, ::testing::StartsWith(std::string("c.yaml:") + bad.place + ": ")) << bad.text;
    EXPECT_THAT(told, HasSubstr(bad.told)) << bad.text;
  }
}

}  // namespace
}  // namespace poundlock::rollout
