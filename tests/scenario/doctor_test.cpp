// What the doctor finds on a real server, for an ordinary owner, a stranger to the tables and a superuser;
// and that its GRANT script, run by a superuser, makes the stranger fit.
#include "engine/doctor.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "engine/ledger.h"
#include "support/pg_cluster.h"

namespace poundlock::scenario {
namespace {

using engine::Capability;
using engine::Examination;
using engine::Presence;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class DoctorTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ClusterOptions options;
    options.replica = true;
    options.settings = {"shared_preload_libraries=pg_stat_statements"};
    auto started = PgCluster::start(options);
    ASSERT_TRUE(started) << started.error().to_string();
    cluster_ = started->release();
  }
  static void TearDownTestSuite() { delete cluster_; }

  void SetUp() override {
    must("postgres", "DROP SCHEMA IF EXISTS shop CASCADE");
    must("postgres", "DROP EXTENSION IF EXISTS pg_stat_statements");
    must("app", "CREATE SCHEMA shop");
    must("app", "CREATE TABLE shop.orders (id bigint PRIMARY KEY)");
  }
  static void must(const std::string& role, const std::string& sql) {
    auto session = cluster_->database(role)->connect();
    ASSERT_TRUE(session) << session.error().to_string();
    auto done = (*session)->run(sql);
    ASSERT_TRUE(done) << sql << ": " << done.error().to_string();
  }
  static Examination examine(const std::string& role, std::vector<schema::QualifiedName> tables = {}) {
    auto session = cluster_->database(role)->connect();
    EXPECT_TRUE(session);
    auto found = engine::examine(**session, {std::move(tables)});
    EXPECT_TRUE(found) << found.error().to_string();
    return found ? *found : Examination{};
  }
  // As the first step of a rollout would. "" or the error.
  static std::string install_as(const std::string& role) {
    auto session = cluster_->database(role)->connect();
    EXPECT_TRUE(session);
    auto installed = engine::install_ledger(**session);
    return installed ? "" : installed.error().to_string();
  }
  static Capability of(const Examination& examination, const std::string& id) {
    for (const auto& one : examination.capabilities)
      if (one.id == id) return one;
    ADD_FAILURE() << "no capability " << id;
    return {};
  }

  static PgCluster* cluster_;
};
PgCluster* DoctorTest::cluster_ = nullptr;

