// poundlockd's parts put together, without a database that answers: what must work all the same.
#include "server/service.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>

#include "base/json.h"
#include "rollout/decide_test_plan.h"
#include "server/connections.h"
#include "server/http/http_test_support.h"
#include "store/sqlite.h"
#include "store/sqlite_store.h"

namespace poundlock::server {
namespace {

using testing::HasSubstr;

// Port 1 of this machine: nobody listens there.
constexpr char kConfig[] = R"(environments:
  dev:
    databases:
      app: {url: "postgresql://app@127.0.0.1:1/app"}
)";

class NoPublisher final : public ports::FlagPublisher {
 public:
  Result<flag::Revision> publish(std::string_view, std::string_view) override { return flag::Revision{}; }
};

class ServiceTest : public testing::Test {
 protected:
  ServiceTest() {
    std::string name = (std::filesystem::temp_directory_path() / "poundlock-service-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) folder_ = name;
  }
  ~ServiceTest() override {
    service_.reset();
    std::filesystem::remove_all(folder_);
  }

  // The store as a server leaves it, while none runs.
  std::unique_ptr<ports::StateStore> store() {
    std::filesystem::create_directories(folder_ / "state");
    store::SqliteOptions options;
    options.path = (folder_ / "state" / "poundlock.db").string();
    auto opened = store::open_sqlite(options);
    EXPECT_TRUE(opened) << opened.error().to_string();
    return opened ? std::move(*opened) : nullptr;
  }
  void add_rollout(const std::string& name, const std::string& at = "", const std::string& database = "app",
                   const std::function<void(rollout::RolloutState&)>& edit = {}) {
    auto plan = rollout::testing::make_test_plan();
    plan.rollout = name;
    plan.flag->key = name + "_key";
    plan.database = database;
    const auto open = store();
    NoPublisher publisher;
    const auto made = engine::Controller::start(*open, publisher, plan, "", "alice", clock_.now());
    ASSERT_TRUE(made) << made.error().to_string();
    if (at.empty()) return;
    auto state = made->state();
    state.position = *plan.index_of(at);
    for (std::size_t i = 0; i < state.position; ++i)
      if (plan.items[i].step) state.steps[plan.items[i].id].done = true;
    if (plan.items[state.position].flag) state.flag = *plan.items[state.position].flag;
    if (edit) edit(state);
    ASSERT_TRUE(open->commit({{"rollout/" + name + "/state", json::dump(to_json(state)), 1}}, {}));
  }
  void damage(const std::string& name) {
    const auto open = store();
    const std::string key = "rollout/" + name + "/state";
    ASSERT_TRUE(open->commit({{key, "{\"rollout\":", (*open->get(key))->version}}, {}));
  }
  ServiceOptions options(const std::string& config = kConfig) {
    ServiceOptions out;
    auto parsed = rollout::parse_config(config, "poundlock.yaml",
                                        [](std::string_view) { return std::optional<std::string>(); });
    EXPECT_TRUE(parsed) << parsed.error().to_string();
    out.config = std::move(*parsed);
    out.state_dir = (folder_ / "state").string();
    out.http.port = 0;
    return out;
  }
  void start(ServiceOptions options) {
    auto started = Service::start(std::move(options), clock_);
    ASSERT_TRUE(started) << started.error().to_string();
    service_ = std::move(*started);
  }

  RealClock clock_;
  std::filesystem::path folder_;
  std::unique_ptr<Service> service_;
};

TEST_F(ServiceTest, OneRolloutThatCannotBeReadStopsNoOther) {
  add_rollout("good");
  add_rollout("bad");
  damage("bad");
  start(options());
  ASSERT_NE(service_, nullptr);
  EXPECT_TRUE(service_->view("good"));
  const auto bad = service_->view("bad");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, "rollout.not_driven");
  EXPECT_THAT(bad.error().message, HasSubstr("rollout/bad/state"));
  EXPECT_EQ(service_->view("none").error().code, "rollout.unknown");
}

TEST_F(ServiceTest, ApplicationsOnOtherMachinesHaveATokenOfTheirOwn) {
  std::set<std::string> tokens;
  for (int i = 0; i < 2; ++i) {
    start(options());
    ASSERT_NE(service_, nullptr);
    EXPECT_EQ(service_->token_is_new(), i == 0);
    for (const char* name : {"admin-token", "app-token"}) {
      std::string token;
      std::ifstream(folder_ / "state" / name) >> token;
      EXPECT_THAT(token, testing::StartsWith("plk_"));
      tokens.insert(token);
    }
    service_.reset();
  }
  EXPECT_EQ(tokens.size(), 2U) << "they differ, and are kept";
}

std::pair<int, std::string> ask(Service& service, const std::string& line, const std::string& body = "",
                                const std::string& headers = "") {
  const std::string url = service.url();
  Peer peer(static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
  peer.send(line + " HTTP/1.1\r\nHost: localhost\r\n" + headers +
            "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  return peer.answer();
}

TEST_F(ServiceTest, EvaluationsNeedATokenAndHaveTheServersContextWhereThatIsSet) {
  auto settings = options();
  settings.require_token = true;
  settings.context_values = {{"plan", "pro"}};
  start(std::move(settings));
  ASSERT_NE(service_, nullptr);
  const auto definition =
      json::parse(R"({"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off",)"
                  R"("targeting":{"if":[{"==":[{"var":"plan"},"pro"]},"on",null]}})",
                  "test");
  ASSERT_TRUE(service_->flags().set("a", definition->as_object(), "test", ""));
  const std::string line = "POST /ofrep/v1/evaluate/flags/a", body = R"({"context":{"plan":"free"}})";
  EXPECT_EQ(ask(*service_, line, body), std::make_pair(401, std::string()));
  EXPECT_EQ(ask(*service_, "GET /v1/flags/stream").first, 401) << "this machine's peers are asked, too";
  std::string token;
  std::ifstream(folder_ / "state" / "app-token") >> token;
  const auto got = ask(*service_, line, body, "X-API-Key: " + token + "\r\n");
  EXPECT_EQ(got.first, 200);
  EXPECT_THAT(got.second, HasSubstr(R"("value":true)"));
}

// Rules name customers and plans: whoever may not read values may not read definitions either.
TEST_F(ServiceTest, UnderTheTokenSettingOnlyHealthIsOpen) {
  auto settings = options();
  settings.require_token = true;
  start(std::move(settings));
  ASSERT_NE(service_, nullptr);
  for (const char* open : {"/healthz", "/readyz"})
    EXPECT_EQ(ask(*service_, std::string("GET ") + open).first, 200) << open;
  std::string token;
  std::ifstream(folder_ / "state" / "admin-token") >> token;
  for (const char* path : {"/v1/flags", "/v1/flags/none", "/v1/flags/none/status", "/v1/stale-flags",
                           "/v1/audit", "/v1/audit/verify", "/v1/rollouts", "/v1/rollouts/none",
                           "/v1/rollouts/none/plan", "/metrics", "/v1/flags/stream", "/ofrep/v1/sse"}) {
    EXPECT_EQ(ask(*service_, std::string("GET ") + path).first, 401) << path;
  }
  for (const char* path : {"/v1/flags", "/v1/audit", "/v1/rollouts", "/metrics"})
    EXPECT_EQ(ask(*service_, std::string("GET ") + path, "", "Authorization: Bearer " + token + "\r\n").first,
              200)
        << path;
  service_.reset();
  start(options());
  EXPECT_EQ(ask(*service_, "GET /v1/flags").first, 200);
}

TEST_F(ServiceTest, TwoServicesMayHaveAnInstanceOfOneName) {
  start(options());
  ASSERT_NE(service_, nullptr);
  for (const char* name : {"orders", "payments"}) {
    const std::string body = std::string(R"({"instance":"host-1","service":")") + name + "\"}";
    ASSERT_EQ(ask(*service_, "POST /v1/instances", body).first, 201);
  }
  const auto of = [&](const std::string& name) {
    for (const auto& one : service_->metrics().instances())
      if (one.service == name) return one;
    return rollout::InstanceInfo{};
  };
  constexpr char kRevision[] = R"({"epoch":1,"revision":7})";
  EXPECT_EQ(ask(*service_, "POST /v1/instances/host-1/ack?service=payments", kRevision).first, 200);
  EXPECT_EQ(of("payments").applied.number, 7U);
  EXPECT_EQ(of("orders").applied.number, 0U);
  EXPECT_EQ(ask(*service_, "DELETE /v1/instances/host-1?service=payments").first, 200);
  EXPECT_TRUE(of("payments").departed);
  EXPECT_FALSE(of("orders").departed);
  // Whose word it is cannot be known: then it is nobody's.
  EXPECT_EQ(ask(*service_, "POST /v1/instances/host-1/ack", kRevision).first, 200);
  EXPECT_EQ(of("orders").applied.number, 0U);
}

TEST_F(ServiceTest, AFleetThatFillsTheServerLeavesRoomForOrders) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 256;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  start(options());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);  // this process holds both ends
  ASSERT_NE(service_, nullptr);
  const std::string url = service_->url();
  const auto port = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  std::vector<Peer> fleet;
  int streams = 0;
  for (int i = 0; i < 180; ++i) {
    fleet.emplace_back(port);
    fleet.back().send("GET /v1/flags/stream?service=s&instance=" + std::to_string(i) +
                      " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ASSERT_TRUE(fleet.back().read_until("\r\n\r\n"));
    if (fleet.back().text().starts_with("HTTP/1.1 200")) ++streams;
  }
  EXPECT_GE(streams, 100);
  EXPECT_LE(streams, 192) << "of 256 files some are kept";
  EXPECT_EQ(ask(*service_, "POST /v1/rollouts/any/rollback").first, 401)
      << "it is heard, and asked for a token";
}

// The flags file, and an operator who sets flags by hand beside it.
TEST_F(ServiceTest, TakesFiguresByOpenTelemetry) {
  start(options());
  ASSERT_NE(service_, nullptr);
  constexpr char kFlag[] = "v2";
  (void)service_->metrics().window(kFlag, 1, {});
  const std::string body = R"({"resourceMetrics":[{"scopeMetrics":[{"metrics":[{
      "name":"poundlock.attempt.duration","unit":"s","histogram":{"aggregationTemporality":1,"dataPoints":[{
      "attributes":[{"key":"feature_flag.key","value":{"stringValue":"v2"}}],
      "timeUnixNano":"2","count":"6","bucketCounts":["6"],"explicitBounds":[]}]}}]}]}]})";
  const std::string head = "Content-Type: application/json\r\n";
  EXPECT_EQ(ask(*service_, "POST /v1/metrics", body, head).first, 200);
  const auto window = service_->metrics().window(kFlag, 1, {});
  ASSERT_TRUE(window && window->paths.size() == 1);
  EXPECT_EQ(window->paths[0].legacy.counts.attempts, 6U);
  EXPECT_EQ(ask(*service_, "POST /v1/metrics", "{", head).first, 400);
  EXPECT_EQ(ask(*service_, "POST /v1/metrics", "x", "Content-Type: text/plain\r\n").first, 415);
}

