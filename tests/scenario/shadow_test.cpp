// The shadow that pg_dump makes: what is in it, what it refuses, and that nothing of it stays.
#include "engine/checks.h"
#include "postgres/pg_dump_shadow.h"
#include "support/rollout_fixture.h"

namespace poundlock::scenario {
namespace {

using testing::HasSubstr;

class ShadowTest : public RolloutFixture {
 protected:
  void SetUp() override {
    RolloutFixture::SetUp();
    must("DROP DATABASE IF EXISTS app_poundlock_shadow WITH (FORCE)");
    must("CREATE TABLE shop.customers (id bigint PRIMARY KEY)");
    must(
        "CREATE TABLE shop.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer bigint NOT "
        "NULL REFERENCES "
        "shop.customers, legacy_status text, twice text GENERATED ALWAYS AS (legacy_status || legacy_status) "
        "STORED)");
    must("CREATE FUNCTION shop.no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'");
    must("INSERT INTO shop.customers SELECT generate_series(1, 10)");
    must(
        "INSERT INTO shop.orders (customer, legacy_status) SELECT 1 + g % 10, 'S' || g FROM "
        "generate_series(1, 5000) g");
    must("CREATE TRIGGER no BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.no()");
    must("ANALYZE shop.orders");
    must("DROP TABLE IF EXISTS public.extra CASCADE");
    must("CREATE TABLE public.extra (id serial PRIMARY KEY)");
    must("CREATE OR REPLACE VIEW public.extra_view AS SELECT * FROM public.extra");
  }
  std::unique_ptr<ports::Shadow> shadow(postgres::ShadowOptions options = {}) {
    options.rows_max = 500;
    return postgres::make_pg_dump_shadow(*database_, clock_, std::move(options));
  }
  bool exists(const std::string& name) {
    return row("SELECT count(*) FROM pg_database WHERE datname = '" + name + "'") == "1";
  }
  const std::vector<schema::QualifiedName> tables_{{"shop", "orders"}};
};

// A server that is told to stop does not wait for pg_dump.
TEST_F(ShadowTest, EndsItsProgramsWhenItIsStopped) {
  postgres::ShadowOptions options;
  options.stopped = [] { return true; };
  const auto info = shadow(std::move(options))->create(tables_);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, "pg.program_stopped");
  EXPECT_FALSE(exists("app_poundlock_shadow"));
}

TEST_F(ShadowTest, HoldsTheSchemaAndASampleAndGoesAway) {
  auto made = shadow();
  auto info = made->create(tables_);
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_NEAR(info->scale, 10, 4);
  EXPECT_THAT(info->description, HasSubstr("app_poundlock_shadow at 127.0.0.1"));
  auto session = std::move(*made->connect());
  const auto count =
      must_on(*session, "SELECT count(*) FROM shop.orders WHERE twice = legacy_status || legacy_status");
  EXPECT_GT(ports::to_int(count.rows[0][0]), 100);
  EXPECT_LE(ports::to_int(count.rows[0][0]), 500);
  must_on(*session, "ALTER TABLE shop.orders DISABLE TRIGGER no");
  EXPECT_EQ(session->run("INSERT INTO shop.orders (customer) VALUES (1)").error().sqlstate,
            "23503");  // the key is back
  must_on(*session, "INSERT INTO shop.customers VALUES (1)");
  must_on(*session, "INSERT INTO shop.orders (customer) VALUES (1)");  // with an identity that is free
  session.reset();
  ASSERT_TRUE(made->drop());
  ASSERT_TRUE(made->drop());
  EXPECT_FALSE(exists("app_poundlock_shadow"));
}

TEST_F(ShadowTest, ReplacesWhatAKilledRunLeft) {
  must("CREATE DATABASE app_poundlock_shadow");  // killed before the mark
  auto made = shadow();
  ASSERT_TRUE(made->create(tables_));
  auto left_open = std::move(*made->connect());
  must(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'poundlock' AND "
      "datname "
      "= 'app' AND pid <> pg_backend_pid()");
  auto again = shadow();  // as another process would: the first one never dropped it
  auto info = again->create(tables_);
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_THAT(info->description, HasSubstr("app_poundlock_shadow at"));
  ASSERT_TRUE(made->drop());  // it has lost it
  EXPECT_TRUE(again->connect());
  EXPECT_TRUE(again->drop());
}

TEST_F(ShadowTest, TwoRolloutsOfOneDatabaseDoNotDropEachOthers) {
  auto first = shadow(), second = shadow();
  ASSERT_TRUE(first->create(tables_));
  auto working = std::move(*first->connect());
  const auto info = second->create(tables_);
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_THAT(info->description, HasSubstr("app_poundlock_shadow_2 at"));
  must_on(*working, "SELECT count(*) FROM shop.orders");
  ASSERT_TRUE(second->drop());
  must_on(*working, "SELECT count(*) FROM shop.orders");
  working.reset();
  ASSERT_TRUE(first->drop());
  EXPECT_FALSE(exists("app_poundlock_shadow") || exists("app_poundlock_shadow_2"));
}

TEST_F(ShadowTest, AGivenCloneTakesAllChecksInARow) {
  must("DROP DATABASE IF EXISTS given");
  must("CREATE DATABASE given");
  must("COMMENT ON DATABASE given IS 'poundlock.shadow = on'");
  const std::string create =
      "CREATE TABLE public.bare (id bigint PRIMARY KEY, old_status text NOT NULL DEFAULT 'a')";
  must("DROP TABLE IF EXISTS public.bare");
  must(create);
  {
    auto inside = std::move(*database_->sibling("given")->connect());
    must_on(*inside, create);
    must_on(*inside, "INSERT INTO public.bare SELECT g, 'S' || g % 7 FROM generate_series(1, 500) g");
  }
  const auto made = this->plan(R"(
change_column:
  table: public.bare
  from: old_status
  to: {name: new_status, type: text, default: "'a'"}
  up: old_status
  down: new_status
  indexes: [{name: idx_new_status, columns: [new_status]}]
)");
  rollout::Plan whole;
  whole.rollout = "test";
  for (const auto* steps : {&made.steps, &made.open_sync}) {
    for (const auto& one : *steps) whole.items.push_back({.id = one.id, .phase = one.phase, .step = one});
  }
  whole.close_sync = made.close_sync;
  whole.restore = made.restore;
  whole.legacy = made.legacy;
  whole.fresh = made.fresh;
  whole.paths = {{.name = "by_id",
                  .legacy = "SELECT id, old_status AS s FROM bare WHERE id = $1",
                  .fresh = "SELECT id, new_status AS s FROM bare WHERE id = $1"}};
  postgres::ShadowOptions options;
  options.given = database_->sibling("given");
  auto clone = shadow(std::move(options));
  engine::ExecutorPorts ports;
  ports.shadow = clone.get();
  ports.clock = &clock_;
  ports.load_catalog = [](ports::Session& session) { return postgres::load_catalog(session); };
  for (int round = 0; round < 2; ++round) {
    for (const auto check : {engine::check_paths, engine::check_dry_run, engine::check_rehearsal}) {
      const auto result = check({ports, whole});
      ASSERT_TRUE(result) << result.error().to_string();
      const auto failures = result->figures.find("failures");
      EXPECT_TRUE(failures == result->figures.end() || failures->second == 0) << result->detail;
      EXPECT_THAT(result->detail, HasSubstr("a clone cannot take"));
    }
  }
  clone.reset();
  auto inside = std::move(*database_->sibling("given")->connect());
  const auto columns =
      must_on(*inside,
              "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid "
              "= 'public.bare'::regclass AND attnum > 0 AND NOT attisdropped");
  EXPECT_EQ(columns.rows[0][0], "id,old_status");
  inside.reset();
  must("DROP DATABASE given");
  must("DROP TABLE public.bare");
}

// An index has no columns of its own to copy rows for, and its dry run needs rows all the same.
TEST_F(ShadowTest, AUniqueIndexOverDuplicatesFailsInTheDryRun) {
  rollout::Plan whole;
  whole.rollout = "test";
  const auto made =
      plan("create_index:\n  table: shop.orders\n  name: uq\n  columns: [customer]\n  unique: true\n");
  for (const auto& one : made.steps) whole.items.push_back({.id = one.id, .phase = one.phase, .step = one});
  auto copy = shadow();
  engine::ExecutorPorts ports;
  ports.shadow = copy.get();
  ports.clock = &clock_;
  ports.load_catalog = [](ports::Session& session) { return postgres::load_catalog(session); };
  const auto result = engine::check_dry_run({ports, whole});
  ASSERT_FALSE(result) << result->detail;
  EXPECT_THAT(result.error().to_string(), HasSubstr("could not create unique index"));
}

TEST_F(ShadowTest, RefusesADatabaseThatIsNotMarked) {
  must("CREATE DATABASE app_poundlock_shadow");
  {
    auto inside = std::move(*database_->sibling("app_poundlock_shadow")->connect());
    must_on(*inside, "CREATE TABLE public.precious (a int)");
  }
  auto refused = shadow()->create(tables_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "shadow.unmarked");
  EXPECT_EQ(refused.error().disposition, Disposition::kRefused);
  EXPECT_TRUE(exists("app_poundlock_shadow"));
}

TEST_F(ShadowTest, RefusesTheProductionDatabaseEvenWithTheMark) {
  must("COMMENT ON DATABASE app IS 'poundlock.shadow = on'");
  postgres::ShadowOptions options;
  options.given = cluster_->database();
  auto refused = shadow(std::move(options))->create(tables_);
  must("COMMENT ON DATABASE app IS NULL");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "shadow.is_production");
  EXPECT_EQ(row("SELECT count(*) FROM shop.orders"), "5000");
}

