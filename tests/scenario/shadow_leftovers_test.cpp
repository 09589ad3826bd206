// What becomes of a shadow whose run loses its hold on it, is killed, or is told to stop while it waits.
#include <signal.h>

#include <atomic>

#include "postgres/pg_dump_shadow.h"
#include "support/rollout_fixture.h"
#include "support/wait.h"

namespace poundlock::scenario {
namespace {

using testing::HasSubstr;

class ShadowLeftoversTest : public RolloutFixture {
 protected:
  void SetUp() override {
    RolloutFixture::SetUp();
    must("CREATE TABLE shop.orders (id bigint PRIMARY KEY)");
    must("DROP DATABASE IF EXISTS given WITH (FORCE)");
    must("CREATE DATABASE given");
    must("COMMENT ON DATABASE given IS 'poundlock.shadow = on'");
  }
  std::unique_ptr<ports::Shadow> shadow(std::unique_ptr<postgres::PgDatabase> given = nullptr) {
    postgres::ShadowOptions options;
    options.given = std::move(given);
    options.stopped = [this] { return stopped_.load(); };
    return postgres::make_pg_dump_shadow(*database_, clock_, std::move(options));
  }
  std::string shadows() {
    return row(
        "SELECT coalesce(string_agg(datname, ' ' ORDER BY datname), '') FROM pg_database WHERE datname "
        "LIKE 'app\\_%'");
  }
  // As an administrator or a network would.
  void end_its_hold() {
    const std::string held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 727277";
    must("SELECT pg_terminate_backend(pid) FROM (" + held + ") AS held");
    EXPECT_TRUE(wait_until([&] { return must(held).rows.empty(); }));
  }

  std::atomic<bool> stopped_{false};
  const std::vector<schema::QualifiedName> tables_{{"shop", "orders"}};
};

TEST_F(ShadowLeftoversTest, AShadowGoesAlsoWhenTheSessionThatHoldsItWasEnded) {
  auto made = shadow();
  ASSERT_TRUE(made->create(tables_));
  end_its_hold();
  const auto gone = made->drop();
  EXPECT_TRUE(gone) << gone.error().to_string();
  EXPECT_EQ(shadows(), "");

  auto filled = shadow(database_->sibling("given"));
  ASSERT_TRUE(filled->create(tables_));
  end_its_hold();
  EXPECT_TRUE(filled->drop());
  auto inside = std::move(*database_->sibling("given")->connect());
  EXPECT_EQ(
      must_on(*inside, "SELECT count(*) FROM pg_namespace WHERE nspname IN ('shop', 'poundlock_filled')")
          .rows[0][0],
      "0");
}

TEST_F(ShadowLeftoversTest, AShadowGoesAfterItsServerWasStartedAnew) {
  auto made = shadow();
  ASSERT_TRUE(made->create(tables_));
  ASSERT_TRUE(cluster_->stop(SIGQUIT));  // as if the machine lost power
  Status gone;
  std::thread drops([&] { gone = made->drop(); });
  EXPECT_TRUE(cluster_->restart());  // from the thread with which the server goes
  drops.join();
  EXPECT_TRUE(gone) << gone.error().to_string();
  session_ = open();
  EXPECT_EQ(shadows(), "");
}

// The next run has taken the name: what is there now is not the first one's.
TEST_F(ShadowLeftoversTest, NobodyWorksInTheShadowThatTookItsPlace) {
  auto first = shadow(), second = shadow();
  ASSERT_TRUE(first->create(tables_));
  end_its_hold();
  ASSERT_TRUE(second->create(tables_));
  const auto lost = first->connect();
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, "shadow.lost");
  EXPECT_TRUE(first->drop());
  EXPECT_TRUE(second->connect());
  EXPECT_TRUE(second->drop());
  EXPECT_EQ(shadows(), "");
}

// Nothing has to be dropped, but others may have worked on it beside us.
TEST_F(ShadowLeftoversTest, ALostHoldOfAnotherDatabaseIsSaid) {
  auto inside = std::move(*database_->sibling("given")->connect());
  must_on(*inside, "CREATE TABLE public.clone (a int)");
  auto made = shadow(database_->sibling("given"));
  ASSERT_TRUE(made->create(tables_));
  end_its_hold();
  const auto gone = made->drop();
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, "shadow.lost");
  must_on(*inside, "SELECT * FROM public.clone");
}

