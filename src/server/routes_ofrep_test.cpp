// OFREP over real sockets, on the published flags.
#include "server/routes_ofrep.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "base/json.h"
#include "server/evaluation_body.h"
#include "server/flag_service.h"
#include "server/http/http_test_support.h"
#include "store/sqlite_fixture.h"

namespace poundlock::server {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr char kOn[] = R"({"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on"})";
constexpr char kByPlan[] =
    R"({"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off","metadata":{"owner":"a"},
        "targeting":{"if":[{"in":[{"var":"plan"},["pro"]]},"on",null]}})";

class OfrepTest : public HttpFixture {
 protected:
  OfrepTest() {
    store_ = std::move(*fixture_.open());
    flags_ = std::move(*FlagService::open(*store_, clock_));
  }
  ~OfrepTest() override {
    server_.reset();
    loop_.stop();
    router_ = Router{};  // what its handlers hold refers to the flags
  }
  void serve() {
    OfrepParts parts{*flags_, log_, clock_, loop_};
    parts.context_values = fixed_;
    add_ofrep_routes(router_, std::move(parts));
    start();
  }
  void set(std::string_view key, std::string_view definition) {
    const auto done = flags_->set(key, boost::json::parse(definition).as_object(), "test", "");
    ASSERT_TRUE(done) << done.error().to_string();
  }
  std::pair<int, std::string> evaluate(const std::string& key, const std::string& body = "",
                                       const std::string& headers = {}) {
    return ask("POST /ofrep/v1/evaluate/flags/" + key, headers, body);
  }
  std::pair<int, std::string> bulk(const std::string& body, const std::string& headers = {}) {
    return ask("POST /ofrep/v1/evaluate/flags", headers, body);
  }
  std::string etag() const {
    const auto at = head_.find("ETag: ") + 6;
    return head_.substr(at, head_.find("\r\n", at) - at);
  }
  static json::Object object(const std::string& body) { return boost::json::parse(body).as_object(); }

  store::SqliteFixture fixture_;
  std::unique_ptr<ports::StateStore> store_;
  std::unique_ptr<FlagService> flags_;
  telemetry::EvaluationLog log_;
  json::Object fixed_;
};

TEST_F(OfrepTest, AnswersOneFlagAsTheProtocolSays) {
  set("plain", kOn);
  set("plan", kByPlan);
  set("text", R"({"state":"ENABLED","variants":{"a":"x\"y","b":"z"},"defaultVariant":"a"})");
  set("none", R"({"state":"ENABLED","variants":{"on":true},"defaultVariant":null})");
  set("shut", R"({"state":"DISABLED","variants":{"on":true},"defaultVariant":"on","metadata":{"team":"t"}})");
  serve();
  using Pair = std::pair<int, std::string>;
  EXPECT_EQ(evaluate("plain"), Pair(200, R"({"key":"plain","reason":"STATIC","value":true,"variant":"on"})"));
  EXPECT_EQ(evaluate("plain/", " {}"), evaluate("plain"));
  EXPECT_EQ(evaluate("plan", R"({"context":{"plan":"pro"}})"),
            Pair(200, R"({"key":"plan","reason":"TARGETING_MATCH","value":true,"variant":"on",)"
                      R"("metadata":{"owner":"a"}})"));
  EXPECT_EQ(object(evaluate("plan", R"({"context":{"plan":"free"}})").second).at("reason"), "DEFAULT");
  EXPECT_EQ(object(evaluate("text").second).at("value"), "x\"y");
  EXPECT_EQ(evaluate("none"), Pair(200, R"({"key":"none","reason":"DEFAULT"})"));
  EXPECT_EQ(evaluate("shut"), Pair(200, R"({"key":"shut","reason":"DISABLED","metadata":{"team":"t"}})"));
}

TEST_F(OfrepTest, NamesWhatIsWrongWithARequest) {
  set("plain", kOn);
  set("odd", R"({"state":"ENABLED","variants":{"on":true},"defaultVariant":"on","targeting":{"var":"v"}})");
  serve();
  const auto code = [&](const std::string& key, const std::string& body, int status) {
    const auto got = evaluate(key, body);
    EXPECT_EQ(got.first, status) << body;
    EXPECT_EQ(std::string(object(got.second).at("key").as_string()), key) << body;
    EXPECT_THAT(std::string(object(got.second).at("errorDetails").as_string()), Not(""));
    return std::string(object(got.second).at("errorCode").as_string());
  };
  EXPECT_EQ(code("missing", "{}", 404), "FLAG_NOT_FOUND");
  EXPECT_EQ(code("odd", R"({"context":{"v":"no variant"}})", 400), "GENERAL");
  for (const char* bad : {"{", "[]", "nonsense", "{\"context\":{}} x", "{\"context\":{\"a\":1e999}}"})
    EXPECT_EQ(code("plain", bad, 400), "PARSE_ERROR") << bad;
  for (const char* bad : {R"({"context":[]})", R"({"context":"x"})", R"({"context":7})"})
    EXPECT_EQ(code("plain", bad, 400), "INVALID_CONTEXT") << bad;
  EXPECT_EQ(evaluate("plain", std::string(EvaluationBody::kBytesMax + 1, ' ')).first, 413);
  EXPECT_EQ(evaluate("plain", "", "flagd-selector: a=b\r\n").first, 400);
  const auto all = bulk("[");
  EXPECT_EQ(all.first, 400);
  EXPECT_THAT(all.second, StartsWith("{\"errorCode\":\"PARSE_ERROR\",\"errorDetails\":"));
}

