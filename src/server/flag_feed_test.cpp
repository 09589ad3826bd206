#include "server/flag_feed.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <condition_variable>
#include <future>
#include <thread>

#include "base/json.h"
#include "server/flag_service.h"
#include "store/sqlite_fixture.h"
#include "telemetry/system_clock.h"

namespace poundlock::server {
namespace {

using ::testing::ElementsAre;

boost::json::object flag_of(std::string_view text) {
  return boost::json::parse(text).as_object();
}

// Its next commit lasts until it is let go.
class SlowStore final : public ports::StateStore {
 public:
  explicit SlowStore(ports::StateStore& inner) : inner_(inner) {}
  Result<std::optional<ports::Entry>> get(std::string_view key) override { return inner_.get(key); }
  Result<std::vector<ports::Entry>> list(std::string_view prefix) override { return inner_.list(prefix); }
  Status commit(const std::vector<ports::Write>& writes,
                const std::vector<ports::AuditEntry>& audit) override {
    std::unique_lock lock(mutex_);
    committing_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !held_; });
    committing_ = false;
    return inner_.commit(writes, audit);
  }
  Result<std::vector<ports::AuditEntry>> audit(std::string_view subject, int limit) override {
    return inner_.audit(subject, limit);
  }
  Result<std::optional<std::int64_t>> verify_audit() override { return inner_.verify_audit(); }
  void hold(bool held) {
    std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  void wait_for_commit() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return committing_; });
  }

 private:
  ports::StateStore& inner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false, committing_ = false;
};

class FlagFeedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = std::move(*fixture_.open());
    flags_ = std::move(*FlagService::open(*store_, clock_));
  }
  void set(std::string_view key, const std::string& fallback, const std::string& metadata = "{}") {
    const auto done =
        flags_->set(key,
                    flag_of(R"({"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":")" +
                            fallback + R"(","metadata":)" + metadata + "}"),
                    "test", "");
    ASSERT_TRUE(done) << done.error().to_string();
  }

  store::SqliteFixture fixture_;
  telemetry::SystemClock clock_;
  std::unique_ptr<ports::StateStore> store_;
  std::unique_ptr<FlagService> flags_;
};

std::vector<std::string> texts(const std::vector<FlagChange>& changes) {
  std::vector<std::string> out;
  for (const auto& change : changes) out.push_back(change.key + ":" + change.type);
  return out;
}

TEST_F(FlagFeedTest, TellsListenersWhatChangedUntilTheyLeave) {
  std::vector<std::string> heard;
  auto handle = flags_->listen([&](const ViewPtr& before, const ViewPtr& now) {
    for (const auto& text : texts(changed_flags(*before, *now))) heard.push_back(text);
  });
  set("a", "off");
  set("b", "off");
  set("a", "on");
  EXPECT_THAT(heard, ElementsAre("a:write", "b:write", "a:update"));
  handle.reset();
  set("b", "on");
  EXPECT_EQ(heard.size(), 3U);
}

TEST_F(FlagFeedTest, AThreadThatReadBeforeSeesTheNextRevision) {
  set("a", "off");
  const auto first = flags_->view()->revision;
  std::thread([&] { set("a", "on"); }).join();
  EXPECT_GT(flags_->view()->revision, first);
  EXPECT_EQ(flags_->view()->snapshot->find("a")->fallback->name, "on");
}

TEST_F(FlagFeedTest, SelectsASet) {
  set("a", "off", R"({"flagSetId":"shop"})");
  set("b", "off");
  const auto all = flags_->view(*Selector::parse(""));
  const auto shop = flags_->view(*Selector::parse("flagSetId=shop"));
  const auto none = flags_->view(*Selector::parse("elsewhere"));
  ASSERT_TRUE(all && shop && none);
  EXPECT_EQ((*all)->snapshot->flags().size(), 2U);
  ASSERT_EQ((*shop)->snapshot->flags().size(), 1U);
  EXPECT_EQ((*shop)->snapshot->flags()[0]->key, "a");
  EXPECT_TRUE((*none)->snapshot->flags().empty());
  EXPECT_EQ(*flags_->view(*Selector::parse("flagSetId=shop")), *shop) << "made once a revision";
  set("a", "on", R"({"flagSetId":"shop"})");
  EXPECT_NE(*flags_->view(*Selector::parse("flagSetId=shop")), *shop);
}

TEST_F(FlagFeedTest, AListenerMayReadWhateverThereIs) {
  set("a", "off", R"({"flagSetId":"shop"})");
  flag::Revision seen, seen_of_shop;
  std::size_t listed = 0;
  const auto handle = flags_->listen([&](const ViewPtr&, const ViewPtr& now) {
    seen = flags_->view()->revision;
    seen_of_shop = (*flags_->view(*Selector::parse("flagSetId=shop")))->revision;
    listed = flags_->list().size() + flags_->shadowed().size();
    EXPECT_EQ(flags_->last_change("b")->revision, now->revision);
  });
  set("b", "off");
  EXPECT_EQ(seen, flags_->view()->revision);
  EXPECT_EQ(seen_of_shop, seen);
  EXPECT_EQ(listed, 2U);
}

