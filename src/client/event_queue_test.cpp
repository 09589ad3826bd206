// What handlers are told, in which order, and that neither a slow, a throwing nor a vanishing one hurts.
#include "client/event_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <stdexcept>

#include "client/core.h"
#include "poundlock/client.h"

namespace poundlock::client {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

// Handlers write, tests wait.
class Log {
 public:
  void add(std::string line) {
    std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
    changed_.notify_all();
  }
  // The first `count` lines, once they are there.
  std::vector<std::string> wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, 20s, [&] { return lines_.size() >= count; }));
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

std::string line_of(const Event& event) {
  std::string line = to_string(event.type);
  for (const std::string& key : event.flags_changed) line += ' ' + key;
  return line;
}

std::string document(int revision, const std::string& a, const std::string& more = "") {
  return R"({"metadata": {"epoch": 1, "revision": )" + std::to_string(revision) +
         R"(}, "flags": {"a": {"state": "ENABLED", "variants": {"on": true, "off": false},)" +
         R"("defaultVariant": ")" + a + "\"}" + more + "}}";
}

constexpr const char* kMore = R"(, "b": {"state": "ENABLED", "variants": {"n": 1}, "defaultVariant": "n"})";

class EventsTest : public testing::Test {
 protected:
  Client client_ = Client::create({});
  Core& core_ = *client_.core();
  Log log_;
};

TEST_F(EventsTest, TellReadyAndEveryChangedKey) {
  const auto all = client_.on_event([&](const Event& event) { log_.add(line_of(event)); });
  ASSERT_TRUE(all.active());
  core_.offer(document(1, "on", kMore));
  EXPECT_THAT(log_.wait(2), ElementsAre("PROVIDER_READY", "PROVIDER_CONFIGURATION_CHANGED a b"));
  core_.offer(document(2, "on", kMore));
  core_.offer(document(3, "off", kMore));
  EXPECT_EQ(log_.wait(3).back(), "PROVIDER_CONFIGURATION_CHANGED a") << "a new revision alone is no change";
  core_.offer(document(4, "off"));
  EXPECT_EQ(log_.wait(4).back(), "PROVIDER_CONFIGURATION_CHANGED b");
  core_.set_overrides({{"a", "on"}});
  EXPECT_EQ(log_.wait(5).back(), "PROVIDER_CONFIGURATION_CHANGED a");
  core_.offer("{");
  EXPECT_EQ(log_.wait(6).back(), "PROVIDER_ERROR");
  core_.set_frozen(true);
  core_.set_frozen(true);
  core_.set_frozen(false);
  core_.lost("gone");
  core_.lost("gone");
  core_.set_connected(true);
  core_.lost("gone again");
  const auto lines = log_.wait(10);
  EXPECT_THAT(std::vector(lines.begin() + 6, lines.end()),
              ElementsAre("PROVIDER_STALE", "PROVIDER_READY", "PROVIDER_ERROR", "PROVIDER_ERROR"));
}

TEST_F(EventsTest, AChangeIsToldAfterItIsInUse) {
  std::promise<bool> seen;
  const auto changes = client_.on_change([&](const std::vector<std::string>& keys) {
    EXPECT_THAT(keys, ElementsAre("a"));
    seen.set_value(client_.bool_value("a", false, {}));
  });
  core_.offer(document(1, "on"));
  auto value = seen.get_future();
  ASSERT_EQ(value.wait_for(20s), std::future_status::ready);
  EXPECT_TRUE(value.get());
}

TEST_F(EventsTest, WhoComesLateIsToldHowThingsStand) {
  core_.offer(document(1, "on"));
  const auto one = client_.on_event([&](const Event& event) { log_.add("1 " + line_of(event)); });
  EXPECT_THAT(log_.wait(1), ElementsAre("1 PROVIDER_READY"));
  core_.set_frozen(true);
  log_.wait(2);
  const auto two = client_.on_event([&](const Event& event) { log_.add("2 " + line_of(event)); });
  EXPECT_THAT(log_.wait(3), ElementsAre("1 PROVIDER_READY", "1 PROVIDER_STALE", "2 PROVIDER_STALE"));
}

// Between publishing a snapshot and telling of it somebody may have subscribed: he has the snapshot already.
TEST_F(EventsTest, NobodyIsToldOfAChangeThatWasThereBeforeHim) {
  auto queue = std::make_shared<EventQueue>();
  const auto add = [&](const char* name) {
    return std::make_shared<const EventQueue::Handler>(
        [this, name](const Event& event) { log_.add(name + (" " + line_of(event))); });
  };
  queue->subscribe(add("early"), {}, 1);
  queue->subscribe(add("late"), {}, 2);
  queue->post({EventType::kConfigurationChanged, {"a"}, {}}, 2);
  EXPECT_THAT(log_.wait(1), ElementsAre("early PROVIDER_CONFIGURATION_CHANGED a"));
  queue->post({EventType::kConfigurationChanged, {"b"}, {}}, 3);
  EXPECT_THAT(log_.wait(3), testing::UnorderedElementsAre("early PROVIDER_CONFIGURATION_CHANGED a",
                                                          "early PROVIDER_CONFIGURATION_CHANGED b",
                                                          "late PROVIDER_CONFIGURATION_CHANGED b"));
  queue->close();
}