TEST_F(ShadowLeftoversTest, WhatCannotBeDroppedIsNamed) {
  auto made = shadow();
  ASSERT_TRUE(made->create(tables_));
  const auto root = open("postgres");
  must_on(*root, "ALTER DATABASE app_poundlock_shadow OWNER TO writer");
  const auto gone = made->drop();
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, "shadow.stays");
  EXPECT_THAT(gone.error().message, HasSubstr("the database app_poundlock_shadow stays: must be owner"));
  EXPECT_THAT(gone.error().hint, HasSubstr("DROP DATABASE IF EXISTS app_poundlock_shadow"));
  must_on(*root, "DROP DATABASE app_poundlock_shadow");
}

// Such a worker looks at each new table sooner or later; DROP DATABASE ... WITH (FORCE) refuses to end it.
TEST_F(ShadowLeftoversTest, AnAutovacuumWorkerDoesNotKeepAShadowFromGoing) {
  auto made = shadow();
  ASSERT_TRUE(made->create(tables_));
  auto inside = std::move(*made->connect());
  must_on(*inside,
          "CREATE TABLE public.busy (a int, t text) WITH (autovacuum_vacuum_cost_delay = 100, "
          "autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_threshold = 1)");
  must_on(*inside, "INSERT INTO public.busy SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g");
  must_on(*inside, "DELETE FROM public.busy");
  const auto root = open("postgres");
  must_on(*root, "ALTER SYSTEM SET autovacuum_naptime = '1s'");
  must_on(*root, "SELECT pg_reload_conf()");
  const bool worked = wait_until(
      [&] {
        return !must_on(*root,
                        "SELECT FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND datname = "
                        "'app_poundlock_shadow'")
                    .rows.empty();
      },
      std::chrono::seconds(90));
  EXPECT_TRUE(worked);
  const auto gone = made->drop();
  EXPECT_TRUE(gone) << gone.error().to_string();
  EXPECT_EQ(shadows(), "");
  must_on(*root, "ALTER SYSTEM RESET autovacuum_naptime");
  must_on(*root, "SELECT pg_reload_conf()");
}

// Two ran at once and were killed: the next one alone takes both away, whichever name it has.
TEST_F(ShadowLeftoversTest, ALaterRunTakesAwayWhatSeveralLeft) {
  {
    auto first = shadow(), second = shadow();
    ASSERT_TRUE(first->create(tables_));
    ASSERT_TRUE(second->create(tables_));
    EXPECT_EQ(shadows(), "app_poundlock_shadow app_poundlock_shadow_2");
    must("ALTER DATABASE app_poundlock_shadow RENAME TO kept_1");
    must("ALTER DATABASE app_poundlock_shadow_2 RENAME TO kept_2");
  }
  must("ALTER DATABASE kept_1 RENAME TO app_poundlock_shadow");
  must("ALTER DATABASE kept_2 RENAME TO app_poundlock_shadow_2");
  must("CREATE DATABASE app_poundlock_shadow_3_intent");
  must("COMMENT ON DATABASE app_poundlock_shadow_3_intent IS 'poundlock.shadow = on'");
  must("CREATE DATABASE app_poundlock_shadow_3");
  auto again = shadow();
  ASSERT_TRUE(again->create(tables_));
  EXPECT_EQ(shadows(), "app_poundlock_shadow");
  EXPECT_TRUE(again->drop());
}

TEST_F(ShadowLeftoversTest, WhoWaitsForABusyShadowIsStoppedAtOnce) {
  auto holds = shadow(database_->sibling("given")), waits = shadow(database_->sibling("given"));
  ASSERT_TRUE(holds->create(tables_));
  std::thread interrupt([&] {
    EXPECT_TRUE(wait_until([&] {
      return row("SELECT count(*) FROM pg_stat_activity WHERE datname = 'given' AND query LIKE "
                 "'%pg_try_advisory_lock%'") >= "1";
    }));
    stopped_ = true;
  });
  const TimePoint began = clock_.steady();
  const auto stopped = waits->create(tables_);
  interrupt.join();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, "check.stopped");
  EXPECT_LT((clock_.steady() - began).count(), 60'000);
  stopped_ = false;
}

}  // namespace
}  // namespace poundlock::scenario
