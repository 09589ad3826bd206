// What a shadow has of its source beside schema and rows: settings, rights, locale.
#include "engine/checks.h"
#include "postgres/pg_dump_shadow.h"
#include "schema/identifier.h"
#include "support/rollout_fixture.h"

namespace poundlock::scenario {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr const char* kSource = "Shop \"EU\"";

class ShadowLikeSourceTest : public RolloutFixture {
 protected:
  void SetUp() override {
    RolloutFixture::SetUp();
    root_ = open("postgres");
    for (const std::string& name : {std::string(kSource), std::string("given")})
      must_on(*root_, "DROP DATABASE IF EXISTS " + schema::quote_identifier(name) + " WITH (FORCE)");
  }
  void TearDown() override {
    root_.reset();
    RolloutFixture::TearDown();
  }
  void make_source(const std::string& options = {}) {
    must_on(*root_, "CREATE DATABASE " + schema::quote_identifier(kSource) +
                        " OWNER app TEMPLATE template0 " + options);
    source_ = database_->sibling(kSource);
    auto inside = std::move(*source_->connect());
    must_on(*inside, "CREATE SCHEMA \"Order Items\"");
    must_on(*inside, "CREATE TABLE \"Order Items\".lines (id bigint PRIMARY KEY, note text)");
    must_on(*inside, "INSERT INTO \"Order Items\".lines SELECT g, 'n' || g FROM generate_series(1, 100) g");
  }
  std::string on_source(const std::string& words) {
    return "ALTER DATABASE " + schema::quote_identifier(kSource) + " " + words;
  }
  // As `role|setting`, one a line, of the database that `session` is in.
  static std::string settings(ports::Session& session) {
    return must_on(
               session,
               "SELECT string_agg(r || '|' || c, E'\\n' ORDER BY r, c) FROM (SELECT CASE setrole WHEN 0 THEN "
               "'' ELSE pg_get_userbyid(setrole) END, c FROM pg_db_role_setting s, unnest(setconfig) c "
               "WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) AND c "
               "!~ '^poundlock') AS s(r, c)")
        .rows[0][0]
        .value_or("");
  }
  static std::string rights(ports::Session& session) {
    return must_on(session,
                   "SELECT string_agg(DISTINCT a::text, ' ' ORDER BY a::text) FROM pg_database d, "
                   "unnest(datacl) a WHERE datname = current_database()")
        .rows[0][0]
        .value_or("as new");
  }
  std::unique_ptr<ports::Shadow> shadow(postgres::ShadowOptions options = {}) {
    return postgres::make_pg_dump_shadow(*source_, clock_, std::move(options));
  }
  // What would stop us while the shadow is filled, and a value that is a list.
  void set_all() {
    for (const char* words : {"SET search_path = 'Order Items', \"$user\"", "SET statement_timeout = '30s'",
                              "SET default_transaction_read_only = on", "SET application_name = 'it''s ''s'"})
      must_on(*root_, on_source(words));
    must_on(*root_,
            "ALTER ROLE app IN DATABASE " + schema::quote_identifier(kSource) + " SET work_mem = '5MB'");
    must_on(*root_, "REVOKE ALL ON DATABASE " + schema::quote_identifier(kSource) + " FROM PUBLIC");
    must_on(*root_, "GRANT CONNECT ON DATABASE " + schema::quote_identifier(kSource) + " TO writer");
  }