class FlagFileTest : public ServiceTest {
 protected:
  std::string token() const {
    std::string out;
    std::ifstream(folder_ / "state" / "admin-token") >> out;
    return out;
  }
  static std::string flag(const std::string& key, const std::string& variant) {
    return "\"" + key + R"(":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":")" +
           variant + "\"}";
  }
  void write(const std::string& flags) {
    std::ofstream(folder_ / "flags.json") << "{\"flags\":{" << flags << "}}";
  }
  void start_with_file() {
    service_.reset();
    ServiceOptions with = options();
    with.flags = {{(folder_ / "flags.json").string(), ""}};
    start(std::move(with));
    ASSERT_NE(service_, nullptr);
  }
  void set(const std::string& key, const std::string& variant) {
    const auto parsed = json::parse("{" + flag(key, variant) + "}", "flag");
    const auto done = service_->flags().set(key, parsed->as_object().at(key).as_object(), "alice", "");
    ASSERT_TRUE(done) << done.error().to_string();
  }
  std::string variant(const std::string& key) {
    for (const auto& one : service_->flags().list())
      if (one.key == key) return std::string(one.definition.at("defaultVariant").as_string());
    return "none";
  }
};

TEST_F(FlagFileTest, AChangeIsReadWhileTheServerRuns) {
  write(flag("a", "on") + "," + flag("b", "on"));
  start_with_file();
  EXPECT_EQ(variant("a"), "on");
  const auto before = service_->flags().view()->revision;
  service_->reload_flags();
  EXPECT_EQ(service_->flags().view()->revision, before) << "nothing has changed";
  write(flag("a", "off") + "," + flag("c", "on"));
  service_->reload_flags();
  EXPECT_EQ(variant("a"), "off");
  EXPECT_EQ(variant("b"), "none");
  EXPECT_EQ(variant("c"), "on");
  EXPECT_GT(service_->flags().view()->revision, before);
}