TEST_F(DoctorTest, AnOwnerWhoIsNoSuperuserHasWhatARolloutNeeds) {
  const auto found = examine("app");
  EXPECT_TRUE(found.ok());
  EXPECT_EQ(found.role, "app");
  EXPECT_EQ(found.provider, "plain");
  EXPECT_GE(found.version_num, 140'000);
  for (const char* id :
       {"version", "primary", "ownership", "schema_create", "helper_schema", "timeouts", "createdb"})
    EXPECT_EQ(of(found, id).presence, Presence::kYes) << id;
  // What PostgreSQL keeps from such a role is said, with what stands in.
  for (const char* id : {"read_all_stats", "pg_stat_statements", "deadlock_timeout", "replication"}) {
    const auto one = of(found, id);
    EXPECT_EQ(one.presence, Presence::kNo) << id;
    EXPECT_FALSE(one.needed);
    EXPECT_THAT(one.lost, Not(IsEmpty())) << id;
    EXPECT_THAT(one.stand_in, Not(IsEmpty())) << id;
    EXPECT_THAT(one.grants, Not(IsEmpty())) << id;
  }
}

TEST_F(DoctorTest, AStrangerLacksOwnershipUntilTheGrantScriptHasRun) {
  must("app", "GRANT USAGE ON SCHEMA shop TO writer");
  const auto before = examine("writer", {{"shop", "orders"}});
  EXPECT_FALSE(before.ok());
  EXPECT_EQ(of(before, "ownership").presence, Presence::kNo);
  EXPECT_THAT(of(before, "ownership").detail, HasSubstr("shop.orders"));
  EXPECT_EQ(of(before, "helper_schema").presence, Presence::kNo);
  for (const auto& grant : before.grants()) must("postgres", grant.starts_with("--") ? "SELECT 1" : grant);
  const auto after = examine("writer", {{"shop", "orders"}});
  EXPECT_TRUE(after.ok());
  std::vector<std::string> left = after.grants();
  std::erase_if(left, [](const std::string& line) { return line.starts_with("--"); });
  EXPECT_THAT(left, IsEmpty()) << "the script is complete: run once, nothing is left to grant";
  EXPECT_EQ(of(after, "pg_stat_statements").presence, Presence::kYes);
  EXPECT_EQ(of(after, "replication").presence, Presence::kYes);
  EXPECT_EQ(install_as("writer"), "");
  must("postgres", "DROP SCHEMA poundlock CASCADE");
  must("postgres", "REVOKE app, pg_monitor FROM writer");
  must("postgres", "REVOKE SET ON PARAMETER deadlock_timeout FROM writer");
  must("postgres", "ALTER ROLE writer NOCREATEDB");
}

TEST_F(DoctorTest, TheLedgerOfAnotherRoleIsOpenedByItsScript) {
  for (const std::string owner : {"postgres", "app"}) {
    must("postgres", "DROP SCHEMA IF EXISTS poundlock CASCADE");
    EXPECT_THAT(install_as("writer"), HasSubstr("poundlock doctor"));  // CREATE on the database is missing
    EXPECT_EQ(install_as(owner), "");
    // Rights on the schema alone do not open the ledger.
    must("postgres", "GRANT USAGE, CREATE ON SCHEMA poundlock TO writer");
    const auto before = of(examine("writer"), "helper_schema");
    EXPECT_EQ(before.presence, Presence::kNo);
    EXPECT_NE(install_as("writer"), "") << "closed to writer";
    for (const auto& grant : before.grants) must("postgres", grant);
    EXPECT_EQ(of(examine("writer"), "helper_schema").presence, Presence::kYes);
    EXPECT_EQ(install_as("writer"), "");
    EXPECT_EQ(of(examine(owner), "helper_schema").presence, Presence::kYes);
  }
  must("postgres", "DROP SCHEMA poundlock CASCADE");
  must("postgres", "REVOKE app FROM writer");
}

TEST_F(DoctorTest, ASchemaThatAnAdministratorMadeIsEnoughWithoutCreateOnTheDatabase) {
  must("postgres", "DROP SCHEMA IF EXISTS poundlock CASCADE");
  const auto before = of(examine("writer"), "helper_schema");
  EXPECT_EQ(before.detail, "may not be made by this role");
  for (const auto& grant : before.grants) must("postgres", grant);
  EXPECT_EQ(of(examine("writer"), "helper_schema").presence, Presence::kYes);
  EXPECT_EQ(install_as("writer"), "");
  must("postgres", "DROP SCHEMA poundlock CASCADE");
}

TEST_F(DoctorTest, StatementsOfOtherRolesAreHiddenWithoutTheRightToReadThem) {
  must("postgres", "CREATE EXTENSION pg_stat_statements SCHEMA public");
  must("postgres", "GRANT SELECT ON public.pg_stat_statements TO app");
  must("postgres", "SELECT 42 AS somebody_elses");
  const auto found = of(examine("app"), "pg_stat_statements");
  EXPECT_EQ(found.presence, Presence::kLimited);
  EXPECT_THAT(found.detail, HasSubstr("hidden"));
}

TEST_F(DoctorTest, SaysWhichTableIsNotThere) {
  const auto found = examine("app", {{"", "orders"}, {"shop", "no_such"}});
  EXPECT_FALSE(found.ok());
  EXPECT_THAT(of(found, "ownership").detail, HasSubstr("shop.no_such"));
}

TEST_F(DoctorTest, AStandbyIsNoPrimary) {
  auto session = cluster_->replica()->connect();
  ASSERT_TRUE(session);
  const auto found = engine::examine(**session);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->ok());
  EXPECT_EQ(of(*found, "primary").detail, "this is a standby");
}

TEST_F(DoctorTest, ReplicasAreAskedThemselves) {
  auto replica = cluster_->replica()->connect();
  auto primary = cluster_->database()->connect();
  ASSERT_TRUE(replica && primary);
  EXPECT_EQ(engine::examine_replicas({{"r1", replica->get(), ""}}).presence, Presence::kYes);
  const auto wrong = engine::examine_replicas({{"r1", primary->get(), ""}, {"r2", nullptr, "refused"}});
  EXPECT_EQ(wrong.presence, Presence::kNo);
  EXPECT_THAT(wrong.detail, HasSubstr("r1: is no standby"));
  EXPECT_THAT(wrong.detail, HasSubstr("r2: refused"));
}

TEST_F(DoctorTest, AShadowNeedsItsMark) {
  const auto examination = examine("app");
  auto session = cluster_->database()->connect();
  ASSERT_TRUE(session);
  const engine::Reached given{"app", session->get(), ""};
  EXPECT_EQ(engine::examine_shadow(engine::ShadowKind::kMade, {}, examination).presence, Presence::kYes);
  EXPECT_EQ(engine::examine_shadow(engine::ShadowKind::kNone, {}, examination).presence, Presence::kNo);
  const auto bare = engine::examine_shadow(engine::ShadowKind::kGiven, given, examination);
  EXPECT_EQ(bare.presence, Presence::kNo);
  EXPECT_THAT(bare.grants, Contains(HasSubstr("poundlock.shadow")));
  must("app", "COMMENT ON DATABASE app IS 'poundlock.shadow = on'");
  EXPECT_EQ(engine::examine_shadow(engine::ShadowKind::kGiven, given, examination).presence, Presence::kYes);
  must("app", "COMMENT ON DATABASE app IS NULL");
  must("postgres", "ALTER DATABASE app SET poundlock.shadow = on");
  EXPECT_EQ(engine::examine_shadow(engine::ShadowKind::kGiven, given, examination).presence, Presence::kYes);
  must("postgres", "ALTER DATABASE app RESET poundlock.shadow");
}

}  // namespace
}  // namespace poundlock::scenario
