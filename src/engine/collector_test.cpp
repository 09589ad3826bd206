#include "engine/collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace poundlock::engine {
namespace {

using ports::Cell;
using ports::Rows;
using ports::Sql;
using rollout::Moment;
using rollout::Moments;

// A server whose answers a test writes: by a word in the statement. No match: an empty answer.
struct FakeServer {
  std::vector<std::pair<std::string, std::function<Result<Rows>()>>> answers;
  std::vector<std::string> asked;
  int connections = 0;
  bool reachable = true;
  bool broken = false;

  int count(const std::string& word) const {
    int n = 0;
    for (const auto& text : asked) n += text.find(word) != std::string::npos ? 1 : 0;
    return n;
  }
  void set(const std::string& word, std::function<Result<Rows>()> answer) {
    std::erase_if(answers, [&](const auto& one) { return one.first == word; });
    answers.emplace_back(word, std::move(answer));
  }
};

class FakeSession final : public ports::Session {
 public:
  explicit FakeSession(FakeServer& server) : server_(server) {}
  Result<Rows> run(const Sql& sql) override {
    server_.asked.push_back(sql.text);
    for (const auto& [word, answer] : server_.answers)
      if (sql.text.find(word) != std::string::npos) return answer();
    return Rows{};
  }
  Result<std::vector<Rows>> pipeline(std::span<const Sql>) override { return std::vector<Rows>{}; }
  std::vector<std::string> take_notices() override { return {}; }
  int backend_pid() const override { return 1; }
  void cancel() override {}
  bool broken() const override { return server_.broken; }

 private:
  FakeServer& server_;
};

class FakeDatabase final : public ports::Database {
 public:
  explicit FakeDatabase(FakeServer& server) : server_(server) {}
  Result<std::unique_ptr<ports::Session>> connect() override {
    ++server_.connections;
    if (!server_.reachable) return fail(make_error(Disposition::kReconnect, "pg.connection", "refused"));
    server_.broken = false;
    return std::unique_ptr<ports::Session>(std::make_unique<FakeSession>(server_));
  }
  std::string describe() const override { return "fake"; }

