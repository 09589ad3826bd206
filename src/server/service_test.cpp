// poundlockd's parts put together, without a database that answers: what must work all the same.
#include "server/service.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "base/json.h"
#include "rollout/decide_test_plan.h"
#include "server/http/http_test_support.h"
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
  void add_rollout(const std::string& name) {
    auto plan = rollout::testing::make_test_plan();
    plan.rollout = name;
    plan.flag->key = name + "_key";
    plan.database = "app";
    const auto open = store();
    NoPublisher publisher;
    const auto made = engine::Controller::start(*open, publisher, plan, "", "alice", clock_.now());
    ASSERT_TRUE(made) << made.error().to_string();
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
    out.port = 0;
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

}  // namespace
}  // namespace poundlock::server