TEST_F(OfrepTest, BadBodiesGetTheirStatusAndHarmNobodyElse) {
  set("plan", kByPlan);
  serve();
  const std::string deep(200'000, '[');
  const std::pair<std::string, int> cases[] = {
      {deep, 400},
      {"{\"context\":" + deep, 400},
      {"{\"context\":" + std::string(200'000, '{'), 400},
      {"{\"context\":{\"plan\":\"\xff\"}}", 400},
      {"{\"context\":{\"\xff\":1}}", 400},
      {R"({"context":{"plan":{"a":[]},"targetingKey":[1]}})", 200},
      {R"({"context":{"plan":7,"targetingKey":{}}})", 200},
      {std::string(3 << 20, 'x'), 413},
  };
  for (const auto& [body, status] : cases) {
    EXPECT_EQ(evaluate("plan", body).first, status) << body.substr(0, 60);
    EXPECT_EQ(bulk(body).first, status) << body.substr(0, 60);
    EXPECT_EQ(evaluate("plan", R"({"context":{"plan":"pro"}})").first, 200);
  }
  const auto odd = evaluate("%ff%fe");
  EXPECT_EQ(odd.first, 404);
  EXPECT_EQ(std::string(object(odd.second).at("key").as_string()), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST_F(OfrepTest, AnswersAllFlagsAndTheirTag) {
  set("b", kOn);
  set("plan", kByPlan);
  set("odd", R"({"state":"ENABLED","variants":{"on":true},"defaultVariant":"on","targeting":{"var":"v"}})");
  serve();
  const auto got = bulk(R"({"context":{"plan":"pro","v":"none"}})");
  ASSERT_EQ(got.first, 200);
  const auto body = object(got.second);
  ASSERT_EQ(body.at("flags").as_array().size(), 3U);
  for (const auto& flag : body.at("flags").as_array()) {
    const auto& one = flag.as_object();
    const std::string alone =
        evaluate(std::string(one.at("key").as_string()), R"({"context":{"plan":"pro","v":"none"}})").second;
    EXPECT_EQ(one, object(alone));
  }
  EXPECT_EQ(json::dump(body.at("eventStreams")),
            R"([{"type":"sse","endpoint":{"requestUri":"/ofrep/v1/sse"},"inactivityDelaySec":120}])");
  EXPECT_EQ(bulk("").first, 200);
  EXPECT_EQ(ask("POST /ofrep/v1/evaluate/flags/?flagConfigEtag=x&flagConfigLastModified=1").first, 200);
}

TEST_F(OfrepTest, ATagHoldsForItsContextAndItsFlagsOnly) {
  set("plan", kByPlan);
  serve();
  const std::string pro = R"({"context":{"targetingKey":"k","plan":"pro"}})";
  bulk(pro);
  const std::string tag = etag();
  EXPECT_THAT(tag, testing::MatchesRegex("\"[0-9a-f]{32}\""));
  for (const std::string& given :
       {tag, "W/" + tag, "\"a, b\", W/\"c\" , " + tag, std::string("*"), tag.substr(1, tag.size() - 2)}) {
    EXPECT_EQ(bulk(pro, "If-None-Match: " + given + "\r\n"), std::make_pair(304, std::string())) << given;
    EXPECT_EQ(etag(), tag);
    EXPECT_THAT(head_, Not(HasSubstr("Content-Length")));
  }
  for (const std::string& given : {std::string("\"x\""), "\"y," + tag.substr(1), std::string("\"*\"")})
    EXPECT_EQ(bulk(pro, "If-None-Match: " + given + "\r\n").first, 200) << given;
  const auto other =
      bulk(R"({"context":{"targetingKey":"k","plan":"free"}})", "If-None-Match: " + tag + "\r\n");
  EXPECT_EQ(other.first, 200);
  EXPECT_EQ(ask("POST /ofrep/v1/evaluate/flags?flagConfigEtag=" + tag.substr(1, 32), {}, pro).first, 200);
  set("plain", kOn);
  EXPECT_EQ(bulk(pro, "If-None-Match: " + tag + "\r\n").first, 200);
}

TEST_F(OfrepTest, TheSelectorChoosesTheFlags) {
  set("mine",
      R"({"state":"ENABLED","variants":{"on":true},"defaultVariant":"on","metadata":{"flagSetId":"s"}})");
  set("other", kOn);
  serve();
  const auto got = bulk("", "flagd-selector: flagSetId=s\r\n");
  ASSERT_EQ(object(got.second).at("flags").as_array().size(), 1U);
  EXPECT_EQ(evaluate("mine", "", "flagd-selector: flagSetId=s\r\n").first, 200);
  EXPECT_EQ(evaluate("other", "", "flagd-selector: flagSetId=s\r\n").first, 404);
  EXPECT_EQ(evaluate("other").first, 200);
}

TEST_F(OfrepTest, TheServersOwnAttributesOutrankTheRequests) {
  fixed_ = object(R"({"plan":"pro"})");
  set("plan", kByPlan);
  serve();
  EXPECT_EQ(object(evaluate("plan", R"({"context":{"plan":"free"}})").second).at("value"), true);
}

TEST_F(OfrepTest, CountsWhatWasEvaluated) {
  set("plain", kOn);
  serve();
  evaluate("plain", R"({"context":{"context":"internal"}})");
  evaluate("plain", R"({"context":{"context":"internal"}})");
  evaluate("missing");
  bulk("");
  evaluate("plain", R"({"context":{"context":")" + std::string(100'000, 'z') + "\"}}");
  const auto rows = log_.take();
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[2].context.size(), telemetry::EvaluationLog::kContextMax);
  EXPECT_EQ(rows[0].context, "");
  EXPECT_EQ(rows[0].count, 1U);
  EXPECT_EQ(rows[1].context, "internal");
  EXPECT_EQ(rows[1].count, 2U);
  EXPECT_EQ(rows[1].variant, "on");
}

TEST_F(OfrepTest, AChangeTellsReadersToAskAgain) {
  set("plain", kOn);
  serve();
  const std::string open = "GET /ofrep/v1/sse HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n";
  Peer reader = peer();
  reader.send(open + "\r\n");
  ASSERT_TRUE(reader.read_until("\n\n")) << reader.text();
  const auto revision = flags_->view()->revision;
  const std::string id = std::to_string(revision.epoch) + "." + std::to_string(revision.number);
  EXPECT_THAT(reader.text(),
              HasSubstr("event: message\nid: " + id + "\ndata: {\"type\":\"refetchEvaluation\","));
  EXPECT_THAT(reader.text(), HasSubstr("\"etag\":\"\\\"" + id + "\\\"\",\"lastModified\":1"));

  // One that has the newest gets nothing but comments until the next change; then it gets that.
  Peer current = peer();
  current.send(open + "Last-Event-ID: " + id + "\r\n\r\n");
  ASSERT_TRUE(current.read_until(":\n\n"));
  Peer behind = peer();
  behind.send(open + "Last-Event-ID: 1.1\r\n\r\n");
  ASSERT_TRUE(behind.read_until("refetchEvaluation"));
  EXPECT_THAT(current.text(), Not(HasSubstr("event: ")));
  set("other", kOn);
  for (Peer* one : {&reader, &current, &behind})
    EXPECT_TRUE(one->read_until("\nid: " + std::to_string(revision.epoch) + "." +
                                std::to_string(revision.number + 1)));
  EXPECT_THAT(current.text(), Not(HasSubstr("heartbeat")));
}

TEST_F(OfrepTest, ABrowsersPageOfAListedSiteMayUseIt) {
  set("plain", kOn);
  options_.origins = {"https://app.example"};
  serve();
  const std::string origin = "Origin: https://app.example\r\n";
  ask("OPTIONS /ofrep/v1/evaluate/flags",
      origin + "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n");
  EXPECT_THAT(head_, StartsWith("HTTP/1.1 204 "));
  EXPECT_THAT(head_, HasSubstr("Access-Control-Allow-Origin: https://app.example\r\n"));
  for (const char* name : {"content-type", "authorization", "x-api-key", "if-none-match", "flagd-selector"})
    EXPECT_THAT(head_, testing::ContainsRegex(std::string("Allow-Headers: [a-z, -]*") + name));
  EXPECT_EQ(bulk("", origin).first, 200);
  EXPECT_THAT(head_, HasSubstr("Access-Control-Expose-Headers: ETag, Retry-After\r\n"));
  bulk("", origin + "If-None-Match: " + etag() + "\r\n");
  EXPECT_THAT(head_, HasSubstr("Access-Control-Allow-Origin: https://app.example\r\n"));
  EXPECT_EQ(bulk("", "Origin: https://other.example\r\n").first, 403);
}

TEST_F(OfrepTest, ReadersMayBeAskedForAToken) {
  set("plain", kOn);
  auth_.set_application(hash_token("app"));
  options_.reads_need_token = true;
  serve();
  using Pair = std::pair<int, std::string>;
  EXPECT_EQ(evaluate("plain"), Pair(401, ""));
  EXPECT_EQ(evaluate("plain", "", "X-API-Key: wrong\r\n"), Pair(401, ""));
  EXPECT_EQ(ask("GET /ofrep/v1/sse"), Pair(401, ""));
  for (const std::string& token : {std::string("app"), token_}) {
    EXPECT_EQ(evaluate("plain", "", "X-API-Key: " + token + "\r\n").first, 200);
    EXPECT_EQ(bulk("", "Authorization: Bearer " + token + "\r\n").first, 200);
  }
}

TEST(EvaluationBody, ReadsTextsNumbersAndTheLastOfEqualKeys) {
  EvaluationBody body;
  flag::Scratch scratch;
  const std::string text =
      R"({"context":{"a":"plain","b":"es\"c\u00e9","n":-12.5e-1,"i":100000000000000000000,)"
      R"("l":[1,{"x":true}],"a":"last"},"other":[[]]})";
  ASSERT_TRUE(body.read(text));
  EXPECT_EQ(body.find("a", scratch).as_string(), "last");
  EXPECT_EQ(body.find("b", scratch).as_string(), "es\"c\xC3\xA9");
  EXPECT_EQ(body.find("n", scratch).as_number(), -1.25);
  EXPECT_EQ(body.find("i", scratch).as_number(), 1e20);
  EXPECT_TRUE(body.find("l", scratch).items()[1].member("x").as_bool());
  EXPECT_TRUE(body.find("none", scratch).is_null());
  EXPECT_EQ(body.all(scratch).members().size(), 5U) << "each key once";
  EXPECT_FALSE(body.read("{"));
  EXPECT_TRUE(body.find("a", scratch).is_null()) << "what was read before is gone";
}

TEST(EvaluationBody, FindsEachOfManyMembers) {
  std::string text = "{\"context\":{";
  for (int i = 0; i < 300; ++i) text += fmt::format("\"k{}\":{},", i, i);
  text += "\"k7\":\"last\"}}";
  EvaluationBody body;
  flag::Scratch scratch;
  ASSERT_TRUE(body.read(text));
  for (int i = 0; i < 300; ++i) {
    if (i == 7) continue;
    EXPECT_EQ(body.find(fmt::format("k{}", i), scratch).as_number(), i);
  }
  EXPECT_EQ(body.find("k7", scratch).as_string(), "last");
  EXPECT_TRUE(body.find("k300", scratch).is_null());
  EXPECT_TRUE(body.find("", scratch).is_null());
}

TEST(EvaluationBody, IsBounded) {
  EvaluationBody body;
  std::string many = "{\"context\":{\"l\":[0";
  for (std::size_t i = 0; i < EvaluationBody::kNodesMax; ++i) many += ",0";
  EXPECT_EQ(body.read(many + "]}}").error().code, "body.json");
  EXPECT_EQ(body.read(std::string(200'000, '[')).error().code, "body.json");
  EXPECT_EQ(body.read("{\"context\":" + std::string(200'000, '{')).error().code, "body.json");
  EXPECT_EQ(body.read(std::string(EvaluationBody::kBytesMax + 1, ' ')).error().code, "body.size");
  EXPECT_EQ(body.read("{\"context\":{\"k\":\"\xff\"}}").error().code, "body.json");
  EXPECT_TRUE(body.read("{}"));
}

// All run on the thread that answers everybody.
TEST_F(OfrepTest, ABulkEvaluationHasOneBudgetForAllItsFlags) {
  constexpr char kSlow[] = R"({"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off",
      "targeting":{"if":[{"some":[{"var":"l"},{"==":[{"var":""},"no"]}]},"on","off"]}})";
  for (int i = 0; i < 100; ++i) set("slow" + std::to_string(i), kSlow);
  set("zz_plain", kByPlan);
  serve();
  const auto [status, body] =
      bulk(json::dump(json::Object{{"context", {{"plan", "pro"}, {"l", json::Array(50'000, "x")}}}}));
  ASSERT_EQ(status, 200) << body;
  int answered = 0, failed = 0;
  const auto answers = object(body);
  for (const auto& value : answers.at("flags").as_array()) {
    const auto& one = value.as_object();
    if (one.at("key") == "zz_plain")
      EXPECT_EQ(one.at("variant"), "on") << "plain rules answer as ever";
    else
      ++(one.contains("errorCode") ? failed : answered);
  }
  EXPECT_GT(answered, 5);
  EXPECT_GT(failed, 50);
}

}  // namespace
}  // namespace poundlock::server
