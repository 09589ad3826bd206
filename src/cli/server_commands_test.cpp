// Verbs that talk to poundlockd, against a server that answers as the test says.
#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "cli/api.h"
#include "cli/run_for_test.h"
#include "cli/test_server.h"

namespace poundlock::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kView = R"({"name":"r","mode":"MODE","phase":"expose","item":"expose.all_25",
  "headline":"expose: 25 %","next":"in 5m: 50 %","progress":0.5,"pause_reason":"","trouble":"",
  "flag":{"key":"k","stage":"live","percentage":25.0,"internal_percentage":100.0,"exclusions":true,"epoch":1,
  "revision":7},"gates":[{"gate":"lag","verdict":"pass","value":3.5,"limit":50.0,"unit":"ms","reason":"fine",
  "waived":false}],"windows":{"overlap":{"accumulated_ms":60000,"required_ms":120000}},"rollbacks":ROLLBACKS,
  "items":[{"id":"a","phase":"prepare","state":"done"},
    {"id":"expose.all_25","phase":"expose","state":"present"}],
  "instances":[{"service":"s","instance":"i","departed":false,"frozen":false,"epoch":1,"revision":7}],
  "step_progress":{"step":"backfill","done":50.0,"total":200.0,"rate":10.0,"state":""},
  "journal":["it began"]})";

std::string view(const std::string& mode, const std::string& rollbacks = "[]") {
  std::string text = kView;
  text.replace(text.find("MODE"), 4, mode);
  return text.replace(text.find("ROLLBACKS"), 9, rollbacks);
}

class ServerCommandsTest : public CommandLineTest {
 protected:
  void SetUp() override {
    CommandLineTest::SetUp();
    variables_["POUNDLOCK_TOKEN"] = "plk_secret";
    variables_["USER"] = "alice";
  }
  void serve(TestServer::Handler handler) {
    server_ = std::make_unique<TestServer>(std::move(handler));
    variables_["POUNDLOCK_SERVER"] = server_->url();
  }
  std::unique_ptr<TestServer> server_;
};

