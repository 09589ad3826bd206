// Who has applied a flag and who still needs it, over HTTP and over restarts.
#include <gmock/gmock.h>

#include <atomic>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "server/http/http_test_support.h"
#include "server/service.h"
#include "telemetry/system_clock.h"

namespace poundlock::server {
namespace {

using testing::HasSubstr;

// Days pass at once; everything else is as fast as it is.
class JumpingClock final : public Clock {
 public:
  TimePoint now() const override { return real_.now() + Millis{days_ * 24 * 3'600'000}; }
  TimePoint steady() const override { return real_.steady() + Millis{passed_ms_}; }
  void sleep(Millis duration) override { real_.sleep(duration); }
  void jump(int days) { days_ += days; }
  void pass(int ms) { passed_ms_ += ms; }

 private:
  telemetry::SystemClock real_;
  std::atomic<std::int64_t> days_ = 0;
  std::atomic<std::int64_t> passed_ms_ = 0;
};

class FlagStatusTest : public testing::Test {
 protected:
  FlagStatusTest() {
    std::string name = (std::filesystem::temp_directory_path() / "poundlock-status-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) folder_ = name;
    std::ofstream(folder_ / "f.json") << R"({"flags":{
      "k":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off",
        "targeting":{"if":[{"==":[{"var":"tier"},"gold"]},"on",{"==":[{"var":"tier"},"none"]},"on","off"]}},
      "text":{"state":"ENABLED","variants":{"a":"A"},"defaultVariant":"a"}}})";
    start();
  }
  ~FlagStatusTest() override {
    service_.reset();
    std::filesystem::remove_all(folder_);
  }
  void start() {
    service_.reset();
    ServiceOptions options;
    options.state_dir = (folder_ / "state").string();
    options.http.port = 0;
    options.flags = {{(folder_ / "f.json").string(), ""}};
    auto started = Service::start(std::move(options), clock_);
    ASSERT_TRUE(started) << started.error().to_string();
    service_ = std::move(*started);
    std::ifstream(folder_ / "state" / "admin-token") >> token_;
  }
  json::Object ask(const std::string& line, const std::string& body = "", int expected = 200) {
    const std::string url = service_->url();
    Peer peer(static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
    peer.send(line + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token_ +
              "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    const auto [status, text] = peer.answer();
    EXPECT_EQ(status, expected) << line << text;
    const auto value = json::parse(text, "answer");
    return value && value->is_object() ? value->as_object() : json::Object{};
  }
  json::Object readers() {
    const auto answer = ask("GET /v1/flags/k/status");
    const auto* found = answer.if_contains("readers");
    EXPECT_TRUE(found) << json::dump(answer);
    return found ? found->as_object() : json::Object{};
  }
  void beat(const std::string& instance, flag::Revision applied) {
    ask("POST /v1/instances/" + instance + "/heartbeat",
        json::dump(json::Object{{"service", "orders"},
                                {"build", "7"},
                                {"interval_ms", 60'000},
                                {"epoch", applied.epoch},
                                {"revision", applied.number}}));
  }
  // Kind and reason of a flag in `flag stale`; "" where it is not named.
  std::string stale(const std::string& key, int days = 30) {
    const auto answer = ask("GET /v1/stale-flags?days=" + std::to_string(days));
    std::string out;
    for (const auto& one : answer.at("stale").as_array())
      if (one.at("key").as_string() == key)
        out +=
            std::string(one.at("kind").as_string()) + ": " + std::string(one.at("reason").as_string()) + ";";
    return out;
  }
  void evaluate(const std::string& context) {
    service_->evaluations().count("k", context == "gold" ? "on" : "off", "TARGETING_MATCH", "",
                                  context == "gold" ? 0 : 2);
  }

  JumpingClock clock_;
  std::filesystem::path folder_;
  std::string token_;
  std::unique_ptr<Service> service_;
};

TEST_F(FlagStatusTest, AcknowledgedDeliveredDepartedAndUnknownAreTold) {
  const auto before = service_->flags().view()->revision;
  for (const char* name : {"fast", "behind", "leaver"}) beat(name, before);
  auto& metrics = service_->metrics();
  metrics.grpc_opened("python", "10.0.0.1:5", "", true, true);
  metrics.grpc_opened("python", "named", "", false, true);
  clock_.pass(5);
  ask("PUT /v1/flags/k", R"({"value":true})");
  clock_.pass(5);
  const auto now = service_->flags().view()->revision;
  ASSERT_GT(now, before);
  beat("fast", now);
  metrics.delivered("python", "10.0.0.1:5", now);
  ask("DELETE /v1/instances/leaver?service=orders");
  const auto told = readers();
  EXPECT_EQ(told.at("acknowledged"), 1);
  EXPECT_EQ(told.at("delivered"), 1);
  EXPECT_EQ(told.at("departed"), 1);
  EXPECT_EQ(told.at("unknown"), 2) << "one has not said so, to one nothing was delivered";
  EXPECT_GE(told.at("slowest_ms").as_int64(), 5);
  EXPECT_LT(told.at("slowest_ms").as_int64(), 10'000);
  // Who came after the publication was not slow to hear of it.
  beat("late", now);
  const auto after = readers();
  for (const auto& one : after.at("instances").as_array())
    EXPECT_EQ(one.as_object().contains("took_ms"), one.at("instance") == "fast") << json::dump(one);
}

TEST_F(FlagStatusTest, AFlagThatDidNotChangeIsNotWaitedFor) {
  const auto before = service_->flags().view()->revision;
  beat("one", before);
  ask("PUT /v1/flags/text", R"({"variant":"a","why":"nothing"})");
  ask("PUT /v1/flags/other", R"({"definition":{"state":"ENABLED","variants":{"x":1},"defaultVariant":"x"}})");
  ASSERT_GT(service_->flags().view()->revision, before);
  EXPECT_EQ(readers().at("acknowledged"), 1);
}

TEST_F(FlagStatusTest, ABeatAnswersWhatIsPublishedAndRefusesNonsense) {
  const auto now = service_->flags().view()->revision;
  const auto answer = ask("POST /v1/instances/i/heartbeat", R"({"service":"s"})");
  EXPECT_EQ(answer.at("revision").to_number<std::uint64_t>(), now.number);
  ask("POST /v1/instances/i/heartbeat", "{}", 400);
  ask("POST /v1/instances/i/heartbeat", R"({"service":"s","start_id":true})", 400);
  ask("POST /v1/instances/i/heartbeat", R"({"service":"s","revision":3})", 400);
  ask("POST /v1/instances/i/heartbeat", R"({"service":"s","epoch":-1,"revision":3})", 400);
}

TEST_F(FlagStatusTest, ANewProcessUnderAnOldNameIsNotTakenForTheOldOne) {
  const auto now = service_->flags().view()->revision;
  const std::string has =
      R"(,"epoch":)" + std::to_string(now.epoch) + R"(,"revision":)" + std::to_string(now.number) + "}";
  const auto beat_as = [&](const std::string& start, const std::string& rest) {
    ask("POST /v1/instances/i/heartbeat", R"({"service":"s","start_id":)" + start + rest);
  };
  beat_as("1795360837842", has);
  beat_as("1795360837842", "}");
  EXPECT_EQ(readers().at("acknowledged"), 1);
  beat_as(R"("host-1:77")", "}");
  EXPECT_EQ(readers().at("acknowledged"), 0);
  EXPECT_EQ(readers().at("unknown"), 1);
}

TEST_F(FlagStatusTest, OnAndOffAreForBooleanFlagsAndTakeTheRuleOut) {
  const auto answer = ask("PUT /v1/flags/k", R"({"value":true,"who":"alice"})");
  EXPECT_TRUE(answer.contains("targeting"));
  EXPECT_FALSE(service_->flags().view()->snapshot->find("k")->has_rule);
  EXPECT_THAT(json::dump(ask("PUT /v1/flags/text", R"({"value":true})", 400)), HasSubstr("no boolean flag"));
  ask("PUT /v1/flags/none", R"({"value":true})", 404);
  ASSERT_TRUE(service_->flags().publish(
      "r", R"({"mine":{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off"}})"));
  EXPECT_THAT(json::dump(ask("PUT /v1/flags/mine", R"({"value":true})", 409)), HasSubstr("rollback r"));
}

TEST_F(FlagStatusTest, StaleFlagsOutliveARestartAndSilenceIsNoEvidence) {
  evaluate("gold");
  EXPECT_THAT(stale("k"), HasSubstr("unknown")) << "records are a moment old";
  start();
  EXPECT_THAT(json::dump(ask("GET /v1/flags/k/status")), testing::Not(HasSubstr(R"("last_evaluated":null)")));
  clock_.jump(40);
  evaluate("silver");
  const std::string told = stale("k");
  EXPECT_THAT(told, HasSubstr("branch 1 of its rule was last taken on"));
  EXPECT_THAT(told, HasSubstr("branch_never_matched: branch 2 of its rule was never taken"));
  EXPECT_THAT(told, testing::Not(HasSubstr("else")));
  EXPECT_THAT(stale("text"), HasSubstr("not_evaluated: never evaluated"));
  EXPECT_EQ(stale("k", 3'000).substr(0, 7), "unknown") << "records do not reach back so far";
  service_->metrics().grpc_opened("python", "10.0.0.1:4", "", true, false);
  EXPECT_THAT(stale("text"), HasSubstr("not_evaluated")) << "what is evaluated for it is known";
  // A reader that evaluates by itself and reports nothing may need any of them.
  service_->metrics().grpc_opened("python", "10.0.0.1:5", "", true, true);
  EXPECT_THAT(stale("text"), HasSubstr("unknown"));
  ask("GET /v1/stale-flags?days=x", "", 400);
}

TEST_F(FlagStatusTest, AFileCountsAgainOnceTheOrderIsTakenBack) {
  const std::string on = R"("state":"ENABLED","variants":{"on":true},"defaultVariant":"on")";
  ask("PUT /v1/flags/by_hand", R"({"definition":{)" + on + "}}");
  ask("PUT /v1/flags/k", R"({"value":false})");
  EXPECT_FALSE(json::find(ask("GET /v1/flags/k").at("definition").as_object(), "targeting"));
  const auto code = [&](const std::string& key, int status) {
    const auto answer = ask("POST /v1/flags/" + key + "/reset", R"({"who":"alice","why":"over"})", status);
    return json::get_string(answer.at("error").as_object(), "code").value_or("");
  };
  const auto done = ask("POST /v1/flags/k/reset", R"({"who":"alice","why":"over"})");
  EXPECT_EQ(done.at("source").as_string(), (folder_ / "f.json").string());
  EXPECT_TRUE(json::find(ask("GET /v1/flags/k").at("definition").as_object(), "targeting"));
  EXPECT_EQ(code("k", 409), "flag.not_by_hand");
  EXPECT_EQ(code("by_hand", 409), "flag.not_in_file");
  EXPECT_EQ(code("none", 404), "flag.unknown");
  ASSERT_TRUE(service_->flags().publish("owner", R"({"owned":{)" + on + "}}"));
  EXPECT_EQ(code("owned", 409), "flag.owned");
  const auto audit = service_->store().audit("k", 1);
  ASSERT_TRUE(audit && audit->size() == 1);
  EXPECT_EQ((*audit)[0].what + " by " + (*audit)[0].who + ": " + (*audit)[0].why,
            "flag_reset by alice: over");
  token_ = "wrong";
  ask("POST /v1/flags/by_hand/reset", "", 401);
}

TEST_F(FlagStatusTest, AFileThatIsRefusedIsToldEverywhere) {
  EXPECT_TRUE(ask("GET /v1/flags").at("refused").as_array().empty());
  std::ofstream(folder_ / "f.json") << "{";
  service_->reload_flags();
  const auto refused = ask("GET /v1/flags").at("refused").as_array();
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].at("file").as_string(), (folder_ / "f.json").string());
  EXPECT_TRUE(refused[0].at("since").as_string().starts_with("20"));
  EXPECT_THAT(json::dump(ask("GET /v1/flags/k/status").at("warnings")), HasSubstr("f.json is refused since"));
  Peer peer(static_cast<std::uint16_t>(std::stoi(service_->url().substr(service_->url().rfind(':') + 1))));
  peer.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const auto page = peer.answer().second;
  EXPECT_THAT(page, HasSubstr("\npoundlock_flag_files_refused 1\n"));
  EXPECT_THAT(page, HasSubstr("poundlock_flag_file_refused_since_seconds{file=\""));
}

}  // namespace
}  // namespace poundlock::server
