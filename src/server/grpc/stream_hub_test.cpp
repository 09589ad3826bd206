// What a stream is sent, and when, with readers that take as long as the test wants.
#include "server/grpc/stream_hub.h"

#include <flagd/evaluation/v2/evaluation.pb.h>
#include <flagd/sync/v1/sync.pb.h>
#include <gmock/gmock.h>

#include "server/grpc/grpc_test_support.h"
#include "server/grpc/struct_json.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;
using ::testing::ElementsAre;

class RecordingSink final : public StreamSink {
 public:
  void write(const Payload& message) override {
    std::lock_guard lock(mutex_);
    messages_.push_back(message);
    changed_.notify_all();
  }
  void finish(GrpcCode code, const std::string&) override {
    std::lock_guard lock(mutex_);
    ended_ = code;
    changed_.notify_all();
  }
  void cancel() override { finish(GrpcCode::kCancelled, ""); }

  std::string message(std::size_t number) {  // waits for it; from 0
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [&] { return messages_.size() > number; })) return "none came";
    return *messages_[number];
  }
  std::optional<GrpcCode> end() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return ended_.has_value(); });
    return ended_;
  }
  std::size_t count() {
    std::lock_guard lock(mutex_);
    return messages_.size();
  }
  const std::string* place(std::size_t number) {
    std::lock_guard lock(mutex_);
    return messages_.at(number).get();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Payload> messages_;
  std::optional<GrpcCode> ended_;
};

class StreamHubTest : public GrpcFixture {
 protected:
  void SetUp() override {
    GrpcFixture::SetUp();
    options_.limits.tick = Millis{5};
    options_.on_delivered = [this](const StreamInfo& info, flag::Revision revision) {
      std::lock_guard lock(mutex_);
      delivered_[info.id] = revision;
    };
    options_.on_close = [this](const StreamInfo&, StreamEnd why) {
      std::lock_guard lock(mutex_);
      ends_.push_back(why);
    };
    hub_ = std::make_unique<StreamHub>(*flags_, clock_, options_);
  }
  std::pair<std::uint64_t, std::shared_ptr<RecordingSink>> open(StreamKind kind, const char* selector = "") {
    StreamInfo info;
    info.id = hub_->next_id();
    const auto sink = std::make_shared<RecordingSink>();
    const auto opened = hub_->open(kind, *Selector::parse(selector), info, sink);
    EXPECT_EQ(opened.code, GrpcCode::kOk) << opened.text;
    return {info.id, sink};
  }
  flag::Revision delivered(std::uint64_t id) {
    std::lock_guard lock(mutex_);
    return delivered_[id];
  }
  static bj::value flags_in(const std::string& bytes) {
    flagd::sync::v1::SyncFlagsResponse message;
    EXPECT_TRUE(message.ParseFromString(bytes));
    return bj::parse(message.flag_configuration()).at("flags");
  }
  static std::string event_in(const std::string& bytes) {
    flagd::evaluation::v2::EventStreamResponse message;
    EXPECT_TRUE(message.ParseFromString(bytes));
    return message.type() + (message.has_data() ? bj::serialize(to_json(message.data())) : "");
  }
  static bj::value change_in(const std::string& bytes) {
    const std::string event = event_in(bytes), type = "configuration_change";
    EXPECT_EQ(event.substr(0, type.size()), type);
    return bj::parse(event.substr(std::min(type.size(), event.size())));
  }

  GrpcOptions options_;
  std::mutex mutex_;
  std::map<std::uint64_t, flag::Revision> delivered_;
  std::vector<StreamEnd> ends_;
  std::unique_ptr<StreamHub> hub_;
};

TEST_F(StreamHubTest, ASlowReaderGetsTheNewestStateAndNothingInBetween) {
  set_bool("a", "off");
  const auto [id, slow] = open(StreamKind::kSync);
  const auto [other, quick] = open(StreamKind::kSync);
  EXPECT_EQ(flags_in(slow->message(0)).at("a").at("defaultVariant").as_string(), "off");
  hub_->written(other, true);
  for (const char* key : {"b", "c", "d"}) {
    const std::size_t before = quick->count();
    set_bool(key, "on");
    quick->message(before);  // published, and handed to whoever is ready
    hub_->written(other, true);
  }
  EXPECT_EQ(slow->count(), 1U) << "one message at a time";
  EXPECT_EQ(delivered(id), flag::Revision{}) << "nothing of it was taken yet";
  hub_->written(id, true);
  EXPECT_EQ(flags_in(slow->message(1)).as_object().size(), 4U);
  hub_->written(id, true);
  EXPECT_EQ(slow->count(), 2U);
  EXPECT_EQ(delivered(id), flags_->view()->revision);
}

