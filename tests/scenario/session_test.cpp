// libpq behind ports::Session against a real server: values, pipelines, errors and who has to act,
// notices, cancel, and doubt when a connection breaks under a commit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "support/pg_cluster.h"

namespace poundlock::scenario {
namespace {

using ports::Sql;

class SessionTest : public testing::Test {
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
    auto connected = cluster_->database()->connect();
    ASSERT_TRUE(connected) << connected.error().to_string();
    session_ = std::move(*connected);
  }
  static PgCluster* cluster_;
  std::unique_ptr<ports::Session> session_;
};
PgCluster* SessionTest::cluster_ = nullptr;

TEST_F(SessionTest, BindsValuesAndKeepsNullApartFromEmpty) {
  auto rows = session_->run("SELECT $1::text AS a, $2::text AS b, $3::text AS c",
                            {std::string("it's \"quoted\""), std::nullopt, std::string()});
  ASSERT_TRUE(rows) << rows.error().to_string();
  EXPECT_THAT(rows->columns, testing::ElementsAre("a", "b", "c"));
  EXPECT_EQ(rows->rows[0][0], "it's \"quoted\"");
  EXPECT_EQ(rows->rows[0][1], std::nullopt);
  EXPECT_EQ(rows->rows[0][2], "");
}

TEST_F(SessionTest, SessionsOpenWithPoundlocksSettings) {
  auto rows = session_->run(
      "SELECT current_setting('search_path'), current_setting('application_name'), "
      "current_setting('client_connection_check_interval')");
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->rows[0][0], "pg_catalog");
  EXPECT_EQ(rows->rows[0][1], "poundlock");
  EXPECT_EQ(rows->rows[0][2], "100ms");
}

TEST_F(SessionTest, PipelineAnswersEachStatement) {
  const std::vector<Sql> all{{"BEGIN", {}},
                             {"CREATE TEMP TABLE t (a int)", {}},
                             {"INSERT INTO t SELECT generate_series(1, $1::int)", {"7"}},
                             {"SELECT count(*) FROM t", {}},
                             {"COMMIT", {}}};
  auto answers = session_->pipeline(all);
  ASSERT_TRUE(answers) << answers.error().to_string();
  ASSERT_EQ(answers->size(), 5u);
  EXPECT_EQ((*answers)[2].affected, 7u);
  EXPECT_EQ((*answers)[3].rows[0][0], "7");
}

TEST_F(SessionTest, NothingRunsBehindAFailedStatementOfAPipeline) {
  ASSERT_TRUE(session_->run("CREATE TEMP TABLE p (a int)"));
  auto answers = session_->pipeline(
      std::vector<Sql>{{"BEGIN", {}}, {"INSERT INTO p VALUES (1)", {}}, {"SELECT 1/0", {}}, {"COMMIT", {}}});
  ASSERT_FALSE(answers);
  EXPECT_EQ(answers.error().sqlstate, "22012");
  EXPECT_EQ(answers.error().disposition, Disposition::kUser);
  EXPECT_FALSE(session_->broken());
  ASSERT_TRUE(session_->run("ROLLBACK"));
  auto count = session_->run("SELECT count(*) FROM p");
  ASSERT_TRUE(count) << count.error().to_string();
  EXPECT_EQ(count->rows[0][0], "0");
}

TEST_F(SessionTest, BigAnswersInBothDirectionsDoNotDeadlockAPipeline) {
  std::vector<Sql> all;
  const std::string big(400'000, 'x');
  for (int i = 0; i < 40; ++i) all.push_back({"SELECT repeat($1, 4)", {big}});
  auto answers = session_->pipeline(all);
  ASSERT_TRUE(answers) << answers.error().to_string();
  EXPECT_EQ(answers->back().rows[0][0]->size(), 1'600'000u);
}

TEST_F(SessionTest, LockTimeoutIsWorthARetry) {
  ASSERT_TRUE(session_->run("CREATE TABLE public.locked (a int)"));
  ASSERT_TRUE(session_->run("BEGIN"));
  ASSERT_TRUE(session_->run("LOCK TABLE public.locked"));
  auto other = std::move(*cluster_->database()->connect());
  ASSERT_TRUE(other->run("SET lock_timeout = '10ms'"));
  auto refused = other->run("SELECT * FROM public.locked");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().disposition, Disposition::kRetry);
  EXPECT_EQ(refused.error().code, "pg.lock_timeout");
  ASSERT_TRUE(session_->run("ROLLBACK"));
}

