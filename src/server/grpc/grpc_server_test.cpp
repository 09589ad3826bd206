// flagd's services over real connections.
#include "server/grpc/grpc_server.h"

#include <flagd/evaluation/v1/evaluation.pb.h>
#include <flagd/evaluation/v2/evaluation.pb.h>
#include <flagd/sync/v1/sync.pb.h>
#include <gmock/gmock.h>

#include <fstream>

#include "server/grpc/grpc_test_support.h"
#include "server/grpc/struct_json.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;
namespace v2 = flagd::evaluation::v2;
namespace sync_v1 = flagd::sync::v1;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

const std::string kSync = "/flagd.sync.v1.FlagSyncService/";
const std::string kV1 = "/flagd.evaluation.v1.Service/";
const std::string kV2 = "/flagd.evaluation.v2.Service/";

class GrpcServerTest : public GrpcFixture {
 protected:
  static std::string boolean(const std::string& key, const char* context = "{}") {
    v2::ResolveBooleanRequest out;
    out.set_flag_key(key);
    to_struct(bj::parse(context).as_object(), *out.mutable_context());
    return out.SerializeAsString();
  }
  Answer<v2::ResolveBooleanResponse> resolve(const std::string& key, const CallHeaders& headers = {}) {
    return evaluation_->call<v2::ResolveBooleanResponse>(kV2 + "ResolveBoolean", boolean(key), headers);
  }
  static std::vector<std::string> keys(const std::string& configuration) {
    std::vector<std::string> out;
    const bj::value document = bj::parse(configuration);
    for (const auto& flag : document.at("flags").as_object()) out.emplace_back(flag.key());
    return out;
  }
  std::vector<std::string> fetch(const std::string& field, const CallHeaders& headers = {}) {
    sync_v1::FetchAllFlagsRequest request;
    request.set_selector(field);
    const auto all = sync_->call<sync_v1::FetchAllFlagsResponse>(kSync + "FetchAllFlags",
                                                                 request.SerializeAsString(), headers);
    if (!all.status.ok()) return {std::to_string(all.code())};
    return keys(all.message.flag_configuration());
  }
};

TEST_F(GrpcServerTest, SendsTheWholeStateAtOnceAndAtEachChange) {
  GrpcOptions options;
  options.static_context = bj::parse(R"({"region": "eu", "level": 2})").as_object();
  set_bool("a", "off");
  start(options);
  const auto stream = sync_->stream(kSync + "SyncFlags", "");
  const auto first = stream->next<sync_v1::SyncFlagsResponse>();
  ASSERT_TRUE(first);
  EXPECT_THAT(keys(first->flag_configuration()), ElementsAre("a"));
  EXPECT_EQ(to_json(first->sync_context()), bj::parse(R"({"region": "eu", "level": 2.0})"));
  set_bool("b", "on");
  const auto second = stream->next<sync_v1::SyncFlagsResponse>();
  ASSERT_TRUE(second);
  EXPECT_THAT(keys(second->flag_configuration()), UnorderedElementsAre("a", "b"));
  const auto metadata = sync_->call<sync_v1::GetMetadataResponse>(kSync + "GetMetadata", "");
  EXPECT_EQ(to_json(metadata.message.metadata()).at("region").as_string(), "eu");
}

TEST_F(GrpcServerTest, SelectsByHeaderBeforeField) {
  set_bool("a", "off", R"({"flagSetId":"shop"})");
  set_bool("b", "off", R"({"source":"file.json"})");
  start();
  EXPECT_THAT(fetch(""), UnorderedElementsAre("a", "b"));
  EXPECT_THAT(fetch("flagSetId=shop"), ElementsAre("a"));
  EXPECT_THAT(fetch("flagSetId=shop", {{"flagd-selector", "file.json"}}), ElementsAre("b"));
  EXPECT_THAT(fetch("name=x"), ElementsAre("3"));
  EXPECT_THAT(fetch("", {{"flagd-selector", "flagSetId=shop,source=x"}}), ElementsAre("3"));
  const auto stream = sync_->stream(kSync + "SyncFlags", "", {{"flagd-selector", "flagSetId=shop"}});
  EXPECT_THAT(keys(stream->next<sync_v1::SyncFlagsResponse>()->flag_configuration()), ElementsAre("a"));
  const auto refused = sync_->stream(kSync + "SyncFlags", "", {{"flagd-selector", "a=b"}});
  EXPECT_EQ(refused->end().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  // Evaluations know the selector, too.
  EXPECT_TRUE(resolve("a", {{"flagd-selector", "flagSetId=shop"}}).status.ok());
  EXPECT_EQ(resolve("b", {{"flagd-selector", "flagSetId=shop"}}).code(), 5);
  EXPECT_EQ(resolve("a", {{"flagd-selector", "a=b"}}).code(), 3);
}

TEST_F(GrpcServerTest, EvaluatesInBothVersions) {
  telemetry::EvaluationLog log;
  GrpcOptions options;
  options.evaluations = &log;
  options.header_to_context = {{"x-tenant", "tenant"}};
  set("split", R"({"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"off",
                   "targeting":{"if":[{"==":[{"var":"tenant"},"acme"]},"on",null]}})");
  start(options);
  EXPECT_FALSE(resolve("split").message.value());
  EXPECT_TRUE(resolve("split", {{"x-tenant", "acme"}}).message.value());
  const auto older = evaluation_->call<flagd::evaluation::v1::ResolveBooleanResponse>(
      kV1 + "ResolveBoolean", boolean("split", R"({"tenant": "acme"})"));
  EXPECT_TRUE(older.message.value());
  EXPECT_EQ(resolve("nosuch").code(), 5);
  EXPECT_THAT(resolve("nosuch").status.error_message(), HasSubstr("nosuch"));
  EXPECT_EQ(log.take().size(), 2U);
}

