// The driver's threads against each other: a database and a store that wait where a test says so.
#include "server/driver.h"

#include <gmock/gmock.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <filesystem>

#include "base/json.h"
#include "rollout/decide_test_plan.h"
#include "server/http/http_test_support.h"
#include "store/sqlite_store.h"
#include "telemetry/app_metrics.h"

namespace poundlock::server {
namespace {

class NoPublisher final : public ports::FlagPublisher {
 public:
  Result<flag::Revision> publish(std::string_view, std::string_view) override { return flag::Revision{}; }
};

// Counts the lines that hold a text, and knows who wrote the last of them.
class LogCounter final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit LogCounter(std::string text) : text_(std::move(text)) {}
  std::atomic<int> count{0};
  std::atomic<std::thread::id> writer{};

 private:
  void sink_it_(const spdlog::details::log_msg& line) override {
    if (std::string_view(line.payload.data(), line.payload.size()).find(text_) == std::string_view::npos)
      return;
    writer = std::this_thread::get_id();
    ++count;
  }
  void flush_() override {}
  const std::string text_;
};

// One commit waits for release() once hold() was called.
class SlowStore final : public ports::StateStore {
 public:
  explicit SlowStore(std::unique_ptr<ports::StateStore> store) : store_(std::move(store)) {}
  Result<std::optional<ports::Entry>> get(std::string_view key) override { return store_->get(key); }
  Result<std::vector<ports::Entry>> list(std::string_view prefix) override { return store_->list(prefix); }
  Status commit(const std::vector<ports::Write>& writes,
                const std::vector<ports::AuditEntry>& audit) override {
    if (hold) {
      held = true;
      EXPECT_TRUE(wait_for([&] { return !hold; }));
    }
    return store_->commit(writes, audit);
  }
  Result<std::vector<ports::AuditEntry>> audit(std::string_view subject, int limit) override {
    return store_->audit(subject, limit);
  }
  Result<std::optional<std::int64_t>> verify_audit() override { return store_->verify_audit(); }
  std::atomic<bool> hold{false}, held{false};

 private:
  std::unique_ptr<ports::StateStore> store_;
};

// Nobody gets a session; the executor learns it when the test says so.
class NoDatabase final : public ports::Database {
 public:
  NoDatabase(const LogCounter& begun, std::atomic<bool>& answer) : begun_(begun), answer_(answer) {}
  Result<std::unique_ptr<ports::Session>> connect() override {
    if (begun_.writer.load() == std::this_thread::get_id()) {
      EXPECT_TRUE(wait_for([&] { return answer_.load(); }));
    }
    return fail(user_error("test.none", "there is no database"));
  }
  std::string describe() const override { return "none"; }

 private:
  const LogCounter& begun_;
  std::atomic<bool>& answer_;
};

class DriverTest : public testing::Test {
 protected:
  DriverTest() {
    std::string name = (std::filesystem::temp_directory_path() / "poundlock-driver-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) folder_ = name;
    store::SqliteOptions options;
    options.path = (folder_ / "poundlock.db").string();
    store_ = std::make_unique<SlowStore>(*store::open_sqlite(options));
    for (const auto& counter : {begun_, ended_}) spdlog::default_logger()->sinks().push_back(counter);
  }
  ~DriverTest() override {
    driver_.reset();
    spdlog::default_logger()->sinks().resize(spdlog::default_logger()->sinks().size() - 2);
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  void start_at(const std::string& item) {
    auto plan = rollout::testing::make_test_plan();
    const auto made = engine::Controller::start(*store_, publisher_, plan, "", "alice", clock_.now());
    ASSERT_TRUE(made) << made.error().to_string();
    auto state = made->state();
    state.position = *plan.index_of(item);
    ASSERT_TRUE(store_->commit({{"rollout/" + plan.rollout + "/state", json::dump(to_json(state)), 1}}, {}));
    auto controller = engine::Controller::load(*store_, publisher_, plan.rollout, clock_.now());
    ASSERT_TRUE(controller) << controller.error().to_string();
    const auto connect = [this](const std::function<bool()>&) -> Result<Connections> {
      Connections out;
      out.primary = std::make_unique<NoDatabase>(*begun_, answer_);
      return out;
    };
    driver_ = std::make_unique<Driver>(std::move(*controller), connect, metrics_, clock_, nullptr);
  }

  RealClock clock_;
  std::filesystem::path folder_;
  NoPublisher publisher_;
  telemetry::AppMetrics metrics_{clock_};
  std::unique_ptr<SlowStore> store_;
  std::shared_ptr<LogCounter> begun_ = std::make_shared<LogCounter>(": run:dual_write.add_column");
  std::shared_ptr<LogCounter> ended_ = std::make_shared<LogCounter>("there is no database");
  std::atomic<bool> answer_{false};
  std::unique_ptr<Driver> driver_;
};

// The tick that commits has decided that the step is to run; when it is through, the step has run.
TEST_F(DriverTest, AStepThatEndsDuringATickIsNotHandedOutAgain) {
  start_at("dual_write.add_column");
  ASSERT_NE(driver_, nullptr);
  ASSERT_TRUE(wait_for([&] { return begun_->count == 1; }));
  store_->hold = true;
  ASSERT_TRUE(wait_for([&] { return store_->held.load(); }));
  answer_ = true;
  ASSERT_TRUE(wait_for([&] { return ended_->count >= 1; }));
  // Said before it is put down. A driver that is right is so however long that takes.
  for (int i = 0; i < 10'000; ++i) (void)driver_->view();
  store_->hold = false;
  ASSERT_TRUE(wait_for([&] {
    const auto steps = driver_->view().state.steps;
    const auto found = steps.find("dual_write.add_column");
    return found != steps.end() && found->second.attempts > 0;
  }));
  EXPECT_EQ(begun_->count, 1);
}

}  // namespace
}  // namespace poundlock::server
