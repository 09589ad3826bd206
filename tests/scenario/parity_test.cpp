// poundlock parity against real databases: what is told, what is not, and what a rollout is held up by.
#include <array>

#include "engine/checks.h"
#include "engine/checks/parity_sides.h"
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

TEST_F(ParityTest, TheSameSchemaMadeInAnotherOrderIsEqual) {
  in("prod", "DROP INDEX shop.by_status");
  in("prod", "ALTER TABLE shop.\"Order Items\" DROP CONSTRAINT \"Order Items_select_check\"");
  in("prod", "ALTER TABLE shop.\"Order Items\" ADD CHECK (\"select\" > 0)");
  in("prod", "CREATE INDEX by_status ON shop.\"Order Items\" (legacy_status)");
  in("prod", "INSERT INTO shop.elsewhere SELECT g, 'x' FROM pg_catalog.generate_series(1, 1000) g");
  in("prod", "ANALYZE");
  EXPECT_THAT(compare(), IsEmpty());
  EXPECT_EQ(code_, 0);
}

TEST_F(ParityTest, EveryKindOfDifferenceIsTold) {
  for (const auto& sql : std::vector<std::string>{
           "ALTER TABLE shop.\"Order Items\" ALTER legacy_status SET DEFAULT 'a b'",
           "ALTER TABLE shop.\"Order Items\" ALTER legacy_status TYPE varchar(9)",
           "ALTER TABLE shop.\"Order Items\" ADD CONSTRAINT big CHECK (id > 0) NOT VALID",
           "CREATE OR REPLACE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; "
           "END'",
           "ALTER TABLE shop.\"Order Items\" DISABLE TRIGGER touch",
           "GRANT INSERT ON shop.\"Order Items\" TO writer",
           "ALTER POLICY own ON shop.\"Order Items\" USING (id > 4)",
           "ALTER PUBLICATION outward SET TABLE shop.\"Order Items\" WHERE (id > 6)",
           "ALTER TYPE shop.mood ADD VALUE 'so so'", "DROP TABLE shop.elsewhere",
           "CREATE TABLE shop.events_2 PARTITION OF shop.events FOR VALUES FROM ('2024-02-01') TO "
           "('2024-03-01')",
           "CREATE TABLE \"Other Schema\".fresh (a int)", "DROP INDEX shop.by_status",
           "UPDATE shop.history SET checksum = 12", "UPDATE shop.alembic_version SET version_num = 'bf20'",
           "ALTER DATABASE prod SET TimeZone = 'Europe/Berlin'", "ALTER DATABASE prod SET work_mem = '8MB'",
           "CREATE SEQUENCE shop.numbers"})
    in("prod", sql);
  in("prod", "ALTER ROLE writer IN DATABASE prod SET statement_timeout = '5s'", "postgres");
  in("prod", "CREATE EXTENSION citext", "postgres");
  const auto found = compare();
  EXPECT_EQ(code_, 1);
  const std::string items = "shop.\"Order Items\"";
  const std::map<std::string, std::vector<std::string>> expected{
      {"column " + items + ".legacy_status",
       {"text DEFAULT 'a  b'::text", "character varying(9) DEFAULT 'a b'::text", "blocks"}},
      {"constraint big on " + items, {"-", "CHECK ((id > 0)) NOT VALID (not validated)", "blocks"}},
      {"grant writer on " + items, {"SELECT", "INSERT, SELECT", "blocks"}},
      {"policy own on " + items,
       {"PERMISSIVE FOR SELECT TO writer USING (id > 3)", "PERMISSIVE FOR SELECT TO writer USING (id > 4)",
        "blocks"}},
      {"publication outward on " + items, {"published WHERE (id > 5)", "published WHERE (id > 6)", "blocks"}},
      {"type shop.mood", {"enum 'good', 'bad'", "enum 'good', 'bad', 'so so'", "blocks"}},
      {"table shop.elsewhere", {"2 columns", "-", "blocks"}},
      {"partition shop.events_2",
       {"-", "of shop.events FOR VALUES FROM ('2024-02-01') TO ('2024-03-01'); 2 columns", "blocks"}},
      {"table \"Other Schema\".fresh", {"-", "1 column", "blocks"}},
      {"index by_status on " + items,
       {"CREATE INDEX by_status ON shop.\"Order Items\" USING btree (legacy_status)", "-", "blocks"}},
      {"migration flyway 1 init", {"SQL, checksum 11", "SQL, checksum 12", "blocks"}},
      {"migration alembic ae10", {"current", "-", "blocks"}},
      {"migration alembic bf20", {"-", "current", "blocks"}},
      {"role setting statement_timeout of writer", {"-", "5s", "blocks"}},
      {"extension citext", {"-", "1.6", "blocks"}},
  };
  for (const auto& [name, value] : expected) {
    ASSERT_THAT(found, Contains(Key(name)));
    EXPECT_EQ(found.at(name), value) << name;
  }
  for (const std::string name : {"function shop.touch()", "trigger touch on shop.\"Order Items\"",
                                 "setting TimeZone", "sequence shop.numbers"})
    EXPECT_THAT(found, Contains(Key(name)));
  EXPECT_EQ(found.size(), expected.size() + 4) << "sizes are no drift, and nothing is told twice";
}