TEST_F(StreamHubTest, ReadersOfOneSelectorShareTheMessage) {
  set_bool("a", "off");
  const auto [id, one] = open(StreamKind::kSync);
  const auto [other, two] = open(StreamKind::kSync);
  EXPECT_EQ(one->place(0), two->place(0));
}

TEST_F(StreamHubTest, AReaderThatTakesNothingIsDropped) {
  const auto [id, stuck] = open(StreamKind::kSync);
  const auto [other, calm] = open(StreamKind::kSync);
  hub_->written(other, true);
  clock_.sleep(options_.limits.stall_max);
  EXPECT_EQ(stuck->end(), GrpcCode::kCancelled);
  hub_->written(id, false);
  EXPECT_TRUE(hub_->gone(id));
  EXPECT_FALSE(hub_->gone(id));
  EXPECT_THAT(ends_, ElementsAre(StreamEnd::kTooSlow));
  EXPECT_EQ(hub_->count(), 1U) << "with nothing to take, silence is calm";
}

TEST_F(StreamHubTest, SaysWhatChangedSinceTheReaderLastHeard) {
  set_bool("a", "off");
  set_bool("b", "off");
  const auto [id, events] = open(StreamKind::kEvents);
  const auto [other, quick] = open(StreamKind::kSync);
  hub_->written(other, true);
  EXPECT_EQ(event_in(events->message(0)), "provider_ready");
  for (const char* key : {"a", "c"}) {
    const std::size_t before = quick->count();
    set_bool(key, "on");
    quick->message(before);  // the hub has looked
    hub_->written(other, true);
  }
  hub_->written(id, true);
  events->message(1);  // what there was when it came
  hub_->written(id, true);
  const std::string both = R"({"flags":{"a":{"type":"update"},"c":{"type":"write"}}})";
  EXPECT_EQ(change_in(events->message(2)), bj::parse(both));
  hub_->written(id, true);
  ASSERT_TRUE(flags_->publish("r", R"({"z":{"state":"DISABLED","variants":{"x":1},"defaultVariant":"x"}})"));
  EXPECT_EQ(event_in(events->message(3)), R"(configuration_change{"flags":{"z":{"type":"write"}}})");
  hub_->written(id, true);
  ASSERT_TRUE(flags_->publish("r", "{}"));
  EXPECT_EQ(event_in(events->message(4)), R"(configuration_change{"flags":{"z":{"type":"delete"}}})");
}

TEST_F(StreamHubTest, NamesEveryFlagToANewReaderWhoMayHaveKeptOldValues) {
  set_bool("a", "off", R"({"flagSetId":"shop"})");
  set_bool("b", "off");
  const auto [id, events] = open(StreamKind::kEvents);
  EXPECT_EQ(event_in(events->message(0)), "provider_ready");
  hub_->written(id, true);
  EXPECT_EQ(delivered(id), flag::Revision{}) << "it may still go by older values";
  EXPECT_EQ(change_in(events->message(1)),
            bj::parse(R"({"flags":{"a":{"type":"update"},"b":{"type":"update"}}})"));
  hub_->written(id, true);
  EXPECT_EQ(delivered(id), flags_->view()->revision);
  EXPECT_EQ(events->count(), 2U);
  const auto [other, second] = open(StreamKind::kEvents);
  hub_->written(other, true);
  EXPECT_EQ(events->place(1), second->place(1)) << "readers share it";
  const auto [third, shop] = open(StreamKind::kEvents, "flagSetId=shop");
  hub_->written(third, true);
  EXPECT_EQ(event_in(shop->message(1)), R"(configuration_change{"flags":{"a":{"type":"update"}}})");
}

TEST_F(StreamHubTest, AChangeThatWasTakenBackIsNoNews) {
  set_bool("a", "off");
  const auto [id, events] = open(StreamKind::kEvents);
  const auto [other, quick] = open(StreamKind::kSync);
  set_bool("a", "on");
  set_bool("a", "off");
  hub_->written(other, true);
  const auto now = flags_->view()->revision;
  hub_->written(id, true);
  // The hub may have looked between the two changes; then it says so, twice.
  for (std::size_t said = 1; delivered(id) != now; ++said) {
    events->message(said);
    hub_->written(id, true);
  }
  EXPECT_EQ(delivered(id), now);
}