// Somebody turned it off at three in the morning. Neither a restart nor another flag's change undoes that.
TEST_F(FlagFileTest, WhatWasSetByHandStaysUntilTheFileSaysOtherwise) {
  write(flag("a", "on") + "," + flag("b", "on"));
  start_with_file();
  set("a", "off");
  set("by_hand", "on");
  start_with_file();
  EXPECT_EQ(variant("a"), "off");
  write(flag("a", "on") + "," + flag("b", "off"));
  service_->reload_flags();
  EXPECT_EQ(variant("a"), "off");
  EXPECT_EQ(variant("b"), "off");
  EXPECT_EQ(variant("by_hand"), "on");
  write(flag("b", "off"));
  service_->reload_flags();
  EXPECT_EQ(variant("a"), "off") << "what the file says no more undoes no order";
  write(flag("a", "on") + "," + flag("b", "off"));
  service_->reload_flags();
  EXPECT_EQ(variant("a"), "off") << "and it says again what it said before";
}

TEST_F(FlagFileTest, FlagsOfASourceThatIsNoLongerNamedGo) {
  write(flag("a", "on") + "," + flag("b", "on"));
  start_with_file();
  set("b", "off");
  service_.reset();
  start(options());
  ASSERT_NE(service_, nullptr);
  EXPECT_EQ(variant("a"), "none");
  EXPECT_EQ(variant("b"), "off") << "an order is taken away by another order only";
}