TEST_F(ParityTest, ASequenceThatEndsElsewhereIsTold) {
  for (const char* name : {"staging", "prod"}) {
    in(name, "CREATE SEQUENCE shop.up AS int");
    in(name, "CREATE SEQUENCE shop.down INCREMENT -1");
    in(name, "SELECT pg_catalog.setval('shop.up', 70)");
  }
  in("prod", "SELECT pg_catalog.setval('shop.up', 90)");
  EXPECT_THAT(compare(), IsEmpty()) << "how far one has come is data";
  in("prod", "ALTER SEQUENCE shop.up MAXVALUE 1000 START 5 CYCLE");
  in("prod", "ALTER SEQUENCE shop.down MINVALUE -1000 INCREMENT -2");
  const auto found = compare();
  EXPECT_EQ(found.size(), 2U);
  const std::vector<std::string> up{"integer increment 1", "integer increment 1 maxvalue 1000 start 5 cycle",
                                    "blocks"},
      down{"bigint increment -1", "bigint increment -2 minvalue -1000", "blocks"};
  EXPECT_EQ(found.at("sequence shop.up"), up);
  EXPECT_EQ(found.at("sequence shop.down"), down);
}

// Staging's roles bear other names. Nothing else differs, and what does is still told.
TEST_F(ParityTest, RolesMayBeCalledOtherwise) {
  admin(
      "DO $$ DECLARE r text; BEGIN FOREACH r IN ARRAY ARRAY['shop stg', 'shop', 'team_stg', 'team'] LOOP IF "
      "NOT "
      "EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN EXECUTE format('CREATE ROLE %I', r); END IF; END "
      "LOOP; END $$");
  admin("GRANT team_stg TO \"shop stg\"");
  admin("GRANT team TO shop");
  for (const auto& [name, shop, team] : std::vector<std::array<std::string, 3>>{
           {"staging", "\"shop stg\"", "team_stg"}, {"prod", "shop", "team"}}) {
    in(name, fmt::format("GRANT SELECT, UPDATE (note) ON shop.elsewhere TO {}", shop));
    in(name, fmt::format("GRANT USAGE ON SCHEMA shop TO {}", team));
    in(name, fmt::format("CREATE POLICY two ON shop.elsewhere TO {}, {}, app USING (true)", shop, team));
    in(name, fmt::format("ALTER TABLE shop.events_1 OWNER TO {}", team), "postgres");
    in(name, fmt::format("ALTER ROLE {} IN DATABASE {} SET statement_timeout = '5s'", shop, name),
       "postgres");
  }
  EXPECT_GT(compare().size(), 6U);
  const std::vector<std::string> mapped{"--map-role", "shop stg=shop", "--map-role", "team_stg=team"};
  EXPECT_THAT(compare(mapped), IsEmpty());
  in("prod", "REVOKE SELECT ON shop.elsewhere FROM shop");
  EXPECT_THAT(compare(mapped), ElementsAre(Key("grant shop on shop.elsewhere")));
  // A role of staging that bears production's name already is another one.
  in("staging", "GRANT DELETE ON shop.elsewhere TO shop");
  EXPECT_THAT(compare(mapped), Contains(Key("grant shop (unmapped) on shop.elsewhere")));
  in("staging", "REVOKE DELETE ON shop.elsewhere FROM shop");
  in("prod", "GRANT SELECT ON shop.elsewhere TO shop");

  write("poundlock.yaml",
        fmt::format(R"(environments:
  staging: {{databases: {{app: {{url: "{}"}}}}, roles: {{shop stg: shop, team_stg: team}}}}
  prod: {{databases: {{app: {{url: "{}"}}}}, parity: staging}}
)",
                    cluster_->conninfo("app", "staging"), cluster_->conninfo("app", "prod")));
  auto ran = run({"parity"});
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  for (const std::string& bad : std::vector<std::string>{"shop", "=shop", "a=", std::string(64, 'x') + "=a"})
    EXPECT_EQ(run({"parity", "--map-role", bad}).code, 2) << bad;
  EXPECT_EQ(run({"parity", "--map-role", "a=x", "--map-role", "b=x"}).code, 2);
}

