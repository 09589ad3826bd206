// Applications that know nothing of Poundlock but one boolean flag (docs/PARTICIPATE.md, level 1), in Node,
// Python, Java and Go, through a live rollout: exposure, a kill, exposure again, the drop. The Python one
// also sends its figures by OpenTelemetry, in a second rollout that waives none of the gates which read them.
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>

#include "base/json.h"
#include "cli/demo/process.h"
#include "support/demo_fixture.h"
#include "support/packages.h"

namespace poundlock::scenario {
namespace {

constexpr char kWaiver[] = "{waive: \"level 1: the application reports no figures\"}";

struct Stats {
  double reads_legacy = 0, reads_new = 0, writes_legacy = 0, writes_new = 0, errors = -1, lost = -1;
  std::string last_error;
};

class ParticipateTest : public DemoFixture {
 protected:
  void start(const std::vector<std::string>& waived) {
    cli::DemoOptions options = small();
    options.application = false;
    start_world(options);
    std::string gates = "gates:\n  all: {min_samples: 20}\n";
    for (const auto& gate : waived) gates += fmt::format("  {}: {}\n", gate, kWaiver);
    const std::string text = small_rollout();
    const auto begun = start_rollout(text.substr(0, text.find("gates:")) + gates);
    ASSERT_EQ(begun.code, 0) << begun.err;
  }

  void start_service(const std::string& name, std::vector<std::string> command, int first_id,
                     bool figures = false) {
    cli::ProcessOptions options;
    options.command = std::move(command);
    options.variables = world_->variables();
    options.variables["POUNDLOCK_URL"] = world_->url();
    options.variables["PGHOST"] = "127.0.0.1";
    options.variables["PGPORT"] = std::to_string(world_->cluster().port());
    options.variables["PGUSER"] = "writer";
    options.variables["PGDATABASE"] = "app";
    options.variables["FIRST_ID"] = std::to_string(first_id);
    options.variables["STATS_FILE"] = world_->directory() + "/" + name + ".json";
    if (figures) options.variables["OTEL"] = "1";
    options.log = world_->directory() + "/" + name + ".log";
    auto started = cli::Process::spawn(options);
    ASSERT_TRUE(started) << started.error().to_string();
    services_.emplace(name, std::move(*started));
    ASSERT_TRUE(wait_for(name + " reads legacy", [&] { return stats(name).reads_legacy > 20; }))
        << cli::tail_of_file(options.log);
  }

  Stats stats(const std::string& name) const {
    std::ifstream in(world_->directory() + "/" + name + ".json");
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    const auto value = json::parse(text, name);
    Stats out;
    if (!value || !value->is_object()) return out;
    const auto number = [&](const char* key) {
      return json::get_double(value->as_object(), key).value_or(-1);
    };
    out.reads_legacy = number("reads_legacy");
    out.reads_new = number("reads_new");
    out.writes_legacy = number("writes_legacy");
    out.writes_new = number("writes_new");
    out.errors = number("errors");
    out.lost = number("lost");
    out.last_error = json::get_string(value->as_object(), "last_error").value_or("");
    return out;
  }

  // Everything that is read after this moment is read on one side.
  void expect_only(bool fresh, const std::string& when) {
    for (const auto& [name, process] : services_) {
      Stats from = stats(name);
      // What was under way is counted first: from a moment on the other side's figures stand.
      ASSERT_TRUE(wait_for(name + " is on one side " + when, [&] {
        const Stats now = stats(name);
        const bool stands = fresh ? now.reads_legacy == from.reads_legacy : now.reads_new == from.reads_new;
        const bool moves =
            fresh ? now.reads_new > from.reads_new + 100 : now.reads_legacy > from.reads_legacy + 100;
        if (!stands) from = now;
        return stands && moves;
      }));
    }
  }