std::string next_event(ClientStream& stream) {
  const auto event = stream.next<v2::EventStreamResponse>();
  if (!event) return "the stream has ended";
  return event->type() + (event->has_data() ? bj::serialize(to_json(event->data())) : "");
}

TEST_F(GrpcServerTest, TellsEventStreamsWhatHappens) {
  std::atomic<std::uint64_t> delivered{0};
  GrpcOptions options;
  options.on_delivered = [&](const StreamInfo&, flag::Revision revision) { delivered = revision.number; };
  set_bool("a", "off");
  set_bool("b", "off");
  start(options);
  for (const std::string& version : {kV1, kV2}) {
    const auto stream = evaluation_->stream(version + "EventStream", "");
    EXPECT_EQ(next_event(*stream), "provider_ready");
    const std::string every = next_event(*stream);  // its reader may have been cut off
    EXPECT_THAT(every, AllOf(HasSubstr(R"("a":{"type":"update"})"), HasSubstr(R"("b":{"type":"update"})")));
    set_bool("a", version == kV1 ? "on" : "off");
    EXPECT_EQ(next_event(*stream), R"(configuration_change{"flags":{"a":{"type":"update"}}})");
    // The server has to know it, too: a jump ahead while it still writes would look like a slow reader.
    ASSERT_TRUE(comes_true([&] { return delivered == flags_->view()->revision.number; }));
    clock_.sleep(Millis{20'000});
    EXPECT_EQ(next_event(*stream), "keep_alive");
  }
  const auto last = evaluation_->stream(kV2 + "EventStream", "");
  EXPECT_EQ(next_event(*last), "provider_ready");
  next_event(*last);
  server_->stop(Millis{5'000});
  EXPECT_EQ(next_event(*last), "provider_shutdown");
  EXPECT_EQ(last->end().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(GrpcServerTest, KnowsWhoReadsWhat) {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> log;
  const auto say = [&](const StreamInfo& info, const std::string& what) {
    std::lock_guard lock(mutex);
    log.push_back(info.protocol + " " + info.service + " " + info.instance + " " + info.build + " " + what);
    changed.notify_all();
  };
  const auto wait_for = [&](std::size_t lines) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kPatience, [&] { return log.size() >= lines; });
  };
  GrpcOptions options;
  options.on_open = [&](const StreamInfo& info) { say(info, "open"); };
  options.on_delivered = [&](const StreamInfo& info, flag::Revision revision) {
    say(info, revision == flags_->view()->revision ? "newest" : "older");
  };
  options.on_close = [&](const StreamInfo& info, StreamEnd why) {
    say(info, why == StreamEnd::kClosed ? "closed" : "other");
  };
  start(options);
  auto stream = sync_->stream(
      kSync + "SyncFlags", "",
      {{"poundlock-service", "orders"}, {"poundlock-instance", "i1"}, {"poundlock-build", "v2"}});
  ASSERT_TRUE(stream->next<sync_v1::SyncFlagsResponse>());
  ASSERT_TRUE(wait_for(2));
  stream.reset();
  ASSERT_TRUE(wait_for(3));
  const std::string who = "flagd.sync.v1 orders i1 v2 ";
  EXPECT_THAT(log, ElementsAre(who + "open", who + "newest", who + "closed"));
  EXPECT_EQ(server_->streams(), 0U);
  sync_v1::SyncFlagsRequest named;
  named.set_provider_id("payments");
  stream = sync_->stream(kSync + "SyncFlags", named.SerializeAsString());
  ASSERT_TRUE(wait_for(4));
  EXPECT_THAT(log[3], HasSubstr("flagd.sync.v1 payments ipv4:127.0.0.1:"));
  server_.reset();  // it calls what stands above
}

TEST_F(GrpcServerTest, AConnectionThatReadsNothingIsDroppedAndNobodyWaits) {
  std::promise<void> dropped;
  std::atomic<std::uint64_t> delivered{0};  // to the quick one: the other takes nothing
  GrpcOptions options;
  options.on_delivered = [&](const StreamInfo&, flag::Revision revision) { delivered = revision.number; };
  options.on_close = [&](const StreamInfo&, StreamEnd why) {
    if (why == StreamEnd::kTooSlow) dropped.set_value();
  };
  grpc::ChannelArguments small;  // HTTP/2 takes 64 KB for a reader, and no more unless asked to
  small.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  set("big",
      R"({"state":"ENABLED","variants":{"x":")" + std::string(900'000, 'x') + R"("},"defaultVariant":"x"})");
  start(options);
  Client unread(server_->sync_port(), grpc::InsecureChannelCredentials(), small);
  const auto stuck = unread.stream(kSync + "SyncFlags", "");
  Client other(server_->sync_port());
  const auto quick = other.stream(kSync + "SyncFlags", "");
  ASSERT_TRUE(quick->next<sync_v1::SyncFlagsResponse>());
  set_bool("a", "on");
  const auto second = quick->next<sync_v1::SyncFlagsResponse>();
  ASSERT_TRUE(second);
  EXPECT_THAT(keys(second->flag_configuration()), UnorderedElementsAre("big", "a"));
  ASSERT_TRUE(comes_true([&] { return delivered == flags_->view()->revision.number; }));
  clock_.sleep(Millis{10'000});
  EXPECT_EQ(dropped.get_future().wait_for(kPatience), std::future_status::ready);
  set_bool("b", "on");
  EXPECT_TRUE(quick->next<sync_v1::SyncFlagsResponse>());
  EXPECT_EQ(server_->streams(), 1U);
  server_.reset();  // it calls what stands above
}

TEST_F(GrpcServerTest, AsksForATokenWhereOneIsConfigured) {
  GrpcOptions options;
  options.accept_token = [](std::string_view token) { return token == "secret"; };
  set_bool("a", "on");
  start(options);
  EXPECT_EQ(resolve("a").code(), 16);
  EXPECT_EQ(resolve("a", {{"authorization", "Bearer wrong"}}).code(), 16);
  EXPECT_EQ(resolve("a", {{"authorization", "secret"}}).code(), 16);
  EXPECT_TRUE(resolve("a", {{"authorization", "Bearer secret"}}).message.value());
  EXPECT_TRUE(resolve("a", {{"x-api-key", "secret"}}).message.value());
  EXPECT_EQ(sync_->stream(kSync + "SyncFlags", "")->end().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(fetch(""), ElementsAre("16"));
  EXPECT_TRUE(sync_->call<v2::EventStreamRequest>("/grpc.health.v1.Health/Check", "").status.ok());
}

TEST_F(GrpcServerTest, ServesEachAddressItsOwn) {
  start();
  EXPECT_EQ(evaluation_->call<v2::EventStreamRequest>(kSync + "FetchAllFlags", "").code(), 12);
  EXPECT_EQ(sync_->call<v2::EventStreamRequest>(kV2 + "ResolveBoolean", "").code(), 12);
  EXPECT_EQ(sync_->call<v2::EventStreamRequest>("/other.Service/Method", "").code(), 12);
  EXPECT_EQ(sync_->call<v2::EventStreamRequest>(kSync + "Nothing", "").code(), 12);
}

TEST_F(GrpcServerTest, RefusesWhatIsTooMuch) {
  GrpcOptions options;
  options.limits.streams_max = 1;
  options.limits.request_bytes_max = 10'000;
  start(options);
  const auto one = sync_->stream(kSync + "SyncFlags", "");
  ASSERT_TRUE(one->next<sync_v1::SyncFlagsResponse>());
  EXPECT_EQ(sync_->stream(kSync + "SyncFlags", "")->end().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(resolve(std::string(20'000, 'k')).code(), 8);
  EXPECT_EQ(evaluation_->call<v2::EventStreamRequest>(kV2 + "ResolveBoolean", "\xff\xff").code(), 3);
  EXPECT_EQ(sync_->call<v2::EventStreamRequest>(kSync + "FetchAllFlags", "\x0a\x02\xc3\x28").code(), 3);
  EXPECT_EQ(resolve("nosuch").code(), 5) << "it goes on";
}

TEST_F(GrpcServerTest, APortThatIsTakenIsAnError) {
  start();
  GrpcOptions options;
  options.sync_address = "127.0.0.1:" + std::to_string(server_->sync_port());
  const auto second = GrpcServer::start(*flags_, clock_, options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "grpc.listen");
}

}  // namespace
}  // namespace poundlock::server
