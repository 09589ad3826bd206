// The shadow that pg_dump makes: what is in it, what it refuses, and that nothing of it stays.
#include "engine/checks.h"
#include "postgres/pg_dump_shadow.h"
#include "support/packages.h"
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
  EXPECT_EQ(info.error().code, "check.stopped");
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
  EXPECT_EQ(session->run("INSERT INTO shop.orders (customer) VALUES (11)").error().sqlstate,
            "23503");  // the key is back, and the rows that it points to are there
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

// Rows that the planner expects of `condition`.
double expected(ports::Session& session, const std::string& condition) {
  const auto plan = session.run("EXPLAIN (FORMAT TEXT) SELECT * FROM shop.visits WHERE " + condition);
  EXPECT_TRUE(plan) << plan.error().to_string();
  const std::string text = plan ? plan->rows.at(0).at(0).value_or("") : "";
  const auto at = text.find("rows=");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + 5));
}

// 50,000 visits of 500 people, one of whom made half of them: a sample of 500 rows knows neither.
void make_visits(ports::Session& session) {
  for (const char* sql :
       {"CREATE TYPE shop.kind AS ENUM ('new', 'old')",
        "CREATE TABLE shop.visits (id int PRIMARY KEY, person varchar(10), at timestamptz, kind shop.kind, "
        "tags text[])",
        "INSERT INTO shop.visits SELECT g, 'p' || CASE WHEN g % 2 = 0 THEN 0 ELSE g % 500 END, timestamptz "
        "'2024-01-01' + g * interval '1 minute', CASE WHEN g % 1000 = 0 THEN 'new' ELSE 'old' "
        "END::shop.kind, "
        "ARRAY['a'] FROM generate_series(1, 50000) g",
        "ANALYZE shop.visits"}) {
    const auto done = session.run(sql);
    ASSERT_TRUE(done) << sql << ": " << done.error().to_string();
  }
}

constexpr const char* kConditions[] = {"person = 'p7'", "person = 'p0'", "at < '2024-01-05'", "kind = 'new'",
                                       "id < 25000"};

TEST_F(ShadowTest, ASuperusersShadowPlansAsProductionDoes) {
  make_visits(*session_);
  const auto root = cluster_->database("postgres");
  postgres::ShadowOptions options;
  options.rows_max = 500;
  auto made = postgres::make_pg_dump_shadow(*root, clock_, std::move(options));
  must("CREATE STATISTICS shop.\"Both\" (ndistinct) ON person, kind FROM shop.visits");
  const auto info = made->create({{"shop", "visits"}});
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_THAT(info->left_out, testing::ElementsAre(HasSubstr("extended statistics shop.\"Both\"")));
  EXPECT_THAT(info->statistics, HasSubstr("of 4 columns of 1 tables are copied from app"));
  EXPECT_THAT(info->statistics, HasSubstr("1 stay the sample's: visits.tags"));
  auto session = std::move(*made->connect());
  must_on(*session, "BEGIN");
  const auto copied = made->copy_statistics(*session);
  ASSERT_TRUE(copied) << copied.error().to_string();
  EXPECT_TRUE(copied->done) << copied->words;
  for (const char* condition : kConditions) {
    const double real = expected(*session_, condition);
    EXPECT_NEAR(expected(*session, condition) / real, 1, 0.1) << condition << ", really " << real;
  }
  // An array's elements are not lost with the rest of its row.
  EXPECT_NEAR(expected(*session, "tags @> ARRAY['a']") / expected(*session_, "tags @> ARRAY['a']"), 1, 0.1);
  must_on(*session, "ROLLBACK");  // whoever counts rows by the catalog finds the sample's
  EXPECT_LE(ports::to_int(must_on(*session,
                                  "SELECT reltuples FROM pg_class WHERE oid = "
                                  "'shop.visits'::regclass")
                              .rows[0][0]),
            500);
}

TEST_F(ShadowTest, AnOrdinaryOwnersShadowSaysWhyItsStatisticsAreTheSamples) {
  make_visits(*session_);
  auto made = shadow();
  const auto info = made->create({{"shop", "visits"}});
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_THAT(info->statistics, HasSubstr("not copied: before PostgreSQL 18 that takes a superuser"));
  auto session = std::move(*made->connect());
  EXPECT_GT(expected(*session, "person = 'p0'"), 0);  // it has been analysed all the same
}

