// A test in the demo's world: PostgreSQL with a replica, poundlockd, orders_app, and the orders that a
// person gives. Every wait has a limit; what a rollout says when it stops is the failure's message.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "cli/app.h"
#include "cli/demo/files.h"
#include "cli/demo/lost_writes.h"
#include "cli/demo/world.h"
#include "cli/fields.h"
#include "telemetry/system_clock.h"

namespace poundlock::scenario {

namespace bj = boost::json;

struct Said {
  int code = 0;
  std::string out, err;
};

class DemoFixture : public testing::Test {
 protected:
  // Of one wait. Far more than any needs on two idle cores: a busy machine is no failure.
  static constexpr Millis kLimit{240'000};
  using Condition = std::function<bool(const bj::object& view)>;

  // The options of a small world: few rows, windows of seconds.
  static cli::DemoOptions small();
  // The demo's rollout in few steps. Latency on a busy machine is no part of what these tests ask, nor is the
  // WAL of so few writes, of which the splits of a new index' pages are a large share: their gates get a wide
  // limit, every other gate keeps its own.
  static std::string small_rollout();

  void start_world(const cli::DemoOptions& options);
  void TearDown() override;

  // The command line in this process, against the world's server.
  Said poundlock(const std::vector<std::string>& arguments);
  // Writes it as rollouts/NAME.yaml and starts it.
  Said start_rollout(const std::string& text, const std::string& name = "orders_status_v2");
  std::string write_rollout(const std::string& text, const std::string& name);

  bj::object view(const std::string& name = cli::kDemoRollout);
  void order(const std::string& verb, const std::string& subject = "");
  // Polls until it holds; a failure with `what` where it does not within the limit.
  bool wait_for(const std::string& what, const std::function<bool()>& holds, Millis limit = kLimit);
  // Gives the orders that the rollout waits for (release, a build without a legacy path, and the drop where
  // `drop` is set) until the condition holds. Fails where the rollout stops by itself.
  bool go_on(const std::string& what, const Condition& until, bool drop = false, Millis limit = kLimit);
  bool wait_for_mode(const std::string& mode, Millis limit = kLimit);

  std::vector<std::vector<std::string>> query(const std::string& sql);
  std::string value(const std::string& sql);  // first cell
  // The schema without Poundlock's own, and a hash of every row's old columns.
  std::string fingerprint();
  void expect_journals_kept(const std::string& column);

  // A world may outlive the test that started it (a suite may share one), and what it refers to with it.
  static inline telemetry::SystemClock clock_;
  static inline std::ostringstream out_, err_;
  static inline std::map<std::string, std::string> variables_;
  std::unique_ptr<cli::Context> context_;
  std::unique_ptr<cli::World> world_;
  bool new_build_ = false;
};

}  // namespace poundlock::scenario
