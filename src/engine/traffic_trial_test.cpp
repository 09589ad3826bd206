#include "engine/traffic_trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poundlock::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Answers each statement by the SQLSTATE that stands in it: "SELECT 42P01" fails, "SELECT 1" works.
class FakeSession final : public ports::Session {
 public:
  explicit FakeSession(std::vector<std::string>& asked) : asked_(asked) {}
  Result<ports::Rows> run(const ports::Sql& sql) override {
    asked_.push_back(sql.text + (sql.params.empty() ? "" : " (" + sql.params[0].value_or("") + ")"));
    for (const char* state : {"42P01", "42501", "23505", "40001", "57014", "08006"}) {
      if (sql.text.find(state) == std::string::npos) continue;
      broken_ = std::string_view(state) == "08006";
      Error error = make_error(Disposition::kUser, "pg.error", "it fails");
      error.sqlstate = state;
      return fail(std::move(error));
    }
    return ports::Rows{};
  }
  Result<std::vector<ports::Rows>> pipeline(std::span<const ports::Sql>) override { return {}; }
  std::vector<std::string> take_notices() override { return {}; }
  int backend_pid() const override { return 1; }
  void cancel() override {}
  bool broken() const override { return broken_; }

 private:
  std::vector<std::string>& asked_;
  bool broken_ = false;
};

class FakeDatabase final : public ports::Database {
 public:
  Result<std::unique_ptr<ports::Session>> connect() override {
    ++connections;
    return std::make_unique<FakeSession>(asked);
  }
  std::string describe() const override { return "fake"; }
  std::vector<std::string> asked;
  int connections = 0;
};

ports::TrafficStatement statement(const std::string& name, const std::string& sql) {
  return {name, sql, {{"7"}, {"8"}}};
}

TEST(TrafficTrial, NothingToTryTakesNoSession) {
  FakeDatabase database;
  const auto failed = try_traffic(database, {}, "public");
  ASSERT_TRUE(failed);
  EXPECT_FALSE(*failed);
  EXPECT_EQ(database.connections, 0);
}

TEST(TrafficTrial, TellsTheFirstThatSchemaOrRightsRefuse) {
  FakeDatabase database;
  const std::vector<ports::TrafficStatement> traffic{
      statement("a", "SELECT 1"), statement("b", "SELECT 42501"), statement("c", "SELECT 42P01")};
  const auto failed = try_traffic(database, traffic, "\"Order Items\", public");
  ASSERT_TRUE(failed && *failed);
  EXPECT_EQ((*failed)->name, "b");
  EXPECT_THAT((*failed)->to_string(), HasSubstr("b: it fails [SQLSTATE 42501]"));
  EXPECT_THAT(database.asked,
              ElementsAre("SET statement_timeout = '10s'", "SET search_path = \"Order Items\", public",
                          "SELECT 1 (7)", "SELECT 42501 (7)"));
}

// A key that is taken, a serialization failure, a time-out: the next sample may well do.
TEST(TrafficTrial, WhatRowsAnswerIsNoFailure) {
  FakeDatabase database;
  const std::vector<ports::TrafficStatement> traffic{
      statement("a", "SELECT 23505"), statement("b", "SELECT 40001"), statement("c", "SELECT 57014")};
  const auto failed = try_traffic(database, traffic, "public");
  ASSERT_TRUE(failed);
  EXPECT_FALSE(*failed);
  const auto each = try_each(database, traffic, "public");
  ASSERT_TRUE(each);
  EXPECT_EQ(each->works.size(), 3U);
}

TEST(TrafficTrial, EachIsTriedByItself) {
  FakeDatabase database;
  const auto each = try_each(database,
                             {statement("a", "SELECT 42P01"), statement("b", "SELECT 1"),
                              statement("c", "SELECT 42501"), statement("d", "SELECT 2")},
                             "public");
  ASSERT_TRUE(each);
  ASSERT_EQ(each->works.size(), 2U);
  EXPECT_EQ(each->works[0].name, "b");
  EXPECT_EQ(each->works[1].name, "d");
  EXPECT_EQ(each->works[1].samples.size(), 2U);
  ASSERT_EQ(each->fails.size(), 2U);
  EXPECT_EQ(each->fails[0].name, "a");
  EXPECT_EQ(each->fails[1].error.sqlstate, "42501");
}

TEST(TrafficTrial, ABrokenConnectionIsNobodysFailure) {
  FakeDatabase database;
  const std::vector<ports::TrafficStatement> traffic{statement("a", "SELECT 08006")};
  EXPECT_FALSE(try_traffic(database, traffic, "public"));
  EXPECT_FALSE(try_each(database, traffic, "public"));
}

}  // namespace
}  // namespace poundlock::engine