  std::unique_ptr<ports::Session> root_;
  std::unique_ptr<postgres::PgDatabase> source_;
  const std::vector<schema::QualifiedName> tables_{{"Order Items", "lines"}};
};

TEST_F(ShadowLikeSourceTest, ACopyBearsTheSettingsAndTheRightsOfItsSource) {
  make_source();
  set_all();
  for (const bool whole : {false, true}) {
    postgres::ShadowOptions options;
    options.whole = whole;
    auto made = shadow(std::move(options));
    const auto info = made->create(tables_);
    ASSERT_TRUE(info) << info.error().to_string();
    EXPECT_TRUE(info->left_out.empty()) << info->left_out[0];
    auto inside = std::move(*made->connect());
    auto there = std::move(*cluster_->database("postgres")->sibling(kSource)->connect());
    EXPECT_EQ(settings(*inside), settings(*there));
    EXPECT_THAT(settings(*inside), HasSubstr("app|work_mem=5MB"));
    EXPECT_EQ(rights(*inside), rights(*there));
    EXPECT_THAT(rights(*inside), HasSubstr("writer=c/app"));
    EXPECT_EQ(must_on(*inside, "SELECT count(*) FROM \"Order Items\".lines").rows[0][0], "100");
    const auto path = engine::application_search_path(*inside, {});
    ASSERT_TRUE(path);
    EXPECT_EQ(*path, "\"Order Items\", \"$user\"");
    there.reset();
    inside.reset();
    ASSERT_TRUE(made->drop());
  }
}

TEST_F(ShadowLikeSourceTest, WhatTheRoleMayNotSetIsNamed) {
  make_source();
  must_on(*root_, on_source("SET log_min_duration_statement = 1000"));
  must_on(*root_,
          "ALTER ROLE writer IN DATABASE " + schema::quote_identifier(kSource) + " SET work_mem = '6MB'");
  auto made = shadow();
  const auto info = made->create(tables_);
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_THAT(info->left_out, testing::ElementsAre("the setting log_min_duration_statement",
                                                   "the setting work_mem of the role writer"));
}

// Its owner's own stay, and the source's go again, also after a run that was killed.
TEST_F(ShadowLikeSourceTest, AGivenDatabaseIsLentTheSettingsAsLongAsItIsFilled) {
  make_source();
  set_all();
  must("CREATE DATABASE given");
  must("COMMENT ON DATABASE given IS 'poundlock.shadow = on'");
  must("ALTER DATABASE given SET statement_timeout = '9s'");
  const auto given = database_->sibling("given");
  const auto fill = [&] {
    postgres::ShadowOptions options;
    options.given = database_->sibling("given");
    return shadow(std::move(options));
  };
  auto killed = fill();
  ASSERT_TRUE(killed->create(tables_));
  {
    auto inside = std::move(*killed->connect());
    EXPECT_THAT(settings(*inside), HasSubstr("|search_path=\"Order Items\", \"$user\""));
    EXPECT_THAT(settings(*inside), HasSubstr("app|work_mem=5MB"));
    EXPECT_THAT(settings(*inside), HasSubstr("|statement_timeout=9s"));
  }
  must("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'given'");
  auto again = fill();
  const auto info = again->create(tables_);
  ASSERT_TRUE(info) << info.error().to_string();
  ASSERT_TRUE(again->drop());
  auto inside = std::move(*given->connect());
  EXPECT_EQ(settings(*inside), "|statement_timeout=9s");
}

// A dry run that writes into a foreign table, itself or by a trigger, wrote to the server behind it.
TEST_F(ShadowLikeSourceTest, ACopyDoesNotLeadToForeignServers) {
  make_source();
  must("CREATE TABLE shop.real (id int)");
  {
    auto there = std::move(*cluster_->database("postgres")->sibling(kSource)->connect());
    must_on(*there, "CREATE EXTENSION postgres_fdw SCHEMA public");
    must_on(*there,
            "CREATE SERVER \"the Real one\" FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', "
            "port '" +
                std::to_string(cluster_->port()) + "', dbname 'app')");
    must_on(*there,
            "CREATE USER MAPPING FOR PUBLIC SERVER \"the Real one\" OPTIONS (user 'app', "
            "password_required 'false')");
    must_on(*there,
            "CREATE FOREIGN TABLE public.real (id int) SERVER \"the Real one\" OPTIONS (schema_name "
            "'shop')");
    must_on(*there, "INSERT INTO public.real VALUES (1)");
  }
  for (const bool whole : {false, true}) {
    const auto as_root = cluster_->database("postgres")->sibling(kSource);
    postgres::ShadowOptions options;
    options.whole = whole;
    auto made = postgres::make_pg_dump_shadow(*as_root, clock_, std::move(options));
    const auto info = made->create(tables_);
    ASSERT_TRUE(info) << info.error().to_string();
    EXPECT_THAT(info->left_out, Contains(HasSubstr("a way to the foreign server the Real one")));
    auto inside = std::move(*made->connect());
    const auto wrote = inside->run("INSERT INTO public.real VALUES (2)");
    ASSERT_FALSE(wrote);
    EXPECT_THAT(wrote.error().message, HasSubstr("user mapping not found"));
    must_on(*inside, "ALTER FOREIGN TABLE public.real ADD COLUMN note text");
  }
  // Who may not cut it off gets no copy that leads there.
  postgres::ShadowOptions options;
  options.whole = true;
  const auto refused = shadow(std::move(options))->create(tables_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "shadow.leads_out");
  EXPECT_EQ(row("SELECT string_agg(id::text, ' ') FROM shop.real"), "1");
  EXPECT_EQ(row("SELECT count(*) FROM pg_database WHERE datname LIKE '%shadow%'"), "0");
}

TEST_F(ShadowLikeSourceTest, TriggersFireAsInTheSourceAndNotWhileRowsAreCopied) {
  make_source();
  auto there = std::move(*cluster_->database("postgres")->sibling(kSource)->connect());
  for (const char* sql :
       {"CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'",
        "CREATE FUNCTION public.no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no ddl''; "
        "END'",
        "CREATE TABLE public.parts (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE public.part PARTITION OF public.parts DEFAULT", "INSERT INTO public.parts VALUES (1)",
        "CREATE TRIGGER \"Own\" BEFORE INSERT ON public.part FOR EACH ROW EXECUTE FUNCTION public.no()",
        "CREATE TRIGGER off BEFORE INSERT ON public.parts FOR EACH ROW EXECUTE FUNCTION public.no()",
        "CREATE TRIGGER always BEFORE INSERT ON public.parts FOR EACH ROW EXECUTE FUNCTION public.no()",
        "ALTER TABLE public.parts DISABLE TRIGGER off",
        "ALTER TABLE public.parts ENABLE ALWAYS TRIGGER always",
        "CREATE EVENT TRIGGER no_ddl ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION "
        "public.no_ddl()"})
    must_on(*there, sql);
  const std::string states =
      "SELECT string_agg(tgrelid::regclass || ' ' || tgname || ' ' || tgenabled::text, ', ' ORDER BY 1) FROM "
      "(SELECT * "
      "FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgrelid::regclass::text, tgname) t";
  const auto as_root = cluster_->database("postgres")->sibling(kSource);
  auto made = postgres::make_pg_dump_shadow(*as_root, clock_, {});
  const auto info = made->create({{"public", "parts"}});
  ASSERT_TRUE(info) << info.error().to_string();
  auto inside = std::move(*made->connect());
  EXPECT_EQ(must_on(*inside, states).rows, must_on(*there, states).rows);
  EXPECT_EQ(must_on(*inside, "SELECT count(*) FROM public.parts").rows[0][0], "1");
  EXPECT_THAT(inside->run("ALTER TABLE public.parts ADD COLUMN a int").error().message, HasSubstr("no ddl"));
}

TEST_F(ShadowLikeSourceTest, AnExtensionThatTheRoleMayNotCreateIsNamed) {
  make_source();
  must_on(**cluster_->database("postgres")->sibling(kSource)->connect(),
          "CREATE EXTENSION postgres_fdw SCHEMA public");
  auto made = shadow();
  const auto info = made->create(tables_);
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_THAT(info->left_out, testing::ElementsAre("the extension postgres_fdw"));
}

// ORDER BY and indexes on text are another thing where the provider is.
TEST_F(ShadowLikeSourceTest, ACopySortsAsItsSource) {
  make_source("ENCODING utf8 LOCALE 'C.UTF-8' LOCALE_PROVIDER icu ICU_LOCALE 'de-DE-u-kn-true'");
  auto made = shadow();
  const auto info = made->create(tables_);
  ASSERT_TRUE(info) << info.error().to_string();
  auto inside = std::move(*made->connect());
  EXPECT_EQ(
      must_on(*inside, "SELECT string_agg(v, ' ' ORDER BY v) FROM (VALUES ('a10'), ('a9'), ('B1')) AS s(v)")
          .rows[0][0],
      "a9 a10 B1");
}

}  // namespace
}  // namespace poundlock::scenario
