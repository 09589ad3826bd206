// The controller against a store and a publisher in memory: what a second one, and a restart, must not do.
#include "engine/controller.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <limits>
#include <string>

#include "base/json.h"
#include "rollout/decide_test_plan.h"
#include "sim/store.h"

namespace poundlock::sim {
namespace {

using engine::Controller;
using engine::TickInput;

class Publisher final : public ports::FlagPublisher {
 public:
  Result<flag::Revision> publish(std::string_view, std::string_view flags_json) override {
    if (busy > 0) {
      --busy;
      return fail(make_error(Disposition::kRetry, "flags.busy", "busy"));
    }
    if (published.empty() || published.back() != flags_json) published.emplace_back(flags_json);
    return flag::Revision{1, published.size()};
  }
  int busy = 0;
  std::vector<std::string> published;
};

TickInput at(TimePoint now) {
  TickInput input;
  input.steady = now;
  return input;
}

TEST(Controller, AnOvertakenOnePublishesNothing) {
  MemoryStore store;
  Publisher publisher;
  TimePoint now{1'000'000};
  auto old = Controller::start(store, publisher, rollout::testing::make_test_plan(), "", "alice", now);
  ASSERT_TRUE(old) << old.error().to_string();
  publisher.busy = 1;
  EXPECT_FALSE(old->tick(at(now), now)) << "its state is committed, and its flag could not be published";
  auto next = Controller::load(store, publisher, "orders_status_v2", now);
  ASSERT_TRUE(next) << next.error().to_string();
  // The same moment: nothing that the old one decides differs from what it has committed.
  const auto late = old->tick(at(now), now);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, "store.conflict");
  EXPECT_THAT(publisher.published, ::testing::IsEmpty());
}

TEST(Controller, TheFirstInstanceAfterARestartIsNotTheFleet) {
  MemoryStore store;
  Publisher publisher;
  TimePoint now{1'000'000};
  const auto plan = rollout::testing::make_test_plan();
  ASSERT_TRUE(Controller::start(store, publisher, plan, "", "alice", now));
  // An application was seen, and the rollout waits for its readers.
  auto state = rollout::begin(plan, now);
  state.baseline.emplace();
  state.position = *plan.index_of("dual_write.flag");
  state.flag = *plan.items[state.position].flag;
  ASSERT_TRUE(
      store.commit({{"rollout/orders_status_v2/state", boost::json::serialize(to_json(state)), 1}}, {}));
  auto controller = Controller::load(store, publisher, "orders_status_v2", now);
  ASSERT_TRUE(controller) << controller.error().to_string();
  const auto tick = [&] {
    TickInput input = at(now);
    input.app.emplace();
    input.app->instances.resize(1);
    input.app->instances[0].applied = {1, 1'000};
    ASSERT_TRUE(controller->tick(input, now));
    now = now + Millis{1'000};
  };
  for (int i = 0; i < 5; ++i) tick();
  EXPECT_EQ(controller->state().position, state.position) << "the others have not had time to report";
  for (int i = 0; i < 3; ++i) tick();
  EXPECT_GT(controller->state().position, state.position);
}

// What was committed can be taken over again, however large, and whatever bytes a database's words hold.
TEST(Controller, AStateThatWasWrittenCanBeRead) {
  MemoryStore store;
  Publisher publisher;
  const TimePoint now{1'000'000};
  const auto plan = rollout::testing::make_test_plan();
  ASSERT_TRUE(Controller::start(store, publisher, plan, "", "alice", now));
  auto state = rollout::begin(plan, now);
  state.baseline.emplace();
  for (int path = 0; path < 200; ++path) {
    auto& recorded = state.baseline->paths["path_" + std::to_string(path)];
    for (std::uint16_t bucket = 0; bucket < 800; ++bucket) recorded.latency.add_bucket(bucket, 1'000'000);
  }
  state.baseline->values["nobody_measured"] = std::numeric_limits<double>::quiet_NaN();
  ASSERT_TRUE(store.commit({{"rollout/orders_status_v2/state", json::dump(to_json(state)), 1}}, {}));
  auto controller = Controller::load(store, publisher, "orders_status_v2", now);
  ASSERT_TRUE(controller) << controller.error().to_string();
  TickInput input = at(now);
  input.requests.push_back({rollout::RequestKind::kPause, "alice", "not in M\xE4rz", ""});
  const auto ticked = controller->tick(input, now);
  ASSERT_TRUE(ticked) << ticked.error().to_string();
  auto next = Controller::load(store, publisher, "orders_status_v2", now);
  ASSERT_TRUE(next) << next.error().to_string();
  EXPECT_EQ(next->state().baseline->paths.at("path_199").latency.count(), 800'000'000U);
  EXPECT_EQ(next->state().mode, rollout::Mode::kPaused);
}

}  // namespace
}  // namespace poundlock::sim