TEST_F(FlagFileTest, WhatWasSetByHandIsDeletedByHand) {
  write(flag("a", "on"));
  start_with_file();
  set("by_hand", "on");
  set("a", "off");
  ASSERT_TRUE(service_->flags().publish("owner", "{" + flag("owned", "on") + "}"));
  const auto erase = [&](const std::string& key) {
    return ask(*service_, "DELETE /v1/flags/" + key, R"({"who":"alice","why":"done"})",
               "Authorization: Bearer " + token() + "\r\n");
  };
  EXPECT_EQ(ask(*service_, "DELETE /v1/flags/by_hand").first, 401);
  EXPECT_EQ(erase("by_hand").first, 200);
  EXPECT_EQ(variant("by_hand"), "none");
  EXPECT_EQ(erase("by_hand").first, 404);
  EXPECT_EQ(erase("a").first, 409);
  EXPECT_THAT(erase("a").second, HasSubstr("flag.in_file"));
  EXPECT_EQ(variant("a"), "off");
  EXPECT_THAT(erase("owned").second, HasSubstr("flag.owned"));
  const auto audit = service_->store().audit("by_hand", 1);
  ASSERT_TRUE(audit && audit->size() == 1);
  EXPECT_EQ((*audit)[0].what, "flag_deleted");
  EXPECT_EQ((*audit)[0].who, "alice");
  EXPECT_EQ((*audit)[0].why, "done");
}

// On the thread of all connections a list of thousands of flags would hold up every evaluation.
TEST_F(FlagFileTest, DefinitionsAreReadOnAWorkersThread) {
  write(flag("a", "on"));
  start_with_file();
  Router router;
  add_flag_routes(router, *service_);
  for (const auto& segments : {std::vector<std::string>{"v1", "flags"}, {"v1", "flags", "a"}}) {
    Request request;
    const auto match = router.match("GET", segments, request);
    ASSERT_NE(match.route, nullptr);
    EXPECT_EQ(match.route->run, Run::kPrompt) << match.route->pattern;
  }
  EXPECT_EQ(ask(*service_, "GET /v1/flags/a").first, 200);
  EXPECT_EQ(ask(*service_, "GET /v1/flags/none").first, 404);
}

// Readers have seen what the server did after the copy was made, and must obey it all the same.
TEST_F(FlagFileTest, ARestoredStoreIsNewerThanWhatReadersHaveSeen) {
  write(flag("a", "on"));
  start_with_file();
  service_.reset();
  std::filesystem::copy(folder_ / "state", folder_ / "copy", std::filesystem::copy_options::recursive);
  start_with_file();
  for (const char* variant : {"off", "on", "off"}) set("a", variant);
  const auto seen = service_->flags().view()->revision;
  service_.reset();
  std::filesystem::remove_all(folder_ / "state");
  std::filesystem::rename(folder_ / "copy", folder_ / "state");
  start_with_file();
  EXPECT_GT(service_->flags().view()->revision, seen);
  EXPECT_EQ(variant("a"), "on") << "the copy's";
}