  void expect_unharmed() {
    for (auto& [name, process] : services_) {
      process.stop(clock_, Millis{10'000});
      const Stats seen = stats(name);
      EXPECT_EQ(seen.errors, 0) << name << ": " << seen.last_error;
      EXPECT_EQ(seen.lost, 0) << name;
      EXPECT_GT(seen.writes_legacy, 0) << name;
      EXPECT_GT(seen.writes_new, 0) << name;
    }
  }

  void TearDown() override {
    services_.clear();
    DemoFixture::TearDown();
  }

  static bool at_full(const bj::object& seen) {
    const auto& flag = cli::object_at(seen, "flag");
    return cli::text_at(flag, "stage") == "live" && cli::number_at(flag, "percentage") == 100;
  }

  std::map<std::string, cli::Process> services_;
};

const std::vector<std::string> kApplicationGates{"error_rate",      "index_usage",         "latency_p95",
                                                 "latency_p99",     "fallback_rate",       "slo_errors",
                                                 "query_timeouts",  "connection_timeouts", "breakers",
                                                 "readers_applied", "instances_attested"};

struct Sample {
  std::string language;
  std::vector<std::string> command;
};

// The services whose toolchain is there; `missing` says what keeps the others out.
std::vector<Sample> samples(std::string& missing) {
  const std::string examples = POUNDLOCK_SOURCE_DIR "/examples/";
  std::vector<Sample> out;
  const auto add = [&](const std::string& language, const Packages& packages, const auto& command) {
    if (packages)
      out.push_back({language, command(*packages)});
    else
      missing += packages.error() + "; ";
  };
  using Words = std::vector<std::string>;
  add("node", node_packages("node_orders", examples + "node_orders"), [](const std::string& folder) {
    return Words{"/usr/bin/env", "node", folder + "/service.mjs"};
  });
  add("python", python_packages("python_orders", examples + "python_orders"), [&](const std::string& folder) {
    return Words{folder + "/bin/python", examples + "python_orders/service.py"};
  });
  add("java", java_packages("java_orders", examples + "java_orders"), [&](const std::string& folder) {
    return Words{"/usr/bin/env",
                 "java",
                 "-Dslf4j.internal.verbosity=ERROR",
                 "-cp",
                 folder + "/lib/*",
                 examples + "java_orders/Service.java"};
  });
  add("go", go_program("go_orders", examples + "go_orders"),
      [](const std::string& program) { return Words{program}; });
  return out;
}

TEST_F(ParticipateTest, EachLanguageFollowsOneFlagForthBackAndToTheEnd) {
  std::string missing;
  const auto services = samples(missing);
  if (services.empty()) GTEST_SKIP() << missing;
  if (!missing.empty()) std::cout << "without some of the services: " << missing << "\n";
  start(kApplicationGates);
  ASSERT_FALSE(HasFatalFailure());
  int first_id = 1;
  for (const auto& [language, command] : services) {
    start_service(language, command, first_id);
    ASSERT_FALSE(HasFatalFailure());
    first_id += 500;
  }

  ASSERT_TRUE(go_on("everybody is exposed", at_full));
  expect_only(true, "at 100 %");
  order("rollback");
  ASSERT_TRUE(wait_for_mode("rolled_back"));
  expect_only(false, "after the rollback");
  order("resume");
  new_build_ = true;  // these services have no build of their own to deploy
  ASSERT_TRUE(go_on(
      "the legacy column is gone",
      [&](const auto&) {
        const auto there = world_->column_exists("legacy_status");
        return there && !*there;
      },
      true));
  expect_only(true, "after the drop");
  expect_unharmed();
}

TEST_F(ParticipateTest, FiguresByOpenTelemetryFeedTheGates) {
  const auto python = python_packages("python_orders", POUNDLOCK_SOURCE_DIR "/examples/python_orders");
  if (!python) GTEST_SKIP() << python.error();
  // What stays waived is what OpenTelemetry cannot say: who has which build, and breakers that are not there.
  start({"breakers", "readers_applied", "instances_attested", "fallback_rate"});
  ASSERT_FALSE(HasFatalFailure());
  start_service("python",
                {*python + "/bin/python", POUNDLOCK_SOURCE_DIR "/examples/python_orders/service.py"}, 1,
                true);
  ASSERT_FALSE(HasFatalFailure());
  ASSERT_TRUE(go_on("everybody is exposed", at_full));
  const auto seen = view();
  std::map<std::string, std::string> verdicts;
  for (const auto& entry : cli::list_at(seen, "gates")) {
    const auto& gate = cli::element(entry);
    verdicts[cli::text_at(gate, "gate")] = cli::text_at(gate, "detail") + bj::serialize(gate);
  }
  for (const char* gate : {"error_rate", "latency_p95", "slo_errors"})
    EXPECT_THAT(verdicts[gate], testing::HasSubstr("pass")) << gate;
  expect_only(true, "at 100 %");
  expect_unharmed();
}

}  // namespace
}  // namespace poundlock::scenario
