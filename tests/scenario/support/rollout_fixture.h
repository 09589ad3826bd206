// A test against one private server: a schema `shop` that each test has to itself, plans made from YAML,
// steps carried out by the product's own runner under a real clock.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/yaml.h"
#include "change/operation.h"
#include "engine/leftovers.h"
#include "engine/step_runner.h"
#include "ports/cells.h"
#include "postgres/catalog_loader.h"
#include "support/pg_cluster.h"

namespace poundlock::scenario {

class RealClock final : public Clock {
 public:
  TimePoint now() const override { return {read<std::chrono::system_clock>()}; }
  TimePoint steady() const override { return {read<std::chrono::steady_clock>()}; }
  void sleep(Millis duration) override { std::this_thread::sleep_for(duration); }

 private:
  template <typename Source>
  static std::int64_t read() {
    return std::chrono::duration_cast<Millis>(Source::now().time_since_epoch()).count();
  }
};

class RolloutFixture : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = PgCluster::start();
    ASSERT_TRUE(started) << started.error().to_string();
    cluster_ = started->release();
  }
  static void TearDownTestSuite() {
    delete cluster_;
    cluster_ = nullptr;
  }

  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    database_ = cluster_->database();
    auto opened = database_->connect();
    ASSERT_TRUE(opened) << opened.error().to_string();
    session_ = std::move(*opened);
    must("DROP SCHEMA IF EXISTS shop CASCADE");
    must("DROP SCHEMA IF EXISTS poundlock CASCADE");
    must("CREATE SCHEMA shop");
    must("GRANT USAGE ON SCHEMA shop TO writer");
    must("ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT ALL ON TABLES TO writer");
  }

  ports::Rows must(const std::string& sql, std::vector<ports::Cell> params = {}) {
    return must_on(*session_, sql, std::move(params));
  }
  static ports::Rows must_on(ports::Session& session, const std::string& sql,
                             std::vector<ports::Cell> params = {}) {
    auto done = session.run(sql, std::move(params));
    EXPECT_TRUE(done) << sql << ": " << done.error().to_string();
    return done ? std::move(*done) : ports::Rows{{}, {{std::nullopt, std::nullopt, std::nullopt}}, 0};
  }
  // First row as text, NULL as <null>: "1|x|<null>".
  std::string row(const std::string& sql) {
    const auto rows = must(sql);
    if (rows.rows.empty()) return "nothing";
    std::string text;
    for (const auto& cell : rows.rows[0]) text += (text.empty() ? "" : "|") + cell.value_or("<null>");
    return text;
  }
  std::unique_ptr<ports::Session> open(const std::string& role = "app") {
    return std::move(*cluster_->database(role)->connect());
  }

  schema::Catalog catalog(const std::vector<std::string>& schemas = {"shop", "public"}) {
    auto loaded = postgres::load_catalog(*session_, {.schemas = schemas});
    EXPECT_TRUE(loaded) << loaded.error().to_string();
    return loaded ? std::move(*loaded) : schema::Catalog{};
  }
  Result<change::OperationPlan> try_plan(const std::string& yaml, const std::string& rollout = "test") {
    PL_TRY(const auto node, yaml::parse(yaml, "rollout.yaml"));
    PL_TRY(const auto operation, change::parse_operation(node));
    return operation->plan(catalog(), rollout);
  }
  change::OperationPlan plan(const std::string& yaml, const std::string& rollout = "test") {
    auto made = try_plan(yaml, rollout);
    EXPECT_TRUE(made) << made.error().to_string();
    return made ? std::move(*made) : change::OperationPlan{};
  }
  static const change::Step& step(const std::vector<change::Step>& steps, std::string_view id) {
    for (const auto& one : steps) {
      if (one.id == id) return one;
    }
    ADD_FAILURE() << "no step " << id;
    static const change::Step none;
    return none;
  }

  engine::RunnerOptions options() const {
    engine::RunnerOptions options;
    options.rollout = "test";
    options.lock_wait.limit = Millis{20'000};
    return options;
  }
  rollout::StepOutcome run(const change::Step& step,
                           engine::Direction direction = engine::Direction::kForward,
                           std::uint64_t generation = 1) {
    engine::StepRunner runner(*database_, clock_, options());
    auto outcome = runner.run(step, direction, generation, {});
    EXPECT_TRUE(outcome) << outcome.error().to_string();
    return outcome ? std::move(*outcome) : rollout::StepOutcome{};
  }
  void must_run(const change::Step& step, engine::Direction direction = engine::Direction::kForward) {
    const auto outcome = run(step, direction);
    const auto wanted = direction == engine::Direction::kForward ? rollout::OutcomeKind::kDone
                                                                 : rollout::OutcomeKind::kUndone;
    EXPECT_EQ(outcome.kind, wanted) << step.id << ": "
                                    << (outcome.error ? outcome.error->to_string() : outcome.detail);
  }
  void must_expand(const change::OperationPlan& plan) {
    for (const auto& one : plan.steps) {
      if (one.phase == change::Phase::kDualWrite) must_run(one);
    }
  }

  static PgCluster* cluster_;
  std::unique_ptr<postgres::PgDatabase> database_;
  std::unique_ptr<ports::Session> session_;
  RealClock clock_;
};
inline PgCluster* RolloutFixture::cluster_ = nullptr;

}  // namespace poundlock::scenario
