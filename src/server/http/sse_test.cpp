// Event streams over real sockets, and the hub by itself.
#include "server/http/sse.h"

#include <gmock/gmock.h>

#include <set>

#include "server/http/http_test_support.h"

namespace poundlock::server {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(RenderEvent, SplitsLinesAndKeepsFieldsOnOneLine) {
  EXPECT_EQ(render_event("snapshot", "1.7", "a\nb\r\nc"),
            "event: snapshot\nid: 1.7\ndata: a\ndata: b\ndata: c\n\n");
  EXPECT_EQ(render_event("", "", "x"), "data: x\n\n");
  EXPECT_EQ(render_event("e\nid: 9", "1\r2", ""), "event: e\nid: 1\ndata: \n\n");
}

class RecordingSink : public SseSink {
 public:
  bool offer(const Frame& frame) override {
    frames.push_back(*frame);
    return true;
  }
  std::optional<Millis> waiting() const override { return std::nullopt; }
  void close() override { closed = true; }
  std::vector<std::string> frames;
  bool closed = false;
};

// A reader that joins between an event's publication and its delivery has it from its subscription.
TEST(SseHub, AReaderThatJoinsMeanwhileGetsAnEventOnce) {
  EventLoop loop;
  const auto hub = SseHub::create(loop, {});
  const auto sink = std::make_shared<RecordingSink>();
  hub->publish("snapshot", "1.1", "state");  // delivered when the loop runs
  ASSERT_TRUE(hub->subscribe({1, "s", "i", "b", "p", ""}, sink));
  loop.start();
  hub->publish("snapshot", "1.2", "next");
  ASSERT_TRUE(wait_for([&] {
    std::atomic<bool> ran{false};
    loop.post([&] { ran = true; });
    return wait_for([&] { return ran.load(); });
  }));
  loop.stop();
  ASSERT_EQ(sink->frames.size(), 2U);
  EXPECT_THAT(sink->frames[0], HasSubstr("data: state"));
  EXPECT_THAT(sink->frames[1], HasSubstr("data: next"));
  EXPECT_TRUE(hub->subscribers().at(0).newest);
}

class SseTest : public HttpFixture {
 protected:
  SseOptions counted() {
    SseOptions options;
    options.on_connect = [this](const SubscriberInfo& info) {
      last_ = info;
      ++connected_;
    };
    options.on_disconnect = [this](const SubscriberInfo&, Departure why) {
      why_ = why;
      ++disconnected_;
    };
    return options;
  }
  Peer listen(const std::string& query = "", const std::string& headers = "", int receive_buffer = 0) {
    Peer one = peer(receive_buffer);
    one.send("GET /stream" + query + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n");
    return one;
  }

  std::atomic<int> connected_{0};
  std::atomic<int> disconnected_{0};
  std::atomic<Departure> why_{Departure::kClosed};
  SubscriberInfo last_;  // written on the loop's thread before connected_ is seen to grow
};

TEST_F(SseTest, GivesTheNewestEventThenWhatFollows) {
  add_hub({});
  start();
  hub_->publish("snapshot", "1.1", "old");
  hub_->publish("snapshot", "1.2", "{\"flags\":{}}");
  Peer one = listen();
  ASSERT_TRUE(one.read_until("id: 1.2\ndata: {\"flags\":{}}\n\n"));
  EXPECT_THAT(one.text(), HasSubstr("Content-Type: text/event-stream\r\n"));
  EXPECT_THAT(one.text(), Not(HasSubstr("data: old")));
  EXPECT_THAT(one.text(), Not(HasSubstr("Content-Length")));
  hub_->publish("snapshot", "1.3", "next");
  ASSERT_TRUE(one.read_until("event: snapshot\nid: 1.3\ndata: next\n\n"));
}

TEST_F(SseTest, SendsNothingTwiceToAReaderThatComesBack) {
  add_hub({});
  start();
  hub_->publish("snapshot", "1.2", "state");
  Peer same = listen("", "Last-Event-ID: 1.2\r\n");
  ASSERT_TRUE(same.read_until("event: heartbeat\ndata: {\"id\":\"1.2\"}\n\n"));
  EXPECT_THAT(same.text(), Not(HasSubstr("data: state")));
  Peer behind = listen("?lastEventId=1.1");
  ASSERT_TRUE(behind.read_until("data: state"));
}

TEST_F(SseTest, KnowsWhoListensAndWhoLeft) {
  add_hub(counted());
  start();
  {
    Peer one = listen("?service=orders&instance=host-1&build=42");
    ASSERT_TRUE(wait_for([&] { return connected_ == 1; }));
    EXPECT_EQ(last_.service, "orders");
    EXPECT_EQ(last_.instance, "host-1");
    EXPECT_EQ(last_.build, "42");
    EXPECT_EQ(hub_->count(), 1U);
    hub_->publish("snapshot", "1.1", "x");
    ASSERT_TRUE(one.read_until("data: x"));
    ASSERT_EQ(hub_->subscribers().size(), 1U);
    EXPECT_TRUE(wait_for([&] { return hub_->subscribers()[0].newest; }));
  }
  ASSERT_TRUE(wait_for([&] { return disconnected_ == 1; }));
  EXPECT_EQ(why_, Departure::kClosed);
  EXPECT_EQ(hub_->count(), 0U);
  EXPECT_EQ(listen("?instance=" + std::string(200, 'x')).answer().first, 400);
}

TEST_F(SseTest, BeatsWhileNothingHappens) {
  SseOptions options;
  options.heartbeat = Millis{20};
  add_hub(std::move(options));
  start();
  Peer one = listen();
  ASSERT_TRUE(one.read_until("event: heartbeat\ndata: {\"id\":\"\"}\n\nevent: heartbeat\n"));
}

TEST_F(SseTest, DeliversToTwoHundredReaders) {
  add_hub(counted());
  start();
  std::vector<Peer> peers;
  for (int i = 0; i < 200; ++i) peers.push_back(listen("?instance=" + std::to_string(i)));
  ASSERT_TRUE(wait_for([&] { return hub_->count() == 200; }));
  for (int revision = 1; revision <= 5; ++revision) {
    hub_->publish("snapshot", "1." + std::to_string(revision), "state " + std::to_string(revision));
  }
  for (auto& one : peers) {
    ASSERT_TRUE(one.read_until("data: state 5\n\n"));
    for (int revision = 1; revision < 5; ++revision) {
      EXPECT_LT(one.text().find("state " + std::to_string(revision)),
                one.text().find("state " + std::to_string(revision + 1)));
    }
  }
  std::set<std::string> instances;
  for (const auto& reader : hub_->subscribers()) instances.insert(reader.info.instance);
  EXPECT_EQ(instances.size(), 200U);
  peers.clear();
  EXPECT_TRUE(wait_for([&] { return hub_->count() == 0; }));
  EXPECT_EQ(disconnected_, 200);
}

TEST_F(SseTest, ASlowReaderIsDroppedAndHoldsUpNobody) {
  auto options = counted();
  options.queue_max = 4;
  add_hub(std::move(options));
  start();
  Peer slow = listen("", "", 4'096);
  Peer quick = listen();
  ASSERT_TRUE(wait_for([&] { return hub_->count() == 2; }));
  const std::string state(1 << 20, 'x');
  int published = 0;
  while (disconnected_ == 0 && published < 200) {
    hub_->publish("snapshot", "1." + std::to_string(++published), state);
    ASSERT_TRUE(quick.read_until("id: 1." + std::to_string(published) + "\n"));
  }
  EXPECT_EQ(disconnected_, 1);
  EXPECT_EQ(why_, Departure::kTooSlow);
  EXPECT_EQ(hub_->dropped_slow(), 1U);
  EXPECT_EQ(hub_->count(), 1U);
  Peer back = listen();
  EXPECT_TRUE(back.read_until("id: 1." + std::to_string(published) + "\n"));
}

TEST_F(SseTest, AReaderThatTakesNothingIsDroppedAfterTheStallLimit) {
  auto options = counted();
  options.heartbeat = Millis{20};
  options.stall_max = Millis{100};
  options.queue_bytes_max = 64 << 20;
  add_hub(std::move(options));
  start();
  Peer stuck = listen("", "", 4'096);
  ASSERT_TRUE(wait_for([&] { return hub_->count() == 1; }));
  hub_->publish("snapshot", "1.1", std::string(24 << 20, 'x'));
  EXPECT_TRUE(wait_for([&] { return disconnected_ == 1; }));
  EXPECT_EQ(why_, Departure::kTooSlow);
}

TEST_F(SseTest, ReadersAreCapped) {
  SseOptions options;
  options.subscribers_max = 1;
  add_hub(std::move(options));
  start();
  Peer one = listen();
  ASSERT_TRUE(wait_for([&] { return hub_->count() == 1; }));
  EXPECT_EQ(listen().answer().first, 503);
}

TEST_F(SseTest, AHubThatIsShutDownEndsItsStreamsAndTakesNoMore) {
  add_hub(counted());
  start();
  Peer one = listen();
  ASSERT_TRUE(wait_for([&] { return hub_->count() == 1; }));
  hub_->shutdown();
  one.read_to_end();
  EXPECT_TRUE(one.ended());
  EXPECT_EQ(listen().answer().first, 503);
  EXPECT_EQ(why_, Departure::kShutdown);
}

TEST_F(SseTest, StoppingTheServerEndsStreams) {
  add_hub(counted());
  start();
  Peer one = listen();
  ASSERT_TRUE(wait_for([&] { return hub_->count() == 1; }));
  server_->stop(Millis{1'000});
  one.read_to_end();
  EXPECT_TRUE(one.ended());
  EXPECT_EQ(why_, Departure::kShutdown);
  EXPECT_EQ(disconnected_, 1);
}

}  // namespace
}  // namespace poundlock::server