// From PostgreSQL 18 on the owner may write them.
TEST_F(ShadowTest, AnOrdinaryOwnerOfANewerShadowPlansAsProductionDoes) {
  const auto programs = newer_postgres();
  if (!programs) GTEST_SKIP() << programs.error();
  make_visits(*session_);
  ClusterOptions newer;
  newer.programs = *programs;
  const auto cluster = PgCluster::start(newer);
  ASSERT_TRUE(cluster) << cluster.error().to_string();
  const auto there = std::move(*(*cluster)->database("app", "postgres")->connect());
  must_on(*there, "CREATE DATABASE given");
  must_on(*there, "COMMENT ON DATABASE given IS 'poundlock.shadow = on'");
  postgres::ShadowOptions options;
  options.given = (*cluster)->database("app", "given");
  auto made = shadow(std::move(options));
  const auto info = made->create({{"shop", "visits"}});
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_THAT(info->statistics, HasSubstr("of 5 columns of 1 tables are copied from app"));
  auto session = std::move(*made->connect());
  must_on(*session, "BEGIN");
  ASSERT_TRUE(made->copy_statistics(*session)->done);
  for (const char* condition : kConditions) {
    const double real = expected(*session_, condition);
    EXPECT_NEAR(expected(*session, condition) / real, 1, 0.1) << condition << ", really " << real;
  }
}

TEST_F(ShadowTest, ADatabaseThatNobodyIsInIsCopiedAsAWhole) {
  must("DROP DATABASE IF EXISTS idle WITH (FORCE)");
  must("CREATE DATABASE idle");
  const auto idle = database_->sibling("idle");
  auto somebody = std::move(*idle->connect());
  must_on(*somebody, "CREATE TABLE public.\"Order Items\" AS SELECT generate_series(1, 3000) AS id");
  must_on(*somebody, "SET application_name = 'the shop'");
  const auto whole = [&] {
    postgres::ShadowOptions options;
    options.whole = true;
    return postgres::make_pg_dump_shadow(*idle, clock_, std::move(options));
  };
  const auto refused = whole()->create({{"public", "Order Items"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "shadow.not_idle");
  EXPECT_EQ(refused.error().disposition, Disposition::kRefused);
  EXPECT_THAT(refused.error().message,
              HasSubstr("pid " + std::to_string(somebody->backend_pid()) + " (role app, the shop, idle)"));
  EXPECT_FALSE(exists("idle_poundlock_shadow") || exists("idle_poundlock_shadow_intent"));
  must_on(*somebody, "SELECT 1");  // and nobody was ended for it
  somebody.reset();
  // What a killed run left, before the mark.
  must("CREATE DATABASE idle_poundlock_shadow_intent");
  must("COMMENT ON DATABASE idle_poundlock_shadow_intent IS 'poundlock.shadow = on'");
  must("CREATE DATABASE idle_poundlock_shadow TEMPLATE idle");
  auto made = whole();
  const auto info = made->create({{"public", "Order Items"}});
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_FALSE(info->kept);
  EXPECT_EQ(info->scale, 1);
  EXPECT_THAT(info->description, HasSubstr("a copy of idle"));
  auto session = std::move(*made->connect());
  EXPECT_EQ(must_on(*session, "SELECT count(*) FROM public.\"Order Items\"").rows[0][0], "3000");
  session.reset();
  ASSERT_TRUE(made->drop());
  EXPECT_FALSE(exists("idle_poundlock_shadow") || exists("idle_poundlock_shadow_intent"));
  must("DROP DATABASE idle");
}

TEST_F(ShadowTest, ALargeDatabaseIsNotCopiedAsAWhole) {
  must("DROP DATABASE IF EXISTS idle WITH (FORCE)");
  must("CREATE DATABASE idle");
  EXPECT_EQ(postgres::ShadowOptions{}.whole_bytes_max, 4LL << 30);
  const auto idle = database_->sibling("idle");
  postgres::ShadowOptions options;
  options.whole = true;
  options.whole_bytes_max = 1'000'000;
  const auto info = postgres::make_pg_dump_shadow(*idle, clock_, std::move(options))->create({});
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, "shadow.too_large");
  EXPECT_EQ(info.error().disposition, Disposition::kRefused);
  EXPECT_THAT(info.error().message, HasSubstr("bytes, and at most 1000000 are copied"));
  EXPECT_THAT(info.error().hint, HasSubstr("--shadow"));
  EXPECT_FALSE(exists("idle_poundlock_shadow") || exists("idle_poundlock_shadow_intent"));
  must("DROP DATABASE idle");
}

TEST_F(ShadowTest, ACopyIsStoppedAtOnce) {
  must("DROP DATABASE IF EXISTS idle WITH (FORCE)");
  must("CREATE DATABASE idle");
  const auto idle = database_->sibling("idle");
  postgres::ShadowOptions options;
  options.whole = true;
  options.stopped = [] { return true; };
  const auto info = postgres::make_pg_dump_shadow(*idle, clock_, std::move(options))->create({});
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, "check.stopped");
  EXPECT_FALSE(exists("idle_poundlock_shadow") || exists("idle_poundlock_shadow_intent"));
  must("DROP DATABASE idle");
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