TEST_F(ParityTest, OnlyWhatTouchesTheRolloutBlocks) {
  in("prod", "DROP TABLE shop.elsewhere");
  in("prod", "CREATE FUNCTION shop.other() RETURNS int LANGUAGE sql AS 'SELECT 1'");
  in("prod", "UPDATE shop.history SET checksum = 12");
  auto found = compare({"--rollout", "items.yaml"});
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(found.size(), 3U);
  for (const auto& [name, value] : found) EXPECT_EQ(value[2], "shown") << name;
  // Each of these is met by the change, though none is a column of its table.
  for (const auto& [sql, name] : std::vector<std::pair<std::string, std::string>>{
           {"CREATE OR REPLACE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; "
            "END'",
            "function shop.touch()"},
           {"ALTER TYPE shop.mood ADD VALUE 'so so'", "type shop.mood"},
           {"CREATE OR REPLACE VIEW shop.seen AS SELECT id FROM shop.\"Order Items\" WHERE id > 1",
            "view shop.seen"},
           {"ALTER TABLE \"Other Schema\".\"Order Items\" DROP CONSTRAINT \"Order Items_item_fkey\"",
            "constraint \"Order Items_item_fkey\" on \"Other Schema\".\"Order Items\""},
           {"ALTER DATABASE prod SET TimeZone = 'Europe/Berlin'", "setting TimeZone"}}) {
    in("prod", sql);
    found = compare({"--rollout", "items.yaml"});
    EXPECT_EQ(code_, 1) << sql;
    ASSERT_THAT(found, Contains(Key(name)));
    EXPECT_EQ(found.at(name)[2], "blocks") << name;
  }
  // The table of the same name in another schema is another table.
  in("prod", "ALTER TABLE \"Other Schema\".\"Order Items\" ADD extra int");
  EXPECT_EQ(compare({"--rollout", "items.yaml"}).at("column \"Other Schema\".\"Order Items\".extra")[2],
            "shown");
}

TEST_F(ParityTest, APartitionThatDataBroughtDoesNotBlockAndAnotherColumnDoes) {
  write("events.yaml", R"(rollout: events
change:
  - add_column: {table: shop.events, column: {name: kind, type: text}}
)");
  in("prod",
     "CREATE TABLE shop.events_2 PARTITION OF shop.events FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')");
  auto found = compare({"--rollout", "events.yaml"});
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(found.at("partition shop.events_2")[2], "shown");
  in("prod", "CREATE INDEX only_here ON shop.events_1 (id)");
  EXPECT_THAT(compare({"--rollout", "events.yaml"}), Contains(Key("index only_here on shop.events_1")));
  EXPECT_EQ(code_, 1);
}