TEST_F(FlagFileTest, ABadFileChangesNothing) {
  write(flag("a", "on"));
  start_with_file();
  const auto before = service_->flags().view()->revision;
  for (const char* bad :
       {"{", "[]", R"({"flags":{"a":{"state":"ENABLED","variants":{},"defaultVariant":"x"}}})"}) {
    std::ofstream(folder_ / "flags.json") << bad;
    service_->reload_flags();
    EXPECT_EQ(variant("a"), "on") << bad;
  }
  std::filesystem::remove(folder_ / "flags.json");
  service_->reload_flags();
  EXPECT_EQ(variant("a"), "on");
  EXPECT_EQ(service_->flags().view()->revision, before);
  write(flag("a", "off"));
  service_->reload_flags();
  EXPECT_EQ(variant("a"), "off");
}

TEST_F(FlagFileTest, AChangeThatTheStoreCouldNotTakeIsTriedAgain) {
  write(flag("a", "on"));
  start_with_file();
  write(flag("a", "off"));
  {
    auto other = store::Sqlite::open((folder_ / "state" / "poundlock.db").string(), false, Millis{1'000});
    ASSERT_TRUE(other);
    ASSERT_TRUE(other->run("BEGIN IMMEDIATE"));
    service_->reload_flags();
    EXPECT_EQ(variant("a"), "on");
    ASSERT_TRUE(other->run("ROLLBACK"));
  }
  service_->reload_flags();
  EXPECT_EQ(variant("a"), "off");
}

constexpr char kNoPassword[] = R"(environments:
  dev:
    databases:
      app: {url: "postgresql://app:${NOT_SET_HERE}@127.0.0.1:1/app"}
)";

// Users read the new side, and whoever started the server forgot the password.
TEST_F(ServiceTest, AKillNeedsNoPassword) {
  add_rollout("live", "expose.all_25");
  start(options(kNoPassword));
  ASSERT_NE(service_, nullptr);
  const auto stage = [&] { return service_->view("live")->state.flag.stage; };
  EXPECT_EQ(stage(), "live");
  EXPECT_TRUE(wait_for([&] {
    const auto waiting = service_->view("live")->report.waiting;
    return std::any_of(waiting.begin(), waiting.end(), [](const std::string& line) {
      return line.find("NOT_SET_HERE") != std::string::npos;
    });
  }));
  const auto answer = service_->request("live", {rollout::RequestKind::kRollback, "alice", "it hurts", ""});
  EXPECT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(stage(), "dualwrite");
  EXPECT_THAT(service_->flags().view()->document, HasSubstr("\"defaultVariant\":\"dualwrite\""));
}

// Somewhere that a database might be: takes connections and says nothing.
class Listener {
 public:
  Listener() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(fd_, reinterpret_cast<sockaddr*>(&address), size);
    listen(fd_, 16);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~Listener() { ::close(fd_); }
  int port() const { return port_; }
  // Each is closed at once.
  int accepted() {
    for (int one = accept(fd_, nullptr, nullptr); one >= 0; one = accept(fd_, nullptr, nullptr)) {
      ::close(one);
      ++accepted_;
    }
    return accepted_;
  }

 private:
  int fd_;
  int port_ = 0;
  int accepted_ = 0;
};

TEST_F(ServiceTest, ARolloutThatIsOverAsksItsDatabaseNothing) {
  Listener used, unused;
  const auto url = [](const Listener& one) {
    return "{url: \"postgresql://app@127.0.0.1:" + std::to_string(one.port()) + "/app\"}\n";
  };
  add_rollout("live", "expose.all_25", "used");
  add_rollout("over", "contract.vacuum", "unused",
              [](rollout::RolloutState& state) { state.mode = rollout::Mode::kDone; });
  start(options("environments:\n  dev:\n    databases:\n      used: " + url(used) +
                "      unused: " + url(unused)));
  ASSERT_NE(service_, nullptr);
  EXPECT_TRUE(wait_for([&] { return used.accepted() >= 3; })) << "the other one is observed";
  EXPECT_EQ(unused.accepted(), 0);
  EXPECT_EQ(service_->view("over")->state.mode, rollout::Mode::kDone);
  const auto paused = service_->request("over", {rollout::RequestKind::kPause, "alice", "", ""});
  EXPECT_NE(paused ? "" : paused.error().code, "server.slow") << "orders are still answered";
}

// The service of nobody's database: what is known of the rollouts stays as it was written down.
TEST_F(ServiceTest, RolloutsThatStandStillAtNothingOrEverythingAreStale) {
  const TimePoint old{clock_.now().ms - 100LL * 24 * 3'600'000};
  const auto paused = [](TimePoint since) {
    return [since](rollout::RolloutState& state) {
      state.mode = rollout::Mode::kPaused;
      state.paused_since = since;
    };
  };
  add_rollout("zero", "dual_write.window", "app", paused(old));
  add_rollout("new_zero", "dual_write.window", "app", paused(clock_.now()));
  add_rollout("unknown_zero", "dual_write.window", "app", paused({}));
  add_rollout("back", "dual_write.window", "app", [&](rollout::RolloutState& state) {
    state.mode = rollout::Mode::kRolledBack;
    state.flag = {};
    state.rollbacks = {{"operator:a", "", old, old, old, {}}};
  });
  const auto full = [&](TimePoint since, Millis observed) {
    return [=](rollout::RolloutState& state) {
      state.mode = rollout::Mode::kPaused;
      state.flag = {"live", 100, 100, true};
      state.mark_at = since;
      state.windows["observe"] = observed;
    };
  };
  add_rollout("full", "expose.observe", "app", full(old, Millis{30'000}));
  add_rollout("stuck_full", "expose.observe", "app", full(old, Millis{10}));
  add_rollout("new_full", "expose.observe", "app", full(clock_.now(), Millis{0}));
  start(options());
  ASSERT_NE(service_, nullptr);
  const auto [status, text] = ask(*service_, "GET /v1/stale-flags");
  ASSERT_EQ(status, 200);
  std::map<std::string, std::string> told;
  const auto answer = json::parse(text, "answer");
  for (const auto& one : answer->as_object().at("stale").as_array()) {
    const auto reason = one.at("reason").as_string();
    if (reason.find(" 0 %") != std::string::npos || reason.find("100 %") != std::string::npos ||
        reason.find("everybody") == 0)
      told[std::string(one.at("rollout").as_string())] =
          std::string(one.at("kind").as_string()) + ": " + std::string(reason);
  }
  EXPECT_THAT(told["zero"], HasSubstr("at_zero: its rollout is paused at 0 % since 20"));
  EXPECT_THAT(told["back"], HasSubstr("at_zero: its rollout is rolled back at 0 %"));
  EXPECT_THAT(told["unknown_zero"], HasSubstr("unknown: "));
  EXPECT_THAT(told["full"], HasSubstr("at_full: everybody has the new side"));
  EXPECT_THAT(told["stuck_full"], HasSubstr("does not fill"));
  EXPECT_EQ(told.count("new_zero") + told.count("new_full"), 0U);
}

TEST_F(ServiceTest, AnAbortIsFollowedUntilEveryReaderIsBack) {
  add_rollout("gone", "prepare.dry_run", "app", [](rollout::RolloutState& state) {
    state.mode = rollout::Mode::kAborted;
    state.flag_revision = {1, 5};
    state.rollbacks.push_back({"operator:alice", "", {1}, {2}, {}, {1, 5}});
  });
  start(options());
  ASSERT_NE(service_, nullptr);
  ASSERT_TRUE(wait_for([&] { return !service_->view("gone")->report.headline.empty(); }));
  flag::Report hello;
  hello.service = "orders";
  hello.instance = "host-1";
  service_->metrics().ingest(hello);
  service_->metrics().acknowledge("orders", "host-1", {1, 5});
  EXPECT_TRUE(wait_for([&] { return service_->view("gone")->state.rollbacks.at(0).everybody_back.ms != 0; }));
}

TEST(Connections, APasswordFileIsRelativeToTheConfiguration) {
  auto config =
      rollout::parse_config(R"(environments:
  dev:
    databases:
      app: {url: "postgresql://app@h/app", password_file: secrets/app,
            replicas: [{url: "postgresql://app@r/app", password_file: /run/app}]}
)",
                            "poundlock.yaml", [](std::string_view) { return std::optional<std::string>(); });
  ASSERT_TRUE(config) << config.error().to_string();
  resolve_password_files(*config, "/etc/poundlock");
  const auto& database = config->environments.at("dev").databases.at("app");
  EXPECT_EQ(database.primary.password_file, "/etc/poundlock/secrets/app");
  EXPECT_EQ(database.replicas.at(0).password_file, "/run/app");
}

}  // namespace
}  // namespace poundlock::server