TEST_F(EventsTest, AHandlerMayThrowEvaluateSubscribeAndUnsubscribeItself) {
  Subscription inner;
  Subscription outer = client_.on_change([&](const std::vector<std::string>&) {
    client_.bool_value("a", false, {});
    inner = client_.on_change([&](const std::vector<std::string>&) { log_.add("inner"); });
    outer.unsubscribe();
    log_.add("outer");
    throw std::runtime_error("ouch");
  });
  core_.offer(document(1, "on"));
  log_.wait(1);
  core_.offer(document(2, "off"));
  EXPECT_THAT(log_.wait(2), ElementsAre("outer", "inner"));
}

TEST_F(EventsTest, UnsubscribingWaitsForACallThatRuns) {
  std::promise<void> entered, leave;
  std::atomic<bool> returned{false};
  Subscription changes = client_.on_change([&](const std::vector<std::string>&) {
    entered.set_value();
    leave.get_future().wait();
    returned = true;
  });
  core_.offer(document(1, "on"));
  entered.get_future().wait();
  auto gone = std::async(std::launch::async, [&] {
    changes.unsubscribe();
    return returned.load();
  });
  EXPECT_NE(gone.wait_for(10ms), std::future_status::ready);
  leave.set_value();
  EXPECT_TRUE(gone.get()) << "it came back while the handler still ran";
  EXPECT_FALSE(changes.active());
}

TEST_F(EventsTest, ASlowHandlerLosesNoKeyAndTheQueueStaysBounded) {
  auto queue = std::make_shared<EventQueue>();
  std::promise<void> entered, leave;
  std::vector<std::string> keys;
  std::size_t events = 0;
  std::promise<void> done;
  bool first = true;
  const EventQueue::Handler slow = [&](const Event& event) {
    if (std::exchange(first, false)) {
      entered.set_value();
      leave.get_future().wait();
      return;
    }
    ++events;
    keys.insert(keys.end(), event.flags_changed.begin(), event.flags_changed.end());
    if (event.message == "last") done.set_value();
  };
  const auto id = queue->subscribe(std::make_shared<const EventQueue::Handler>(slow));
  ASSERT_NE(id, 0U);
  queue->post({});
  entered.get_future().wait();
  for (int i = 0; i < 1'000; ++i) {
    queue->post({EventType::kError, {}, "noise"});
    queue->post({EventType::kConfigurationChanged, {std::to_string(10'000 + i)}, {}});
  }
  queue->post({EventType::kError, {}, "last"});
  leave.set_value();
  ASSERT_EQ(done.get_future().wait_for(20s), std::future_status::ready);
  queue->close();
  EXPECT_LE(events, EventQueue::kWaitingMax + 1);
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(keys.size(), 1'000U);
  EXPECT_EQ(std::unique(keys.begin(), keys.end()), keys.end());
}

TEST_F(EventsTest, AfterCloseNothingIsToldAndNobodyIsTaken) {
  Subscription kept = client_.on_change([&](const std::vector<std::string>&) { log_.add("told"); });
  core_.offer(document(1, "on"));
  log_.wait(1);
  client_.close();
  client_.close();
  core_.offer(document(2, "off"));
  EXPECT_FALSE(kept.active());
  EXPECT_FALSE(client_.on_change([](const std::vector<std::string>&) {}).active());
  EXPECT_FALSE(client_.on_event({}).active());
  EXPECT_EQ(log_.wait(1).size(), 1U);
  { Client gone = std::move(client_); }
  kept.unsubscribe();  // it may outlive the client
}

// A handler that is refused is destroyed, and what it captured may ask the client.
TEST_F(EventsTest, WhatAHandlerCapturesIsDestroyedOutsideEveryLock) {
  struct Asks {
    const Client* client;
    ~Asks() { client->status(); }
  };
  client_.close();
  const Asks asks{&client_};
  EXPECT_FALSE(client_.on_event([asks](const Event&) { (void)asks; }).active());
}

TEST_F(EventsTest, AHandlerMayEndItsClient) {
  auto owned = std::make_shared<Client>(Client::create({}));
  std::promise<void> ended;
  auto subscription = std::make_shared<Subscription>();
  *subscription = owned->on_change([&owned, &ended](const std::vector<std::string>&) {
    owned.reset();
    ended.set_value();
  });
  const auto core = owned->core();
  core->offer(document(1, "on"));
  ASSERT_EQ(ended.get_future().wait_for(20s), std::future_status::ready);
}

}  // namespace
}  // namespace poundlock::client