TEST_F(ParityTest, TheGateCountsAsTheVerbDoes) {
  in("prod", "DROP TABLE shop.elsewhere");
  in("prod", "ALTER TABLE shop.\"Order Items\" ALTER \"select\" SET NOT NULL");
  auto staging = cluster_->database("app", "staging"), prod = cluster_->database("app", "prod");
  engine::ExecutorPorts ports;
  ports.databases.primary = prod.get();
  ports.databases.staging = staging.get();
  ports.load_whole_catalog = [](ports::Session& session) {
    return postgres::load_catalog(session, {.schemas = {}, .tables = {}, .whole = true});
  };
  rollout::Plan plan;
  plan.fresh = {{"shop", "Order Items", "new_status"}};
  auto result = engine::check_parity({ports, plan});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->figures.at("differences"), 1);
  EXPECT_THAT(result->detail, HasSubstr("shop.\"Order Items\".\"select\""));
  in("staging", "ALTER TABLE shop.\"Order Items\" ALTER \"select\" SET NOT NULL");
  result = engine::check_parity({ports, plan});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->figures.at("differences"), 0);
  // The names of roles, too.
  admin(
      "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gate_stg') THEN CREATE ROLE "
      "gate_stg; "
      "CREATE ROLE gate; END IF; END $$");
  in("staging", "GRANT DELETE ON shop.\"Order Items\" TO gate_stg");
  in("prod", "GRANT DELETE ON shop.\"Order Items\" TO gate");
  EXPECT_GT(engine::check_parity({ports, plan})->figures.at("differences"), 0);
  ports.staging_roles = {{"gate_stg", "both"}};
  ports.primary_roles = {{"gate", "both"}};
  result = engine::check_parity({ports, plan});
  EXPECT_EQ(result->figures.at("differences"), 0) << result->detail;
}

TEST_F(ParityTest, FiveThousandObjectsAreComparedWhole) {
  const std::string many =
      "DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE pg_catalog.format('CREATE TABLE shop.t%s (id bigint PRIMARY "
      "KEY, a text, b int CHECK (b > 0))', i); EXECUTE pg_catalog.format('CREATE INDEX ON shop.t%s (a)', i); "
      "EXECUTE pg_catalog.format('CREATE SEQUENCE shop.s%s', i); EXECUTE pg_catalog.format('CREATE FUNCTION "
      "shop.f%s() RETURNS int LANGUAGE sql AS ''SELECT %s''', i, i); END LOOP; END $$";
  in("staging", many);
  in("prod", many);
  EXPECT_THAT(compare(), IsEmpty());
  in("prod", "ALTER TABLE shop.t500 ALTER a TYPE varchar(5)");
  EXPECT_THAT(compare(), ElementsAre(Key("column shop.t500.a")));
}

TEST_F(ParityTest, EnvironmentsOfTheConfigurationAndReachability) {
  write("poundlock.yaml",
        fmt::format(R"(environments:
  staging: {{databases: {{app: {{url: "{}"}}}}}}
  prod: {{databases: {{app: {{url: "{}"}}}}, parity: staging}}
)",
                    cluster_->conninfo("app", "staging"), cluster_->conninfo("app", "prod")));
  auto ran = run({"parity"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("staging and prod are alike"));
  in("prod", "ALTER TABLE shop.elsewhere ADD extra int");
  ran = run({"parity"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out,
              HasSubstr("column (1)\n  shop.elsewhere.extra\n    staging  is not there\n    prod     "
                        "integer\n"));
  EXPECT_EQ(run({"parity", "--from", "postgresql://nobody:secret@127.0.0.1:1/x"}).code, 3);
  EXPECT_THAT(run({"parity", "--from", "postgresql://nobody:secret@127.0.0.1:1/x"}).err,
              Not(HasSubstr("secret")));
}

TEST_F(ParityTest, FlagsOfTwoFiles) {
  write("a.yaml", R"({"flags": {"one": {"state": "ENABLED", "variants": {"on": true, "off": false},
    "defaultVariant": "off", "targeting": {"if": [{"==": [{"var": "plan"}, "pro"]}, "on", "off"]}},
    "two": {"state": "ENABLED", "variants": {"off": false, "on": true}, "defaultVariant": "on"}}})");
  write("b.yaml", R"({"flags": {"one": {"state": "ENABLED", "variants": {"off": false, "on": true},
    "defaultVariant": "on", "targeting": {"if": [{"==": [{"var": "tenant"}, "pro"]}, "on", "off"]}},
    "two": {"state": "ENABLED", "variants": {"off": false, "on": true}}}})");
  const auto ran = run({"parity", "--from-flags", "a.yaml", "--to-flags", "b.yaml", "--output", "json"});
  EXPECT_EQ(ran.code, 1) << ran.err;
  std::vector<std::string> found;
  const auto answer = bj::parse(ran.out);
  for (const auto& one : answer.at("differences").as_array())
    found.push_back(std::string(one.at("kind").as_string()) + " " +
                    std::string(one.at("object").as_string()));
  EXPECT_THAT(found,
              ElementsAre("flag context one", "flag default one", "flag default two", "flag targeting one"));
  EXPECT_EQ(run({"parity", "--from-flags", "a.yaml", "--to-flags", "a.yaml"}).code, 0);
  EXPECT_EQ(run({"parity", "--from-flags", "a.yaml"}).code, 2);
}

