// Plans of plain SQL carried out on a private server, beside a database where the author's own SQL ran. Each
// test makes its databases as copies of a small world.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/step_runner.h"
#include "migration/sql_plan.h"
#include "postgres/catalog_loader.h"
#include "schema/sql.h"
#include "support/pg_cluster.h"
#include "support/rollout_fixture.h"

namespace poundlock::scenario {

class SqlPlanFixture : public testing::Test {
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

  static std::unique_ptr<ports::Session> open(const std::string& name) {
    auto session = cluster_->database("app", name)->connect();
    EXPECT_TRUE(session) << session.error().to_string();
    if (!session) return nullptr;
    EXPECT_TRUE((*session)->run("SET search_path = public"));
    return std::move(*session);
  }
  static void must(ports::Session& session, const std::string& sql) {
    const auto done = session.run(sql);
    EXPECT_TRUE(done) << sql << ": " << done.error().to_string();
  }
  // A database of this name that `world` has made.
  static void make(const std::string& name, const std::string& world) {
    copy(name, "template1");
    run_all(name, world);
  }
  static void copy(const std::string& name, const std::string& from) {
    const auto admin = open("app");
    must(*admin, "DROP DATABASE IF EXISTS " + name);
    must(*admin, "CREATE DATABASE " + name + " TEMPLATE " + from);
  }
  static void run_all(const std::string& name, const std::string& sql) {
    const auto session = open(name);
    auto script = schema::parse_script(sql);
    ASSERT_TRUE(script);
    for (const auto& statement : script->statements) must(*session, statement.text());
  }
  static schema::Catalog load(const std::string& name) {
    const auto session = std::move(*cluster_->database("app", name)->connect());
    auto catalog = postgres::load_catalog(*session);
    EXPECT_TRUE(catalog) << catalog.error().to_string();
    return catalog ? std::move(*catalog) : schema::Catalog{};
  }
  static bool says(const std::string& name, const std::string& probe) {
    const auto session =
        cluster_->database("app", name)->connect();  // search_path pg_catalog, as in the engine
    const auto rows = (*session)->run(probe);
    EXPECT_TRUE(rows) << probe << ": " << rows.error().to_string();
    return rows && rows->rows.at(0).at(0) == "t";
  }
  // As the engine does it; the error of a step that fails.
  Status carry_out(const std::string& name, const change::Step& step, engine::Direction direction) {
    const auto database = cluster_->database("app", name);
    engine::RunnerOptions options;
    options.rollout = "plan";
    engine::StepRunner runner(*database, clock_, options);
    const auto outcome = runner.run(step, direction, 1, {});
    if (!outcome) return fail(outcome.error());
    if (outcome->error) return fail(*outcome->error);
    return {};
  }
  static std::vector<std::string> drift(const std::string& a, const std::string& b) {
    return schema::difference(load(a), load(b), {.column_order = true, .ignore_schemas = {"poundlock"}});
  }

  static inline PgCluster* cluster_ = nullptr;
  RealClock clock_;
};

inline std::vector<const change::Step*> steps_of(const migration::SqlPlan& plan) {
  std::vector<const change::Step*> out;
  for (const auto& item : plan.plan.items)
    if (item.step) out.push_back(&*item.step);
  return out;
}

}  // namespace poundlock::scenario
