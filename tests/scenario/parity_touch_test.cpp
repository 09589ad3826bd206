// poundlock parity: what is no relation and decides all the same, and through what a change meets it.
#include "engine/checks.h"
#include "engine/checks/parity_sides.h"
#include "engine/checks/parity_touched.h"
#include "postgres/catalog_loader.h"
#include "support/parity_fixture.h"

namespace poundlock::scenario {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;
using testing::Not;

class ParityTouchTest : public ParityTest {};

// None of these is a relation, and each decides what a statement does.
TEST_F(ParityTouchTest, WhatActsBesideTheTablesIsTold) {
  for (const char* name : {"staging", "prod"}) {
    in(name, "CREATE EXTENSION postgres_fdw", "postgres");
    in(name, "CREATE EXTENSION citext", "postgres");
    in(name, "CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'a')", "postgres");
    in(name, "CREATE AGGREGATE shop.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')");
    in(name, "CREATE COLLATION shop.order_of (provider = icu, locale = 'de')");
  }
  for (const char* sql :
       {"ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO writer",
        "DROP AGGREGATE shop.total(int)", "DROP COLLATION shop.order_of",
        "CREATE AGGREGATE shop.total(int) (SFUNC = int4mul, STYPE = int, INITCOND = '0')",
        "CREATE COLLATION shop.order_of (provider = icu, locale = 'sv')",
        "REVOKE USAGE ON TYPE shop.mood FROM PUBLIC",
        "ALTER TABLE shop.\"Order Items\" REPLICA IDENTITY USING INDEX \"Order Items_pkey\"",
        "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"})
    in("prod", sql);
  for (const char* sql : {"ALTER TABLE \"Other Schema\".\"Order Items\" DISABLE TRIGGER ALL",
                          "ALTER EXTENSION citext SET SCHEMA shop",
                          "ALTER SERVER far OPTIONS (SET host 'b', ADD extensions 'x')",
                          "CREATE USER MAPPING FOR app SERVER far OPTIONS (user 'u', password 'hunter2')"})
    in("prod", sql, "postgres");
  const auto found = compare();
  for (const std::string name :
       {"default privileges writer on tables of app on shop", "default privileges PUBLIC on functions of app",
        "aggregate shop.total(integer)", "collation shop.order_of", "grant PUBLIC on shop.mood",
        "replica identity shop.\"Order Items\"",
        "trigger foreign key \"Order Items_item_fkey\" on \"Other Schema\".\"Order Items\"",
        "extension schema citext", "foreign server far", "user mapping app on far",
        "table shop.\"Order Items\""})
    EXPECT_THAT(found, Contains(Key(name)));
  EXPECT_EQ(found.size(), 11U) << testing::PrintToString(found);
  for (const auto& [name, value] : found) EXPECT_THAT(value, Not(Contains(HasSubstr("hunter2")))) << name;
}

// The table's default, check and index call functions; a trigger's function calls another; a view reads a
// view.
TEST_F(ParityTouchTest, WhatAChangeMeetsIsFoundThroughWhatCallsIt) {
  const std::string items = "shop.\"Order Items\"";
  for (const char* name : {"staging", "prod"})
    for (const auto& sql : std::vector<std::string>{
             "CREATE FUNCTION shop.number() RETURNS int LANGUAGE sql AS 'SELECT 1'",
             "ALTER TABLE " + items + " ALTER \"select\" SET DEFAULT shop.number()",
             "CREATE FUNCTION shop.inner_one() RETURNS void LANGUAGE plpgsql AS 'BEGIN END'",
             "CREATE OR REPLACE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM "
             "inner_one(); RETURN NEW; END'",
             "CREATE FUNCTION shop.reads() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM shop.\"Order "
             "Items\"'",
             "CREATE FUNCTION shop.apart() RETURNS int LANGUAGE sql AS 'SELECT 1'",
             "CREATE DOMAIN shop.deep AS shop.mood", "ALTER TABLE " + items + " ALTER mood TYPE shop.deep",
             "CREATE VIEW shop.seen_twice AS SELECT id FROM shop.seen",
             "CREATE TABLE shop.\"Order Items 2\" (id int)",
             "CREATE VIEW shop.beside AS SELECT id FROM shop.\"Order Items 2\""})
      in(name, sql);
  for (const char* sql :
       {"CREATE OR REPLACE FUNCTION shop.number() RETURNS int LANGUAGE sql AS 'SELECT 2'",
        "CREATE OR REPLACE FUNCTION shop.inner_one() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM 1; END'",
        "CREATE OR REPLACE FUNCTION shop.reads() RETURNS bigint LANGUAGE sql AS 'SELECT 2 + count(*) FROM "
        "shop.\"Order Items\"'",
        "CREATE OR REPLACE FUNCTION shop.apart() RETURNS int LANGUAGE sql AS 'SELECT 2'",
        "ALTER TYPE shop.mood ADD VALUE 'so so'",
        "CREATE OR REPLACE VIEW shop.seen_twice AS SELECT id FROM shop.seen WHERE id > 1",
        "CREATE OR REPLACE VIEW shop.beside AS SELECT id FROM shop.\"Order Items 2\" WHERE id > 1"})
    in("prod", sql);
  const auto found = compare({"--rollout", "items.yaml"});
  EXPECT_EQ(found.size(), 7U);
  for (const auto& [name, value] : found)
    EXPECT_EQ(value[2], name == "function shop.apart()" || name == "view shop.beside" ? "shown" : "blocks")
        << name;
  EXPECT_THAT(found.at("function shop.number()")[1], HasSubstr("line 4: AS $function$SELECT 2$function$"));
}

// Another server's roles: who logs in is often a member only.
TEST_F(ParityTouchTest, AMemberOfARoleThatUsesTheTableCountsAndAGuestDoesNot) {
  auto other = PgCluster::start({.settings = {"wal_level=logical"}});
  ASSERT_TRUE(other) << other.error().to_string();
  const auto there = [&](const std::string& sql, const std::string& role, const std::string& database) {
    auto opened = (*other)->database(role, database)->connect();
    ASSERT_TRUE(opened) << opened.error().to_string();
    const auto done = (*opened)->run(sql);
    ASSERT_TRUE(done) << sql << ": " << done.error().to_string();
  };
  const auto compared = [&] {
    const auto ran = run({"parity", "--from", cluster_->conninfo("app", "staging"), "--to",
                          (*other)->conninfo("app", "prod"), "--rollout", "items.yaml", "--output", "json"});
    std::string roles;
    const auto answer = bj::parse(ran.out);
    for (const auto& one : answer.at("differences").as_array())
      if (one.at("kind") == "role")
        roles += bj::serialize(one) + "\n";
      else if (one.at("blocking").as_bool())
        ADD_FAILURE() << bj::serialize(one);
    return roles;
  };
  there("CREATE DATABASE prod OWNER app", "postgres", "postgres");
  for (const auto& sql : kShop) there(sql, "app", "prod");
  for (const char* sql :
       {"DROP ROLE IF EXISTS shop_login", "CREATE ROLE shop_login LOGIN", "GRANT writer TO shop_login"})
    admin(sql);
  there("CREATE ROLE shop_login LOGIN", "postgres", "postgres");
  EXPECT_EQ(
      compared(),
      R"({"kind":"role","object":"shop_login","from":"login, member of writer","to":"login","blocking":true})"
      "\n");
  there("DROP ROLE shop_login", "postgres", "postgres");
  EXPECT_THAT(compared(), HasSubstr("\"to\":null,\"blocking\":false"));
  admin("DROP ROLE shop_login");
}

// Carriage returns and indentation come from editors. In a literal, and in another language, they mean
// something.
TEST_F(ParityTouchTest, WhiteSpaceOfAFunctionBlocksOnlyWhereItMeansSomething) {
  const auto body = [&](const std::string& database, const std::string& text) {
    in(database,
       "CREATE OR REPLACE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS E'" + text + "'");
  };
  body("staging", "BEGIN\\n  NEW.legacy_status := ''a b''; -- why\\n  RETURN NEW;\\nEND");
  body("prod", "BEGIN\\r\\n\\tNEW.legacy_status :=  ''a b''; -- why\\r\\n\\r\\nRETURN NEW; END");
  auto found = compare({"--rollout", "items.yaml"});
  EXPECT_EQ(code_, 0);
  EXPECT_THAT(found.at("function shop.touch()")[0], HasSubstr("only white space differs"));
  body("prod", "BEGIN\\n  NEW.legacy_status := ''a  b''; -- why\\n  RETURN NEW;\\nEND");
  EXPECT_EQ(compare({"--rollout", "items.yaml"}).at("function shop.touch()")[2], "blocks");
  body("prod", "BEGIN\\n  NEW.legacy_status := ''a b''; -- why  RETURN NEW;\\nEND");
  EXPECT_EQ(compare({"--rollout", "items.yaml"}).at("function shop.touch()")[2], "blocks");
}

TEST_F(ParityTouchTest, TheNewestRunOfAMigrationCountsAndEachHistoryIsItsOwn) {
  for (const char* name : {"staging", "prod"}) {
    in(name,
       "INSERT INTO shop.history VALUES (2, NULL, 'views', 'SQL', 'R__views.sql', 5, true), (3, NULL, "
       "'views', 'SQL', 'R__views.sql', 6, true)");
    in(name,
       "CREATE TABLE shop.log (id text, author text, filename text, orderexecuted int, exectype text, "
       "md5sum text)");
    in(name, "INSERT INTO shop.log VALUES ('1', 'me', 'a.sql', 1, 'EXECUTED', '9:a')");
  }
  in("prod", "UPDATE shop.log SET exectype = 'RERAN'");
  EXPECT_THAT(compare(), IsEmpty());
  in("prod", "UPDATE shop.history SET checksum = 7 WHERE installed_rank = 3");
  EXPECT_THAT(compare(), ElementsAre(Key("migration flyway R views")));
  in("prod", "UPDATE shop.history SET checksum = 6 WHERE installed_rank = 3");
  for (const char* name : {"staging", "prod"}) {
    in(name, "CREATE TABLE \"Other Schema\".history (LIKE shop.history)");
    in(name, "INSERT INTO \"Other Schema\".history VALUES (1, '1', 'init', 'SQL', 'V1__init.sql', 11, true)");
  }
  in("prod", "UPDATE \"Other Schema\".history SET success = false");
  EXPECT_THAT(compare(), ElementsAre(Key("migration flyway 1 init in \"Other Schema\".history")));
}

// Equal in everything, and proof of nothing.
TEST_F(ParityTouchTest, OneAndTheSameDatabaseIsSaidAndPassesNoGate) {
  const auto ran = run({"parity", "--from", cluster_->conninfo("app", "staging"), "--to",
                        cluster_->conninfo("postgres", "staging")});
  EXPECT_THAT(ran.out, HasSubstr("one and the same database"));
  auto staging = cluster_->database("app", "staging"), prod = cluster_->database("app", "staging");
  engine::ExecutorPorts ports;
  ports.databases.primary = prod.get();
  ports.databases.staging = staging.get();
  ports.load_catalog = [](ports::Session& session) { return postgres::load_catalog(session, {}); };
  const auto result = engine::check_parity({ports, {}});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_THAT(result->figures, IsEmpty());
  EXPECT_THAT(result->detail, HasSubstr("one and the same database"));
}

// PostgreSQL 18 lists each NOT NULL as a constraint of its own.
TEST(ParityOfVersions, ANotNullThatHasGotANameIsNoDifference) {
  schema::Table table;
  table.schema = "shop";
  table.name = "orders";
  table.columns.push_back({.attnum = 1, .name = "id", .type = "bigint", .not_null = true});
  engine::Side older, newer;
  older.catalog.server_version_num = 170'002;
  older.catalog.tables = {table};
  table.constraints.push_back({.name = "orders_id_not_null", .kind = 'n', .definition = "NOT NULL id"});
  newer.catalog.server_version_num = 180'000;
  newer.catalog.tables = {table};
  EXPECT_THAT(engine::compare_sides(older, newer, nullptr), IsEmpty());
  older.catalog.server_version_num = 180'000;
  EXPECT_EQ(engine::compare_sides(older, newer, nullptr).size(), 1U) << "both name theirs";
  older.catalog.server_version_num = 170'002;
  older.catalog.tables[0].columns[0].not_null = false;
  EXPECT_EQ(engine::compare_sides(older, newer, nullptr).size(), 1U) << "the column tells";
}

TEST(ParityOfRoles, DefaultPrivilegesAreRenamedAtBothEnds) {
  engine::Side side;
  side.catalog.parts = {
      {"default privileges", "\"a of b\" on tables of \"c of d\"", "schema", "s", "SELECT"}};
  engine::rename_roles(side, {{"a of b", "x"}, {"c of d", "y of z"}});
  EXPECT_EQ(side.catalog.parts[0].name, "x on tables of \"y of z\"");
}

TEST(NamesInText, AreReadAsTheServerWritesThemAndAsPeopleDo) {
  const auto names = [](std::string_view text) {
    std::string out;
    for (const auto& one : engine::names_in(text))
      out += (out.empty() ? "" : " ") + one.schema + (one.schema.empty() ? "" : ".") + one.name +
             (one.called ? "()" : "");
    return out;
  };
  EXPECT_EQ(names("EXECUTE FUNCTION shop.touch()"), "execute function shop.touch");
  EXPECT_EQ(names("nextval('\"A b\".\"C \"\"d\"'::regclass)"), "nextval() A b.C \"d regclass()");
  EXPECT_EQ(names("PERFORM Helper (1e5, $1, x2y)"), "perform helper() x2y");
  EXPECT_EQ(names("a.b.c"), "a.b b.c");
  EXPECT_EQ(names("'half \" a quote\n' || shop.after()"), "half a quote shop.after");
  EXPECT_EQ(names("\"" + std::string(70, 'x') + "\" y").find("y") != std::string::npos, true);
  EXPECT_EQ(names("\xC3\xA4.\xC3\xB6 \"open"), "\xC3\xA4.\xC3\xB6 open");
  EXPECT_EQ(names(""), "");
}

}  // namespace
}  // namespace poundlock::scenario