 private:
  FakeServer& server_;
};

Rows table(std::vector<std::string> columns, std::vector<Cell> cells) {
  return {std::move(columns), {std::move(cells)}, 1};
}
auto replication(double ms) {
  return [ms]() -> Result<Rows> { return table({"replicas", "ms"}, {"1", std::to_string(ms)}); };
}
auto replica_ms(std::string ms) {
  return [ms]() -> Result<Rows> { return table({"ms", "missing_lsn"}, {ms, "-5"}); };
}

constexpr Moments kExpose = static_cast<Moments>(Moment::kExpose);

class CollectorTest : public testing::Test {
 protected:
  CollectorTest() {
    plan_.legacy = {{"public", "orders", "legacy_status"}};
    plan_.fresh = {{"public", "orders", "new_status"}};
  }
  Collector collector(std::size_t replicas = 0) {
    ports::Databases databases;
    databases.primary = &primary_database_;
    for (std::size_t i = 0; i < replicas; ++i)
      databases.replicas.push_back(i == 0 ? &first_database_ : &second_database_);
    return Collector(databases, plan_);
  }
  rollout::Observations collect(Collector& collector, std::int64_t ms, Moments moments = kExpose) {
    rollout::Observations seen;
    collector.collect(seen, moments, TimePoint{ms});
    return seen;
  }
  rollout::Plan plan_;
  FakeServer primary_, first_, second_;
  FakeDatabase primary_database_{primary_}, first_database_{first_}, second_database_{second_};
};

TEST_F(CollectorTest, BoundsEveryStatementAndWritesNothing) {
  auto one = collector();
  collect(one, 1000);
  EXPECT_EQ(primary_.count("statement_timeout = '2s'"), 1);
  EXPECT_EQ(primary_.count("default_transaction_read_only = on"), 1);
}

TEST_F(CollectorTest, AsksEachQuestionAtItsOwnCadence) {
  primary_.set("pg_stat_replication", replication(4));
  auto one = collector();
  for (std::int64_t ms = 1000; ms <= 4000; ms += 250) collect(one, ms);
  EXPECT_EQ(primary_.count("pg_stat_replication"), 4);
  EXPECT_EQ(primary_.count("pg_stat_database "), 2);
  EXPECT_EQ(primary_.count("pg_describe_object"), 0) << "no gate of this moment asks for references";
  collect(one, 5000, static_cast<Moments>(Moment::kBeforeDrop));
  EXPECT_GE(primary_.count("pg_describe_object"), 1);
}

TEST_F(CollectorTest, KeepsTheTimeOfTheLastAnswerWhenTheNextOneFails) {
  primary_.set("pg_stat_replication", replication(4));
  auto one = collector();
  EXPECT_EQ(collect(one, 1000).values.at("replication.ms").at, TimePoint{1000});
  primary_.set("pg_stat_replication",
               []() -> Result<Rows> { return fail(user_error("pg.42501", "permission denied")); });
  const auto seen = collect(one, 2500);
  EXPECT_EQ(seen.values.at("replication.ms").at, TimePoint{1000});
  EXPECT_EQ(seen.values.at("replication.ms").value, 4);
  EXPECT_GE(seen.values.at("collector.errors").value, 1);
  EXPECT_THAT(seen.values.at("collector.errors").detail,
              testing::HasSubstr("replication: primary: permission denied"));
}

TEST_F(CollectorTest, ReconnectsAfterABreakAndNotMoreThanOnceASecond) {
  primary_.reachable = false;
  auto one = collector();
  for (std::int64_t ms = 1000; ms < 3000; ms += 100) collect(one, ms);
  EXPECT_EQ(primary_.connections, 2);
  EXPECT_FALSE(collect(one, 2990).values.contains("collector.pg_stat_statements"));
  primary_.reachable = true;
  primary_.set("pg_stat_replication", replication(4));
  EXPECT_TRUE(collect(one, 4500).values.contains("replication.ms"));
  primary_.broken = true;
  EXPECT_EQ(collect(one, 6000).values.at("replication.ms").at, TimePoint{6000});
  EXPECT_EQ(primary_.connections, 4);
}

TEST_F(CollectorTest, TakesTheWorstReplicaAndTheAgeOfTheOldest) {
  first_.set("pg_last_wal_replay_lsn", replica_ms("3"));
  auto one = collector(2);
  EXPECT_FALSE(collect(one, 1000).values.contains("replica.ms")) << "one replica has never answered";
  second_.set("pg_last_wal_replay_lsn", replica_ms("40"));
  EXPECT_EQ(collect(one, 2000).values.at("replica.ms").value, 40);
  second_.set("pg_last_wal_replay_lsn", []() -> Result<Rows> { return fail(user_error("x", "gone")); });
  const auto seen = collect(one, 3000);
  EXPECT_EQ(seen.values.at("replica.ms").at, TimePoint{2000});
  EXPECT_EQ(seen.values.at("collector.replicas").value, 2);
}

TEST_F(CollectorTest, GivesAMedianOnceHalfOfItsTimeIsCovered) {
  auto one = collector();
  for (int second = 1; second <= 12; ++second) {
    primary_.set("pg_stat_replication", replication(second == 6 ? 900 : 4));
    const auto seen = collect(one, second * 1000);
    EXPECT_EQ(seen.values.contains("replication.ms_median"), second >= 6) << second;
    if (second >= 6) {
      EXPECT_EQ(seen.values.at("replication.ms_median").value, 4);
    }
  }
}

TEST_F(CollectorTest, ReadsStatementsFromWhereverTheExtensionIs) {
  auto one = collector();
  EXPECT_EQ(collect(one, 1000).values.at("collector.pg_stat_statements").value, 0);
  EXPECT_EQ(primary_.count("to_jsonb(s) ->> 'wal_bytes'"), 0) << "not asked while the view is not there";
  primary_.set("pg_extension", []() -> Result<Rows> {
    return table({"nspname", "info"}, {"My \"ext\"", "f"});
  });
  const auto seen = collect(one, 7000, static_cast<Moments>(Moment::kDualWrite));
  EXPECT_EQ(seen.values.at("collector.pg_stat_statements").value, 1);
  EXPECT_GE(primary_.count("FROM \"My \"\"ext\"\"\".pg_stat_statements s"), 1);
  // Installed, and not loaded at the server's start.
  primary_.set("SELECT count(*) FROM \"My", []() -> Result<Rows> {
    return fail(user_error("pg.55000", "pg_stat_statements must be loaded via shared_preload_libraries"));
  });
  const auto unloaded = collect(one, 13'000);
  EXPECT_EQ(unloaded.values.at("collector.pg_stat_statements").value, 0);
  EXPECT_THAT(unloaded.values.at("collector.pg_stat_statements").detail,
              testing::HasSubstr("shared_preload_libraries"));
}

}  // namespace
}  // namespace poundlock::engine
