#include "server/launch.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "base/json.h"

namespace poundlock::server {
namespace {

using rollout::ListenAddress;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LaunchTest : public ::testing::Test {
 protected:
  LaunchTest() {
    std::string name = (std::filesystem::temp_directory_path() / "poundlock-launch-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  ~LaunchTest() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  Result<Launch> launch(const CommandLine& line) {
    return launch_options(line, folder_.string(),
                          [](std::string_view) { return std::optional<std::string>(); });
  }
  ServiceOptions options(const CommandLine& line) {
    auto out = launch(line);
    EXPECT_TRUE(out) << out.error().to_string();
    return out ? std::move(out->options) : ServiceOptions{};
  }
  std::filesystem::path folder_;
};

TEST_F(LaunchTest, WhatNobodyAskedForIsOpenToThisMachineOnly) {
  CommandLine line;
  line.flags = {"flags.json"};
  line.http = "0.0.0.0:0";
  line.grpc_sync = "0.0.0.0:0";
  const auto out = options(line);
  EXPECT_EQ(out.http.host, "0.0.0.0");
  EXPECT_EQ(out.grpc_eval->address, (ListenAddress{"127.0.0.1", 8013}));
  EXPECT_EQ(out.management->address, (ListenAddress{"127.0.0.1", 8014}));
  EXPECT_EQ(out.grpc_sync->address, (ListenAddress{"0.0.0.0", 0})) << "this one was named";
}

TEST_F(LaunchTest, TokensInPlainTextAreWarnedOf) {
  CommandLine line;
  line.flags = {"flags.json"};
  line.grpc_sync = "0.0.0.0:8015";
  const auto warnings = [&] { return launch(line)->warnings; };
  EXPECT_THAT(warnings(), ElementsAre()) << "no token is asked for";
  line.require_token = true;
  EXPECT_THAT(warnings(), ElementsAre(HasSubstr("grpc-sync 0.0.0.0:8015: tokens")));
  line.tls_cert = "c.pem";
  line.tls_key = "k.pem";
  EXPECT_THAT(warnings(), ElementsAre());
  line.tls_cert = line.tls_key = "";
  line.grpc_sync = "127.0.0.1:8015";
  EXPECT_THAT(warnings(), ElementsAre());
}

constexpr char kYaml[] = R"(environments: {dev: {databases: {app: {url: "postgres://app@h/app"}}}}
server:
  listen: "127.0.0.1:9000"
  grpc_sync: "[::1]:9001"
  management: off
  flags: [a.json, more]
  cors_origins: https://shop.example
  require_token: true
)";

TEST_F(LaunchTest, FlagsAloneOpenTheUsualPortsAndInsistOnNoneButHttps) {
  CommandLine line;
  line.flags = {"flags.json"};
  line.http = "[::1]:0";
  line.management = "off";
  line.grpc_sync = "127.0.0.1:0";
  const auto out = options(line);
  EXPECT_EQ(out.http, (ListenAddress{"::1", 0}));
  ASSERT_TRUE(out.grpc_eval);
  EXPECT_EQ(out.grpc_eval->address, (ListenAddress{"::1", 8013}));
  EXPECT_FALSE(out.grpc_eval->required);
  EXPECT_FALSE(out.management);
  ASSERT_TRUE(out.grpc_sync);
  EXPECT_TRUE(out.grpc_sync->required);
  ASSERT_EQ(out.flags.size(), 1U);
  EXPECT_EQ(out.flags[0].path, "flags.json");
  EXPECT_TRUE(out.config.environments.empty());
}

TEST_F(LaunchTest, WithPoundlockYamlOnlyWhatIsConfiguredIsOpened) {
  write("poundlock.yaml", kYaml);
  auto out = options({});
  EXPECT_EQ(out.http.port, 9000);
  EXPECT_FALSE(out.grpc_eval);
  EXPECT_FALSE(out.management);
  ASSERT_TRUE(out.grpc_sync);
  EXPECT_EQ(out.grpc_sync->address, (ListenAddress{"::1", 9001}));
  ASSERT_EQ(out.flags.size(), 2U);
  EXPECT_EQ(out.flags[1].path, (folder_ / "more").string());
  EXPECT_EQ(out.flags[1].uri, "more");
  EXPECT_THAT(out.origins, ElementsAre("https://shop.example"));
  EXPECT_TRUE(out.require_token);
  CommandLine line;
  line.flags = {"other.json"};
  line.http = "127.0.0.1:9100";
  line.grpc_sync = "off";
  out = options(line);
  EXPECT_EQ(out.http.port, 9100);
  EXPECT_FALSE(out.grpc_sync);
  ASSERT_EQ(out.flags.size(), 1U);
  EXPECT_FALSE(out.config.environments.empty()) << "the file beside still counts";
}

TEST_F(LaunchTest, FlagdsConfigurationIsUnderstood) {
  write("flagd.json", R"({"sources": [{"uri": "file:a.json", "provider": "file"},
    {"uri": "b.yaml", "provider": "file", "selector": "x"}],
    "context-value": {"region": "eu", "beta": "true", "tenant": "42", "level": 7, "trial": false},
    "port": 1, "management-port": 2, "sync-port": 3,
    "ofrep-port": 0, "cors-origin": ["*"], "stream-deadline": "1h"})");
  CommandLine line;
  line.config = "flagd.json";
  line.context_values = {"region=us", "shop=9"};
  auto out = launch(line);
  ASSERT_TRUE(out) << out.error().to_string();
  ASSERT_EQ(out->options.flags.size(), 2U);
  EXPECT_EQ(out->options.flags[0].path, "a.json");
  EXPECT_EQ(out->options.flags[0].uri, "file:a.json");
  EXPECT_EQ(out->options.grpc_eval->address.port, 1);
  EXPECT_EQ(out->options.management->address.port, 2);
  EXPECT_EQ(out->options.grpc_sync->address.port, 3);
  EXPECT_EQ(out->options.http.port, 0);
  EXPECT_EQ(
      out->options.context_values,
      json::parse(R"({"region":"us","beta":"true","tenant":"42","level":7,"trial":false,"shop":"9"})", "test")
          ->as_object());
  EXPECT_THAT(out->warnings, ElementsAre(HasSubstr("stream-deadline has no effect")));
}

TEST_F(LaunchTest, MistakesAreNamed) {
  write("other.yaml", "sources: [{uri: 'host:80', provider: grpc}]\n");
  write("none.yaml", "sources: []\n");
  const auto failure = [&](const CommandLine& line) {
    const auto out = launch(line);
    return out ? std::string("none") : out.error().to_string();
  };
  CommandLine line;
  EXPECT_THAT(failure(line), HasSubstr("--flags FILE serves flags without any"));
  line.config = "other.yaml";
  EXPECT_THAT(failure(line), testing::AllOf(HasSubstr(":1:"), HasSubstr("the provider grpc is not there")));
  line.config = "none.yaml";
  EXPECT_THAT(failure(line), HasSubstr("there is none"));
  line = {};
  line.flags = {"f.json"};
  line.http = "::1:80";
  EXPECT_THAT(failure(line), HasSubstr("--http: expected HOST:PORT"));
  line.http = "off";
  EXPECT_THAT(failure(line), HasSubstr("--http"));
  line.http = "";
  line.tls_cert = "c.pem";
  EXPECT_THAT(failure(line), HasSubstr("belong together"));
}

}  // namespace
}  // namespace poundlock::server