TEST_F(StreamHubTest, KeepsAnEventStreamAliveWhileNothingHappens) {
  const auto [id, events] = open(StreamKind::kEvents);
  hub_->written(id, true);
  for (std::size_t beat : {1U, 2U}) {
    clock_.sleep(options_.limits.keep_alive);
    EXPECT_EQ(event_in(events->message(beat)), "keep_alive");
    hub_->written(id, true);
  }
}

TEST_F(StreamHubTest, SaysNothingWhereOnlyOtherFlagsChanged) {
  set_bool("a", "off", R"({"flagSetId":"shop"})");
  const auto [id, shop] = open(StreamKind::kSync, "flagSetId=shop");
  EXPECT_EQ(flags_in(shop->message(0)).as_object().size(), 1U);
  hub_->written(id, true);
  const auto [other, all] = open(StreamKind::kSync);
  hub_->written(other, true);
  set_bool("b", "off");
  all->message(1);
  set_bool("a", "on", R"({"flagSetId":"shop"})");
  EXPECT_EQ(flags_in(shop->message(1)).at("a").at("defaultVariant").as_string(), "on");
  hub_->written(id, true);
  EXPECT_EQ(shop->count(), 2U);
  EXPECT_EQ(delivered(id), flags_->view()->revision) << "it has the newest state for what it asked for";
}

TEST_F(StreamHubTest, SaysGoodbyeWhenItStops) {
  const auto [id, events] = open(StreamKind::kEvents);
  const auto [other, sync] = open(StreamKind::kSync);
  hub_->written(other, true);
  hub_->shutdown();
  EXPECT_EQ(sync->end(), GrpcCode::kUnavailable);
  hub_->written(id, true);  // provider_ready was still under way
  EXPECT_EQ(event_in(events->message(1)), "provider_shutdown");
  hub_->written(id, true);
  EXPECT_EQ(events->end(), GrpcCode::kUnavailable);
  EXPECT_EQ(hub_->count(), 0U);
  EXPECT_THAT(ends_, ElementsAre(StreamEnd::kShutdown, StreamEnd::kShutdown));
  StreamInfo late;
  late.id = hub_->next_id();
  EXPECT_EQ(hub_->open(StreamKind::kSync, {}, late, sync).code, GrpcCode::kUnavailable);
}

TEST_F(StreamHubTest, SelectorsThatChooseNothingTakeNobodysPlace) {
  set_bool("a", "off", R"({"flagSetId":"shop"})");
  const auto [first, nothing] = open(StreamKind::kSync, "flagSetId=s0");
  for (int i = 1; i < 200; ++i) {
    const auto [id, more] = open(StreamKind::kSync, ("flagSetId=s" + std::to_string(i)).c_str());
    ASSERT_EQ(more->place(0), nothing->place(0)) << "they share one message";
    ASSERT_EQ(*hub_->select(*Selector::parse("source=x" + std::to_string(i))),
              *hub_->select(*Selector::parse("flagSetId=s0")))
        << "and one view";
  }
  const auto [id, shop] = open(StreamKind::kSync, "flagSetId=shop");
  EXPECT_EQ(flags_in(shop->message(0)).as_object().size(), 1U);
  hub_->written(first, true);
  set_bool("b", "on", R"({"flagSetId":"s0"})");
  EXPECT_EQ(flags_in(nothing->message(1)).as_object().size(), 1U) << "once there is such a set";
}

TEST_F(StreamHubTest, SelectorsThatChooseSomethingAreCounted) {
  options_.limits.selectors_max = 2;
  for (const char* key : {"s1", "s2", "s3", "s4"})
    set_bool(key, "on", R"({"flagSetId":")" + std::string(key) + R"("})");
  std::vector<std::shared_ptr<RecordingSink>> held;
  for (const char* one : {"", "flagSetId=s1", "flagSetId=s2", "flagSetId=s1", "flagSetId=none"})
    held.push_back(open(StreamKind::kSync, one).second);
  StreamInfo info;
  info.id = hub_->next_id();
  EXPECT_EQ(hub_->open(StreamKind::kSync, *Selector::parse("flagSetId=s3"), info, held[0]).code,
            GrpcCode::kResourceExhausted);
  EXPECT_TRUE(hub_->select(*Selector::parse("flagSetId=s4"))) << "a call that answers once holds none";
}

}  // namespace
}  // namespace poundlock::server