TEST_F(SessionTest, MissingRightsAreForAPersonToFix) {
  auto refused = session_->run("SELECT * FROM pg_authid");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().disposition, Disposition::kUser);
  EXPECT_EQ(refused.error().code, "pg.privilege");
}

TEST_F(SessionTest, NoticesOfDebugLevelAreKept) {
  ASSERT_TRUE(session_->run("CREATE TEMP TABLE n (a int)"));
  session_->take_notices();
  ASSERT_TRUE(session_->run("SET client_min_messages = debug1"));
  ASSERT_TRUE(session_->run("ALTER TABLE n ALTER a TYPE text"));
  EXPECT_THAT(session_->take_notices(),
              testing::Contains(testing::HasSubstr("DEBUG: rewriting table \"n\"")));
  EXPECT_TRUE(session_->take_notices().empty());
}

TEST_F(SessionTest, CancelFromAnotherThreadEndsTheStatement) {
  auto watcher = std::move(*cluster_->database("postgres")->connect());
  const std::string pid = std::to_string(session_->backend_pid());
  std::thread other([&] {
    for (;;) {  // bounded by the statement under test: it ends at the latest after 20 s
      auto seen = watcher->run(
          "SELECT 1 FROM pg_stat_activity WHERE pid = $1::int AND wait_event = 'PgSleep'", {pid});
      if (!seen || !seen->rows.empty()) break;
    }
    session_->cancel();
  });
  auto stopped = session_->run("SELECT pg_sleep(20)");
  other.join();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, "pg.canceled");
  EXPECT_FALSE(session_->broken());
}

TEST_F(SessionTest, ConnectionLostUnderAStatementInATransactionIsNoDoubt) {
  ASSERT_TRUE(session_->run("BEGIN"));
  auto lost = session_->run("SELECT pg_terminate_backend(pg_backend_pid())");
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().disposition, Disposition::kReconnect);
  EXPECT_TRUE(session_->broken());
  EXPECT_EQ(session_->run("SELECT 1").error().disposition, Disposition::kReconnect);
}

TEST_F(SessionTest, ConnectionLostUnderAnAutocommittedWriteIsInDoubt) {
  ASSERT_TRUE(session_->run("CREATE TEMP TABLE d (a int)"));
  auto lost = session_->run("INSERT INTO d SELECT 1 FROM pg_terminate_backend(pg_backend_pid())");
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().disposition, Disposition::kInDoubt);
}

TEST_F(SessionTest, ConnectionLostUnderAPipelinedCommitIsInDoubt) {
  auto lost = session_->pipeline(
      std::vector<Sql>{{"BEGIN", {}}, {"SELECT pg_terminate_backend(pg_backend_pid())", {}}, {"COMMIT", {}}});
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().disposition, Disposition::kInDoubt);
  EXPECT_TRUE(session_->broken());
}

TEST(PgDatabaseTest, DescribesItselfWithoutThePassword) {
  auto database = postgres::PgDatabase::create("postgresql://bob:s3cret@127.0.0.1:6543/shop");
  ASSERT_TRUE(database);
  EXPECT_EQ((*database)->describe(), "shop at 127.0.0.1:6543");
  EXPECT_EQ((*database)->sibling("other")->describe(), "other at 127.0.0.1:6543");
}

TEST(PgDatabaseTest, NobodyListeningIsToldWithTheNextThingToTry) {
  auto database = std::move(*postgres::PgDatabase::create("host=127.0.0.1 port=1 user=x dbname=y"));
  auto session = database->connect();
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code, "pg.connect");
  EXPECT_EQ(exit_code(session.error()), 3);
  EXPECT_FALSE(session.error().hint.empty());
}

TEST(PgDatabaseTest, AnUnreadableConnectionStringIsNotRepeated) {
  auto database = postgres::PgDatabase::create("postgresql://bob:s3cret@[::1/shop");
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().to_string().find("s3cret"), std::string::npos);
}

}  // namespace
}  // namespace poundlock::scenario