// Every evaluation of a thread begins with view(): a disk that hangs must not stop them.
TEST_F(FlagFeedTest, AStoreThatHangsHoldsUpNoReader) {
  set("a", "off", R"({"flagSetId":"shop"})");
  SlowStore slow(*store_);
  flags_ = std::move(*FlagService::open(slow, clock_));
  const auto before = flags_->view()->revision;
  slow.hold(true);
  std::thread writer([&] { set("a", "on", R"({"flagSetId":"shop"})"); });
  slow.wait_for_commit();
  auto reader = std::async(std::launch::async, [&] {
    const auto shop = flags_->view(*Selector::parse("flagSetId=shop"));
    return flags_->view()->revision == before && (*shop)->revision == before && flags_->find("a") &&
           flags_->list().size() == 1;
  });
  EXPECT_EQ(reader.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  slow.hold(false);
  writer.join();
  EXPECT_TRUE(reader.get());
  EXPECT_GT(flags_->view()->revision, before);
}

TEST_F(FlagFeedTest, SelectorsThatChooseNothingShareAViewAndPushNoneOut) {
  set("a", "on", R"({"flagSetId":"shop"})");
  const auto shop = *flags_->view(*Selector::parse("flagSetId=shop"));
  const auto nothing = *flags_->view(*Selector::parse("flagSetId=none"));
  EXPECT_TRUE(nothing->snapshot->flags().empty());
  EXPECT_EQ(nothing->revision, flags_->view()->revision);
  for (int i = 0; i < 200; ++i)
    ASSERT_EQ(*flags_->view(*Selector::parse("flagSetId=s" + std::to_string(i))), nothing);
  EXPECT_EQ(*flags_->view(*Selector::parse("flagSetId=shop")), shop);
  set("b", "on", R"({"flagSetId":"none"})");
  EXPECT_EQ((*flags_->view(*Selector::parse("flagSetId=none")))->snapshot->flags().size(), 1U);
}

TEST_F(FlagFeedTest, TheLeastRecentlyUsedSelectionMakesRoom) {
  boost::json::object flags;
  for (int i = 0; i < 100; ++i)
    flags["f" + std::to_string(i)] = flag_of(R"({"state":"ENABLED","variants":{"on":true},
      "defaultVariant":"on","metadata":{"flagSetId":"s)" +
                                             std::to_string(i) + R"("}})");
  ASSERT_TRUE(flags_->load_files({{"many.json", "many.json", flags}}));
  const auto of = [&](int i) { return *flags_->view(*Selector::parse("flagSetId=s" + std::to_string(i))); };
  const auto kept = of(0), left = of(1);
  for (int i = 2; i < 100; ++i) {
    of(i);
    ASSERT_EQ(of(0), kept) << "in use all the time";
  }
  EXPECT_NE(of(1), left);
}

// Of two orders at once the second one knew the flag as it was before the first: an off was undone by it.
TEST_F(FlagFeedTest, OrdersAtOnceLoseNothingOfEachOther) {
  set("a", "off", R"({"orders":0})");
  std::vector<std::thread> orders;
  for (int i = 0; i < 4; ++i)
    orders.emplace_back([&] {
      for (int n = 0; n < 25; ++n)
        EXPECT_TRUE(flags_->change(
            "a",
            [](const std::optional<FlagInfo>& known) -> Result<boost::json::object> {
              auto definition = known->definition;
              auto& count = definition["metadata"].as_object()["orders"];
              count = count.to_number<int>() + 1;
              return definition;
            },
            "test", ""));
    });
  for (auto& order : orders) order.join();
  EXPECT_EQ(flags_->view()->snapshot->find("a")->metadata.at("orders").to_number<int>(), 100);
}

TEST(Selector, RefusesWhatIsNoPair) {
  for (const char* bad : {"flagSetId=", "=x", "flagSetId=a,source=b", "name=x", "flagSetId=a=b"})
    EXPECT_FALSE(Selector::parse(bad)) << bad;
  EXPECT_EQ(Selector::parse("plain")->by, Selector::By::kSource);
}

TEST_F(FlagFeedTest, SendsFlagdSelfContainedFlagsWithoutOurRevision) {
  set("a", "off");
  const auto sent = boost::json::parse(flags_->view()->flagd).as_object();
  EXPECT_EQ(sent.size(), 1U);
  EXPECT_EQ(sent.at("flags").as_object().at("a").as_object().at("defaultVariant").as_string(), "off");
  EXPECT_TRUE(flags_->view()->snapshot->find("a")->metadata.empty());
}

}  // namespace
}  // namespace poundlock::server