TEST_F(ParityTest, FlagsOfTheEnvironmentsAreComparedByThemselves) {
  const auto site = [&](const std::string& staging, const std::string& prod) {
    write(
        "conf/poundlock.yaml",
        fmt::format("environments:\n  staging: {{databases: {{app: {{url: \"{}\"}}}}{}}}\n"
                    "  prod: {{databases: {{app: {{url: \"{}\"}}}}, parity: staging{}}}\n",
                    cluster_->conninfo("app", "staging"), staging, cluster_->conninfo("app", "prod"), prod));
    return run({"parity", "--config", "conf/poundlock.yaml"});
  };
  const auto flag = [](const std::string& variant) {
    return R"({"flags": {"one": {"state": "ENABLED", "variants": {"on": true, "off": false},
      "defaultVariant": ")" +
           variant + R"("}}})";
  };
  write("conf/flags/staging/a.json", flag("on"));
  write("conf/flags/prod.json", flag("off"));
  const std::string staging = ", flags: ./flags/staging", prod = ", flags: [flags/prod.json]";
  auto ran = site(staging, prod);
  EXPECT_EQ(ran.code, 1) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("flag default (1)"));
  write("conf/flags/prod.json", flag("on"));
  EXPECT_EQ(site(staging, prod).code, 0);
  ran = site(staging, "");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("flags were not compared: prod has neither"));
}

// A history that one side hides is not one that lacks everything.
TEST_F(ParityTest, WhatARoleMayNotReadIsSaidAndNotCompared) {
  in("prod", "ALTER TABLE shop.history OWNER TO postgres", "postgres");
  in("prod", "REVOKE ALL ON shop.history FROM app", "postgres");
  in("staging", "ALTER TABLE shop.history OWNER TO postgres", "postgres");
  in("prod", "CREATE SCHEMA poundlock", "postgres");
  in("prod", "CREATE TABLE poundlock.ledger (id int, rollout text, step text, direction text)", "postgres");
  in("staging", "GRANT SELECT ON shop.history TO app", "postgres");
  in("prod", "GRANT INSERT ON shop.history TO app", "postgres");
  const auto found = compare();
  EXPECT_THAT(found, ElementsAre(Key("grant app on shop.history")));
  const auto ran = run(
      {"parity", "--from", cluster_->conninfo("app", "staging"), "--to", cluster_->conninfo("app", "prod")});
  EXPECT_THAT(ran.out, HasSubstr("shop.history was not read, and nothing of flyway's history is compared"));
}

TEST_F(ParityTest, WithoutAConfigurationTheAddressesAreNamed) {
  const auto ran = run({"parity"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("--from URL --to URL"));
}

TEST(ReviewedSettings, AreThoseThatTheirPageNames) {
  std::ifstream page(std::string(POUNDLOCK_SOURCE_DIR) + "/docs/how-to/compare-environments.md");
  std::string expected, found;
  for (const auto& one : engine::reviewed_settings())
    expected += fmt::format("| `{}` | {} |\n", one.name, one.reason);
  for (std::string line; std::getline(page, line);)
    if (line.starts_with("| `")) found += line + "\n";
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace poundlock::scenario