TEST_F(ShadowTest, FillsAGivenEmptyDatabaseAndEmptiesItAgain) {
  must("DROP DATABASE IF EXISTS given");
  must("CREATE DATABASE given");
  postgres::ShadowOptions options;
  options.given = database_->sibling("given");
  auto made = shadow(std::move(options));
  EXPECT_EQ(made->create(tables_).error().code, "shadow.unmarked");
  must_on(*open("postgres"), "ALTER DATABASE given SET poundlock.shadow = on");
  auto info = made->create(tables_);
  ASSERT_TRUE(info) << info.error().to_string();
  ASSERT_TRUE(made->create(tables_));  // a second time over its own content
  ASSERT_TRUE(made->drop());
  auto inside = std::move(*database_->sibling("given")->connect());
  EXPECT_EQ(
      must_on(*inside, "SELECT count(*) FROM pg_tables WHERE schemaname IN ('shop', 'public')").rows[0][0],
      "0");
  inside.reset();
  must("DROP DATABASE given");
}

TEST_F(ShadowTest, LeavesAGivenCloneAsItIs) {
  must("DROP DATABASE IF EXISTS given");
  must("CREATE DATABASE given");
  must("COMMENT ON DATABASE given IS 'poundlock.shadow = on'");
  {
    auto inside = std::move(*database_->sibling("given")->connect());
    must_on(*inside, "CREATE TABLE public.clone (a int)");
  }
  postgres::ShadowOptions options;
  options.given = database_->sibling("given");
  auto made = shadow(std::move(options));
  ASSERT_TRUE(made->create(tables_));
  ASSERT_TRUE(made->drop());
  auto inside = std::move(*database_->sibling("given")->connect());
  must_on(*inside, "SELECT * FROM public.clone");
  inside.reset();
  must("DROP DATABASE given");
}

}  // namespace
}  // namespace poundlock::scenario