TEST_F(ServerCommandsTest, NobodyThereIsExitCodeThreeWithWhatToDo) {
  const auto ran = run({"status", "--server", "http://127.0.0.1:1"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_THAT(ran.err,
              AllOf(HasSubstr("no poundlockd answers at http://127.0.0.1:1"), HasSubstr("poundlock serve")));
}

TEST_F(ServerCommandsTest, RefusesToSendTheTokenInTheClearOrElsewhere) {
  for (const char* url : {"http://db.example.com:8016", "ftp://127.0.0.1", "http://127.0.0.1:8016/v1",
                          "http://user@127.0.0.1:8016", "not a url"}) {
    const auto ran = run({"status", "--server", url});
    EXPECT_EQ(ran.code, 2) << url << ran.err;
  }
  serve([](const TestRequest&) {
    return std::string("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
  });
  const auto ran = run({"pause", "r"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_THAT(ran.err, HasSubstr("is no poundlockd (status 302)"));
  EXPECT_EQ(server_->requests().size(), 1u);
}

TEST_F(ServerCommandsTest, ErrorsKeepTheirDispositionAndHint) {
  std::string answer;
  serve([&](const TestRequest&) { return answer; });
  const std::pair<std::string, int> cases[] = {{"user", 2},     {"refused", 1},   {"conflict", 4},
                                               {"retry", 3},    {"reconnect", 3}, {"in_doubt", 3},
                                               {"internal", 70}};
  for (const auto& [disposition, code] : cases) {
    answer = TestServer::error(409, "x.y", disposition, "do that");
    const auto ran = run({"pause", "r"});
    EXPECT_EQ(ran.code, code) << disposition;
    EXPECT_THAT(ran.err, AllOf(HasSubstr("error: said no"), HasSubstr("try: do that")));
  }
  answer = TestServer::error(401, "auth.wrong", "user", "send another header");
  const auto wrong = run({"pause", "r"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, AllOf(HasSubstr("--token-file FILE, or POUNDLOCK_TOKEN (the token itself)"),
                               Not(HasSubstr("header"))));
  answer = TestServer::error(500, "x", "unheard of");
  EXPECT_EQ(run({"pause", "r"}).code, 70);
  answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  EXPECT_EQ(run({"status"}).code, 3);
}

TEST_F(ServerCommandsTest, AnOrderThatWasSentAndNotAnsweredIsInDoubt) {
  serve([](const TestRequest&) { return std::string(); });
  const auto ran = run({"rollback", "r", "--output", "json"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(boost::json::parse(ran.out).at("error").at("disposition").as_string(), "in_doubt");
  EXPECT_EQ(server_->requests().size(), 1u) << "an order is never repeated by itself";
}

TEST_F(ServerCommandsTest, OrdersCarryTokenWhoWhyAndSubject) {
  serve([](const TestRequest&) { return TestServer::json(view("running")); });
  EXPECT_EQ(run({"approve", "my rollout", "drop", "--why", "signed", "--who", "bob"}).code, 0);
  EXPECT_EQ(run({"rollback", "r", "--to", "prepare"}).code, 0);
  EXPECT_EQ(run({"rollback", "r", "--restore"}).code, 0);
  EXPECT_EQ(run({"rollback", "r", "--restore", "--to", "prepare"}).code, 2);
  const auto seen = server_->requests();
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].path, "/v1/rollouts/my%20rollout/approve");
  EXPECT_THAT(seen[0].head, HasSubstr("Authorization: Bearer plk_secret"));
  const auto body = boost::json::parse(seen[0].body);
  EXPECT_EQ(body.at("subject").as_string(), "drop");
  EXPECT_EQ(body.at("why").as_string(), "signed");
  EXPECT_EQ(body.at("who").as_string(), "bob");
  EXPECT_EQ(boost::json::parse(seen[1].body).at("subject").as_string(), "prepare");
  EXPECT_EQ(boost::json::parse(seen[1].body).at("who").as_string(), "alice");
  EXPECT_EQ(boost::json::parse(seen[2].body).at("subject").as_string(), "restore");
}

TEST_F(ServerCommandsTest, ReadingNeedsNoTokenAndSendsNone) {
  serve([](const TestRequest&) { return TestServer::json(R"({"rollouts":[]})"); });
  EXPECT_EQ(run({"status"}).code, 0);
  EXPECT_THAT(server_->requests().front().head, Not(HasSubstr("plk_secret")));
  variables_.erase("POUNDLOCK_TOKEN");
  EXPECT_EQ(run({"status"}).code, 0);
  const auto ran = run({"pause", "r"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("admin token"));
}

TEST_F(ServerCommandsTest, AServerThatAsksReadersForATokenIsGivenIt) {
  serve([](const TestRequest& request) {
    if (request.head.find("Bearer plk_secret") == std::string::npos)
      return TestServer::error(401, "auth.missing", "user");
    return TestServer::json(request.method == "POST" ? R"({"key":"k","value":true,"variant":"on"})"
                                                     : R"({"flags":[]})");
  });
  for (const auto& words : {std::vector<std::string>{"flag", "list"}, {"flag", "eval", "k"}}) {
    const auto ran = run(words);
    EXPECT_EQ(ran.code, 0) << ran.err;
  }
  EXPECT_EQ(server_->requests().size(), 4U);
  variables_.erase("POUNDLOCK_TOKEN");
  const auto ran = run({"flag", "list"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("admin token"));
}

TEST_F(ServerCommandsTest, FindsServerAndTokenInTheStateFolder) {
  serve([](const TestRequest&) { return TestServer::json(view("paused")); });
  write("deep/er/file", "");
  write("poundlock.yaml",
        "environments: {dev: {databases: {app: {url: postgres://localhost/x}}}}\nserver: {state: ./s}\n");
  write("s/server.json", R"({"url":")" + server_->url() + R"(","pid":1})");
  write("s/admin-token", "plk_file\n");
  variables_.clear();
  EXPECT_EQ(run({"pause", "r"}).code, 0);
  EXPECT_THAT(server_->requests().back().head, HasSubstr("Bearer plk_file\r\n"));
  folder_ /= "deep/er";  // looked for upward
  EXPECT_EQ(run({"pause", "r"}).code, 0);
  folder_ = folder_.parent_path().parent_path();
}

TEST_F(ServerCommandsTest, StatusShowsTheRolloutAndStripsWhatSteersTheTerminal) {
  serve([](const TestRequest&) {
    auto value = boost::json::parse(view("running"));
    value.as_object()["headline"] = "evil \x1b[2J headline";
    return TestServer::json(boost::json::serialize(value));
  });
  const auto ran = run({"status", "r"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("evil  headline"), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(ran.out, AllOf(HasSubstr("25 % everybody, 100 % internal"), HasSubstr("50 of 200"),
                             HasSubstr("15s left")));
  EXPECT_THAT(ran.out, AllOf(HasSubstr("lag   pass       3.5     50  ms    fine"), HasSubstr("1m00s left")));
  EXPECT_THAT(ran.out, HasSubstr("1 of 1 have applied the flag"));
  const auto json = run({"status", "r", "--output", "json"});
  EXPECT_EQ(boost::json::parse(json.out).at("mode").as_string(), "running");
}

TEST_F(ServerCommandsTest, StartWaitGivesAPipelineItsVerdict) {
  run({"init"});
  int asked = 0;
  std::string last = "done";
  serve([&](const TestRequest& request) {
    if (request.method == "POST") return TestServer::json(R"({"rollout":"r"})", 201);
    return TestServer::json(view(++asked < 3 ? "running" : last, R"([{"cause":"lag","reason":"slow"}])"));
  });
  const auto done = run({"start", "rollouts/example.yaml", "--wait"});
  EXPECT_EQ(done.code, 0);
  EXPECT_THAT(done.out, HasSubstr("r is done"));
  EXPECT_EQ(asked, 3);
  asked = 0;
  last = "rolled_back";
  const auto back = run({"start", "rollouts/example.yaml", "--wait"});
  EXPECT_EQ(back.code, 1);
  EXPECT_THAT(back.out, HasSubstr("r is rolled back by lag: slow"));
  asked = 0;
  last = "paused";
  EXPECT_EQ(run({"start", "rollouts/example.yaml", "--wait", "--output", "json"}).code, 1);
}

TEST_F(ServerCommandsTest, StartWaitEndsAtItsLimit) {
  run({"init"});
  serve([&](const TestRequest& request) {
    return TestServer::json(request.method == "POST" ? R"({"rollout":"r"})" : view("running"));
  });
  const auto ran = run({"start", "rollouts/example.yaml", "--wait", "--limit", "5s"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("r is not done after 5s"));
  EXPECT_GE(clock_.elapsed(), 5'000);
}

TEST_F(ServerCommandsTest, AWaitOutlivesARestartOfTheServerButNotItsAbsence) {
  run({"init"});
  int asked = 0;
  serve([&](const TestRequest& request) {
    if (request.method == "POST") return TestServer::json(R"({"rollout":"r"})", 201);
    return ++asked < 4 ? std::string() : TestServer::json(view("done"));
  });
  const auto ran = run({"start", "rollouts/example.yaml", "--wait"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.err, HasSubstr("does not answer"));
  asked = -100'000;
  EXPECT_EQ(run({"watch", "r"}).code, 3);
  EXPECT_GT(clock_.elapsed(), 60'000);
}

TEST_F(ServerCommandsTest, RollbackWaitTellsWhenEverybodyWasBack) {
  int asked = 0;
  serve([&](const TestRequest& request) {
    if (request.method == "POST") return TestServer::json(view("rolling_back"));
    const bool back = ++asked > 2;
    return TestServer::json(view("rolled_back", back ? R"([{"flag_off_ms":12,"everybody_back_ms":85}])"
                                                     : R"([{"flag_off_ms":12,"everybody_back_ms":null}])"));
  });
  const auto ran = run({"rollback", "r", "--wait"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, HasSubstr("flag off after 12 ms, applied by every reader after 85 ms"));
  asked = -100'000;
  const auto never = run({"rollback", "r", "--wait", "--limit", "2s"});
  EXPECT_EQ(never.code, 1);
  EXPECT_THAT(never.err, HasSubstr("not everybody is back after 2s"));
}

TEST_F(ServerCommandsTest, RollbackWaitEndsWhereTheFlagWasOffAlready) {
  serve([&](const TestRequest&) {
    return TestServer::json(view("rolled_back", R"([{"flag_off_ms":null,"everybody_back_ms":null}])"));
  });
  const auto ran = run({"rollback", "r", "--wait"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, HasSubstr("the flag was off already"));
}

TEST_F(ServerCommandsTest, WatchWithoutATerminalSaysEachChangeOnce) {
  int asked = 0;
  serve([&](const TestRequest& request) {
    if (request.path == "/v1/rollouts")
      return TestServer::json(R"({"rollouts":[{"name":"r","mode":"running"}]})");
    ++asked;
    auto value = boost::json::parse(view(asked > 6 ? "done" : "running"));
    if (asked > 3) value.at("gates").at(0).at("verdict") = "fail";
    return TestServer::json(boost::json::serialize(value));
  });
  const auto ran = run({"watch"});
  EXPECT_EQ(ran.code, 0);
  const auto count = [&](const std::string& text) {
    int n = 0;
    for (auto at = ran.out.find(text); at != std::string::npos; at = ran.out.find(text, at + 1)) ++n;
    return n;
  };
  EXPECT_EQ(count("gate lag pass"), 1) << ran.out;
  EXPECT_EQ(count("gate lag fail: 3.5 (limit 50 ms): fine"), 1);
  EXPECT_EQ(count("running: expose"), 1);
  EXPECT_EQ(count("done: expose"), 1);
}

TEST_F(ServerCommandsTest, AGateThatPassesOverItsLimitIsToldAsNotProven) {
  serve([](const TestRequest& request) {
    if (request.path == "/v1/rollouts")
      return TestServer::json(R"({"rollouts":[{"name":"r","mode":"running"}]})");
    auto value = boost::json::parse(view("done"));
    value.at("gates").at(0).at("value") = 60.0;
    return TestServer::json(boost::json::serialize(value));
  });
  constexpr const char* kSaid = "over the limit, but not proven worse at this sample size";
  EXPECT_THAT(run({"watch"}).out,
              HasSubstr(std::string("gate lag pass (") + kSaid + "): 60 (limit 50 ms): fine"));
  EXPECT_THAT(run({"status", "r"}).out, HasSubstr(std::string(kSaid) + "; fine"));
}

TEST_F(ServerCommandsTest, FlagsAreListedSetAndEvaluated) {
  serve([](const TestRequest& request) {
    if (request.path == "/v1/flags")
      return TestServer::json(
          R"({"flags":[{"key":"k","rollout":"r","definition":{"state":"ENABLED","defaultVariant":"off"}}]})");
    if (request.path.starts_with("/ofrep/")) {
      if (request.path.ends_with("none"))
        return TestServer::json(
            R"({"key":"none","errorCode":"FLAG_NOT_FOUND","errorDetails":"no such flag"})", 404);
      return TestServer::json(R"({"key":"k","value":true,"variant":"on","reason":"TARGETING_MATCH"})");
    }
    return TestServer::json(R"({"key":"k","epoch":1,"revision":8})");
  });
  EXPECT_THAT(run({"flag", "list"}).out, HasSubstr("k     ENABLED  off"));
  EXPECT_THAT(run({"flag", "set", "k", "--variant", "on"}).out, HasSubstr("revision 8"));
  EXPECT_EQ(run({"flag", "set", "k"}).code, 2);
  EXPECT_EQ(run({"flag", "set", "k", "--definition", "[1]"}).code, 2);
  EXPECT_EQ(run({"flag", "set", "k", "--definition", "{"}).code, 2);
  const auto eval = run(
      {"flag", "eval", "k", "--targeting-key", "u1", "--context", "context=internal", "--context", "n=3"});
  EXPECT_THAT(eval.out, HasSubstr("true  (variant on, TARGETING_MATCH)"));
  EXPECT_EQ(boost::json::parse(server_->requests().back().body),
            boost::json::parse(R"({"context":{"context":"internal","n":3,"targetingKey":"u1"}})"));
  EXPECT_EQ(run({"flag", "eval", "none"}).code, 2);
  EXPECT_EQ(
      run({"flag", "eval", "k", "--output", "json"}).out,
      R"({"key":"k","value":true,"variant":"on","reason":"TARGETING_MATCH","errorCode":null,"metadata":{}})"
      "\n");
  EXPECT_THAT(run({"flag", "list", "--owner", "plain"}).out, HasSubstr("no flag is like that"));
  EXPECT_THAT(run({"flag", "list", "--owner", "r", "--match", "k"}).out, HasSubstr("ENABLED"));
  EXPECT_EQ(run({"flag", "export"}).out,
            "{\"flags\":{\"k\":{\"state\":\"ENABLED\",\"defaultVariant\":\"off\"}}}\n");
  EXPECT_EQ(run({"flag", "export", "out.json"}).code, 0);
  EXPECT_EQ(read("out.json"), run({"flag", "export"}).out);
}

TEST_F(ServerCommandsTest, TheListNamesFilesThatAreRefused) {
  serve([](const TestRequest&) {
    return TestServer::json(R"({"flags":[{"key":"k"}],
        "refused":[{"file":"a.json","since":"2026-01-02T03:04:05Z","why":"a.json:1:2: no JSON"}]})");
  });
  const auto ran = run({"flag", "list"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.err, HasSubstr("a.json is refused since 2026-01-02T03:04:05Z"));
  EXPECT_THAT(ran.err, HasSubstr("a.json:1:2: no JSON"));
}

TEST_F(ServerCommandsTest, OnAndOffSayWhichRuleTheyTookOut) {
  serve([](const TestRequest&) {
    return TestServer::json(R"({"key":"k","epoch":1,"revision":8,"targeting":{"==":[1,1]}})");
  });
  const auto off = run({"flag", "off", "k", "--why", "it hurts"});
  EXPECT_THAT(off.out, AllOf(HasSubstr("k is off for everybody"), HasSubstr(R"(taken out: {"==":[1,1]})")));
  EXPECT_EQ(server_->requests().back().method, "PUT");
  EXPECT_EQ(server_->requests().back().body, R"({"value":false,"who":"alice","why":"it hurts"})");
  EXPECT_THAT(run({"flag", "on", "k"}).out, HasSubstr("k is on for everybody"));
}

TEST_F(ServerCommandsTest, DeleteSaysWhoAndWhy) {
  serve([](const TestRequest&) { return TestServer::json(R"({"key":"k","epoch":1,"revision":9})"); });
  EXPECT_THAT(run({"flag", "delete", "k", "--why", "over"}).out,
              HasSubstr("k is deleted, published as revision 9"));
  const auto asked = server_->requests().back();
  EXPECT_EQ(asked.method + " " + asked.path, "DELETE /v1/flags/k");
  EXPECT_EQ(boost::json::parse(asked.body), boost::json::parse(R"({"who":"alice","why":"over"})"));
}

TEST_F(ServerCommandsTest, ResetSaysWhichFileCountsAgain) {
  serve([](const TestRequest&) {
    return TestServer::json(R"({"key":"k","source":"flags.json","epoch":1,"revision":9})");
  });
  EXPECT_THAT(run({"flag", "reset", "k", "--why", "over"}).out,
              HasSubstr("k is as flags.json says again, published as revision 9"));
  const auto asked = server_->requests().back();
  EXPECT_EQ(asked.method + " " + asked.path, "POST /v1/flags/k/reset");
  EXPECT_EQ(boost::json::parse(asked.body), boost::json::parse(R"({"who":"alice","why":"over"})"));
}

TEST_F(ServerCommandsTest, AMistypedNameIsToldWithTheNearestOne) {
  serve([](const TestRequest& request) {
    if (request.path == "/v1/flags")
      return TestServer::json(R"({"flags":[{"key":"banner"},{"key":"footer"}]})");
    if (request.path == "/v1/rollouts") return TestServer::json(R"({"rollouts":[{"name":"orders_status"}]})");
    if (request.path.starts_with("/ofrep/"))
      return TestServer::json(R"({"key":"baner","errorCode":"FLAG_NOT_FOUND","errorDetails":"none"})", 404);
    if (request.path.starts_with("/v1/rollouts/")) return TestServer::error(404, "rollout.unknown", "user");
    return TestServer::error(404, "flag.unknown", "user");
  });
  const std::vector<std::vector<std::string>> verbs{
      {"flag", "get", "baner"},    {"flag", "eval", "baner"},
      {"flag", "off", "baner"},    {"flag", "status", "baner"},
      {"flag", "delete", "baner"}, {"flag", "reset", "baner"},
      {"kill", "baner"},           {"flag", "set", "baner", "--variant", "on"}};
  for (const auto& words : verbs) {
    const auto ran = run(words);
    EXPECT_EQ(ran.code, 2) << words[1];
    EXPECT_THAT(ran.err, HasSubstr("did you mean banner?")) << words[1];
  }
  const auto killed = run({"kill", "order_status"});
  EXPECT_EQ(killed.code, 2);
  EXPECT_THAT(killed.err, AllOf(HasSubstr("there is no flag and no rollout order_status"),
                                HasSubstr("did you mean orders_status?")));
  EXPECT_THAT(run({"kill", "something else"}).err, Not(HasSubstr("did you mean")));
  for (const auto& request : server_->requests()) EXPECT_THAT(request.path, Not(HasSubstr("rollback")));
}

TEST_F(ServerCommandsTest, FlagStatusCountsReadersAndTellsTheSlowest) {
  serve([](const TestRequest& request) {
    EXPECT_EQ(request.path, "/v1/flags/k/status");
    return TestServer::json(R"({"key":"k","rollout":"r","source":"","state":"ENABLED","epoch":1,"revision":9,
      "readers":{"acknowledged":41,"delivered":3,"departed":2,"unknown":1,"slowest_ms":85,"instances":[
        {"service":"orders","instance":"host-7","build":"12","state":"unknown",
         "last_seen":"2026-01-01T00:00:00Z"}]},
      "last_evaluated":"2026-01-01","evaluations_known_since":"2025-12-01T00:00:00Z",
      "evaluations":[{"variant":"on","reason":"STATIC","count":7}],"warnings":["f.json: does not count"]})");
  });
  const auto ran = run({"flag", "status", "k"});
  EXPECT_THAT(ran.out,
              AllOf(HasSubstr("applied by 41, delivered to 3 without acknowledgement, departed 2, unknown 1; "
                              "slowest 85 ms"),
                    HasSubstr("unknown: orders host-7"), HasSubstr("last evaluated on 2026-01-01"),
                    HasSubstr("warning: f.json")));
}

TEST_F(ServerCommandsTest, StaleFlagsComeWithTheReason) {
  serve([](const TestRequest& request) {
    EXPECT_EQ(request.path, "/v1/stale-flags?days=7");
    return TestServer::json(R"({"days":7,"evaluations_known_since":"2026-01-01T00:00:00Z",
      "readers_without_reports":2,"stale":[
        {"key":"k","rollout":"","kind":"unknown","reason":"no evidence"}]})");
  });
  EXPECT_THAT(run({"flag", "stale", "--days", "7"}).out,
              AllOf(HasSubstr("unknown"), HasSubstr("no evidence"), HasSubstr("do not report theirs: 2")));
  EXPECT_EQ(run({"flag", "stale", "--days", "0"}).code, 2);
}

TEST_F(ServerCommandsTest, KillFindsTheRolloutOfAFlagAndTurnsAPlainOneOff) {
  serve([](const TestRequest& request) {
    if (request.path == "/v1/flags/k/definition") return TestServer::json(R"({"key":"k","rollout":"r"})");
    if (request.path == "/v1/flags/plain/definition")
      return TestServer::json(R"({"key":"plain","rollout":""})");
    if (request.path == "/v1/flags/plain/status")
      return TestServer::json(R"({"readers":{"acknowledged":2,"delivered":0,"departed":0,"unknown":1}})");
    if (request.path.starts_with("/v1/flags/") && request.method == "GET")
      return TestServer::error(404, "flag.unknown", "user");
    if (request.method == "PUT") return TestServer::json(R"({"key":"plain","epoch":1,"revision":8})");
    return TestServer::json(view("running"));
  });
  EXPECT_EQ(run({"kill", "k", "--why", "it hurts"}).code, 0);
  EXPECT_EQ(server_->requests().back().path, "/v1/rollouts/r/rollback");
  EXPECT_THAT(server_->requests().back().body, HasSubstr("it hurts"));
  EXPECT_EQ(run({"kill", "q"}).code, 0);
  EXPECT_EQ(server_->requests().back().path, "/v1/rollouts/q/rollback") << "no flag: then it is a rollout";
  EXPECT_EQ(run({"kill", "--rollout", "plain"}).code, 0);
  EXPECT_EQ(server_->requests().back().path, "/v1/rollouts/plain/rollback");
  EXPECT_THAT(run({"kill", "plain"}).out, HasSubstr("plain is off for everybody"));
  const auto waited = run({"kill", "plain", "--wait", "--limit", "10ms"});
  EXPECT_EQ(waited.code, 1) << "one reader is not known to have it";
  EXPECT_THAT(waited.out, HasSubstr("applied by 2"));
  EXPECT_EQ(run({"kill"}).code, 2);
}

TEST_F(ServerCommandsTest, ImportSetsEachFlagWithItsReason) {
  serve([](const TestRequest&) { return TestServer::json(R"({"key":"k","epoch":1,"revision":8})"); });
  write("f.json", R"({"flags":{"a":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"},
                               "b":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"}}})");
  EXPECT_THAT(run({"flag", "import", "f.json"}).out, HasSubstr("2 flags imported, 0 left out"));
  EXPECT_EQ(server_->requests().back().path, "/v1/flags/b");
  EXPECT_THAT(server_->requests().back().body, HasSubstr("imported from f.json"));
}

TEST_F(ServerCommandsTest, ImportNamesWhatItReplacesAndLeavesRolloutsAlone) {
  const std::string on = R"({"state":"ENABLED","variants":{"on":true},"defaultVariant":"on"})";
  serve([&](const TestRequest& request) {
    if (request.method != "GET") return TestServer::json(R"({"key":"k","epoch":1,"revision":8})");
    return TestServer::json(R"({"flags":[{"key":"same","rollout":"","definition":)" + on +
                            R"(},{"key":"other","rollout":"","source":"f.yaml","definition":{}},)"
                            R"({"key":"steered","rollout":"r","definition":{}}]})");
  });
  write("f.json", R"({"flags":{"same":)" + on + R"(,"other":)" + on + R"(,"fresh":)" + on + R"(,"steered":)" +
                      on + "}}");
  const auto refused = run({"flag", "import", "f.json"});
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("left out: flag steered: rollout r steers it"));
  EXPECT_EQ(server_->requests().back().method, "GET") << "nothing was set";
  const auto dry = run({"flag", "import", "f.json", "--partial", "--dry-run"});
  EXPECT_THAT(dry.err, AllOf(HasSubstr("would replace: other, which was from f.yaml"), Not(HasSubstr("same")),
                             Not(HasSubstr("fresh"))));
  const auto done = run({"flag", "import", "f.json", "--partial", "--output", "json"});
  EXPECT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(boost::json::parse(done.out),
            boost::json::parse(R"({"imported":3,"replaced":["other"],"left_out":1})"));
  for (const auto& request : server_->requests()) EXPECT_THAT(request.path, Not(HasSubstr("steered")));
}

TEST_F(ServerCommandsTest, AuditShowsAndVerifies) {
  bool intact = true;
  serve([&](const TestRequest& request) {
    if (request.path == "/v1/audit/verify")
      return TestServer::json(intact ? R"({"intact":true})" : R"({"intact":false,"first_broken":3})");
    return TestServer::json(
        R"({"audit":[{"sequence":1,"at":"2026-01-01","who":"alice","what":"start","subject":"r"}]})");
  });
  EXPECT_THAT(run({"audit", "--subject", "a&b", "--limit", "5"}).out, HasSubstr("alice"));
  EXPECT_EQ(server_->requests().back().path, "/v1/audit?limit=5&subject=a%26b");
  EXPECT_EQ(run({"audit", "--verify"}).code, 0);
  intact = false;
  const auto ran = run({"audit", "--verify"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("entry 3"));
}

}  // namespace
}  // namespace poundlock::cli
