#include "lint/lint.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <boost/json.hpp>

#include "lint/estimate.h"
#include "lint/framework.h"
#include "lint/render.h"
#include "lint/types.h"

namespace poundlock::lint {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> rules_of(std::string_view sql, const Options& options = {}) {
  std::vector<std::string> rules;
  for (const Finding& finding : lint(sql, "t.sql", options).findings) rules.push_back(finding.rule);
  return rules;
}

constexpr std::string_view kTimeouts = "SET lock_timeout = '50ms'; SET statement_timeout = '5s';\n";

std::string with_timeouts(std::string_view sql) {
  return std::string(kTimeouts) + std::string(sql);
}

TEST(Lint, ASafeRolloutHasNoFinding) {
  EXPECT_THAT(
      rules_of(with_timeouts("ALTER TABLE orders ADD COLUMN new_status varchar(32);\n"
                             "RESET lock_timeout; RESET statement_timeout;\n"
                             "CREATE INDEX CONCURRENTLY i ON orders (new_status);\n" +
                             std::string(kTimeouts) +
                             "ALTER TABLE orders ADD CONSTRAINT c CHECK (new_status IS NOT NULL) NOT VALID;\n"
                             "SET statement_timeout = 0;\n"
                             "ALTER TABLE orders VALIDATE CONSTRAINT c;\n"
                             "SET statement_timeout = '5s';\n"
                             "ALTER TABLE orders ALTER COLUMN new_status SET NOT NULL;\n"
                             "ALTER TABLE orders DROP CONSTRAINT c;\n"
                             "ALTER TABLE orders ALTER COLUMN new_status SET DEFAULT 'pending';\n"
                             "VACUUM (ANALYZE) orders;\n")),
      IsEmpty());
  EXPECT_THAT(rules_of(""), IsEmpty());
}

// What the advice about strong locks leaves behind must not break what comes after it.
TEST(Lint, ARewriteLeavesNoTimeOutsInForce) {
  const Report report = lint("ALTER TABLE o ADD a int;\nVACUUM FULL u;\n", "t.sql");
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings[0].rule, "missing_timeouts");
  const std::string behind = "\nCREATE INDEX CONCURRENTLY i ON o (a);\nALTER TABLE o VALIDATE CONSTRAINT c;";
  EXPECT_THAT(rules_of(report.findings[0].rewrite + behind), IsEmpty());
  const Report vacuum = lint("VACUUM FULL u;\n", "t.sql");
  const auto one = std::ranges::find(vacuum.findings, "missing_timeouts", &Finding::rule);
  ASSERT_NE(one, vacuum.findings.end());
  EXPECT_THAT(rules_of(one->rewrite + behind), testing::Not(testing::Contains("online_work_under_timeout")));
}

TEST(Lint, PlacesFindingsByCharacters) {
  const Report report =
      lint(with_timeouts("  /* ü */ ALTER TABLE orders\n    ALTER status SET NOT NULL;"), "t.sql");
  ASSERT_EQ(report.findings.size(), 1U);
  const Finding& finding = report.findings[0];
  EXPECT_EQ(finding.rule, "set_not_null");
  EXPECT_EQ(finding.line, 3);
  EXPECT_EQ(finding.column, 18);
  EXPECT_EQ(finding.end_column, 30);
  EXPECT_EQ(finding.text, "SET NOT NULL");
  EXPECT_EQ(finding.source_line, "    ALTER status SET NOT NULL;");
}

TEST(Lint, FollowsTransactions) {
  const std::string_view concurrent = "CREATE INDEX CONCURRENTLY i ON t (a);";
  EXPECT_THAT(rules_of(concurrent), IsEmpty());
  EXPECT_THAT(rules_of(concurrent, {.in_transaction = true}), ElementsAre("concurrently_in_transaction"));
  EXPECT_THAT(rules_of("BEGIN; ROLLBACK; CREATE INDEX CONCURRENTLY i ON t (a);"), IsEmpty());
  EXPECT_THAT(rules_of("BEGIN; SAVEPOINT s; ROLLBACK TO s; CREATE INDEX CONCURRENTLY i ON t (a); COMMIT;"),
              ElementsAre("concurrently_in_transaction"));
}

TEST(Lint, FollowsTimeouts) {
  const std::string_view add = "ALTER TABLE t ADD COLUMN a int;";
  const auto after = [&](std::string_view before) {
    return rules_of(std::string(before) + std::string(add));
  };
  EXPECT_THAT(after(kTimeouts), IsEmpty());
  EXPECT_THAT(after(std::string(kTimeouts) + "RESET ALL;"), ElementsAre("missing_timeouts"));
  EXPECT_THAT(after(std::string(kTimeouts) + "SET lock_timeout TO DEFAULT;"),
              ElementsAre("missing_timeouts"));
  // A rollback takes a session's SET back.
  EXPECT_THAT(after("BEGIN; " + std::string(kTimeouts) + "ROLLBACK;"), ElementsAre("missing_timeouts"));
  EXPECT_THAT(after("BEGIN; " + std::string(kTimeouts) + "COMMIT;"), IsEmpty());
  EXPECT_THAT(rules_of(add, {.timeouts_supplied = true}), IsEmpty());
  EXPECT_THAT(rules_of("ALTER TABLE t ADD a int; TRUNCATE u;"), ElementsAre("missing_timeouts", "truncate"));
}

TEST(Lint, TablesOfTheScriptAreNew) {
  EXPECT_THAT(rules_of("CREATE TABLE app.t (a int); CREATE INDEX i ON app.t (a);"), IsEmpty());
  EXPECT_THAT(rules_of("CREATE TABLE app.t (a int); CREATE INDEX i ON other.t (a);"),
              Contains("index_not_concurrent"));
  EXPECT_THAT(rules_of("SELECT 1 AS a INTO t; CREATE INDEX i ON t (a);"), IsEmpty());
  EXPECT_THAT(rules_of("BEGIN; CREATE TABLE t (a int); ROLLBACK; CREATE INDEX i ON t (a);"),
              Contains("index_not_concurrent"));
}

// In doubt a table is an old one: the unqualified name may be found in another schema.
TEST(Lint, ATableThatMayBeAnotherIsNotNew) {
  for (const char* made : {"CREATE TABLE IF NOT EXISTS public.t (a int)", "CREATE TABLE t (a int)",
                           "CREATE TEMP TABLE t (a int)", "SELECT 1 AS a INTO TEMP t"})
    EXPECT_THAT(rules_of(std::string(made) + "; CREATE INDEX i ON public.t (a);"),
                Contains("index_not_concurrent"))
        << made;
  for (const char* made : {"CREATE TABLE IF NOT EXISTS t (a int)", "CREATE TABLE app.t (a int)",
                           "CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS a",
                           "BEGIN; ROLLBACK; CREATE TABLE IF NOT EXISTS t (a int)"})
    EXPECT_THAT(rules_of(std::string(made) + "; CREATE INDEX i ON t (a);"), Contains("index_not_concurrent"))
        << made;
  EXPECT_THAT(rules_of("CREATE TEMP TABLE t (a int); CREATE INDEX i ON t (a);"), IsEmpty());
  EXPECT_THAT(rules_of("CREATE TEMP TABLE t (a int); CREATE INDEX i ON pg_temp.t (a);"), IsEmpty());
  schema::Catalog catalog;
  const Options known{.timeouts_supplied = true, .catalog = &catalog};
  const std::string_view sql = "CREATE TABLE IF NOT EXISTS t (a int); CREATE INDEX i ON t (a);";
  EXPECT_THAT(rules_of(sql, known), Not(Contains("index_not_concurrent")));
  schema::Table table;
  table.schema = "public";
  table.name = "t";
  catalog.tables = {table};
  EXPECT_THAT(rules_of(sql, {.timeouts_supplied = true, .catalog = &catalog}),
              Contains("index_not_concurrent"));
}

// What ROLLBACK TO takes back: tables, time-outs, locks; AND CHAIN opens the next transaction.
TEST(Lint, SavepointsAndChainsAreFollowed) {
  const auto fires = [](const char* rule, const char* sql, Options options = {.timeouts_supplied = true}) {
    return testing::Value(rules_of(sql, options), Contains(rule));
  };
  EXPECT_TRUE(
      fires("index_not_concurrent",
            "BEGIN; SAVEPOINT s; CREATE TABLE t (a int); ROLLBACK TO s; CREATE INDEX i ON t (a); COMMIT;"));
  EXPECT_FALSE(
      fires("index_not_concurrent",
            "BEGIN; SAVEPOINT s; CREATE TABLE t (a int); RELEASE s; CREATE INDEX i ON t (a); COMMIT;"));
  EXPECT_FALSE(
      fires("index_not_concurrent",
            "BEGIN; SAVEPOINT a; CREATE TABLE t (a int); SAVEPOINT b; CREATE TABLE u (a int); ROLLBACK TO b;"
            "CREATE INDEX i ON t (a); COMMIT;"));
  EXPECT_TRUE(fires("index_not_concurrent",
                    "BEGIN; SAVEPOINT a; SAVEPOINT b; CREATE TABLE t (a int); ROLLBACK TO b; ROLLBACK TO a;"
                    "CREATE INDEX i ON t (a); COMMIT;"));
  EXPECT_TRUE(fires("missing_timeouts",
                    "BEGIN; SAVEPOINT s; SET LOCAL lock_timeout = '1s'; SET LOCAL statement_timeout = '5s';"
                    "ROLLBACK TO s; ALTER TABLE o ADD COLUMN a int; COMMIT;",
                    {}));
  EXPECT_TRUE(fires(
      "missing_timeouts",
      "SET lock_timeout = '1s'; SET statement_timeout = '5s'; DISCARD ALL; ALTER TABLE o ADD a int;", {}));
  const std::string update = "UPDATE p SET a = 1 WHERE id = 1; COMMIT;";
  const std::string locked = "BEGIN; SAVEPOINT s; ALTER TABLE o ADD COLUMN a int; ";
  EXPECT_TRUE(fires("work_under_lock", (locked + update).c_str()));
  EXPECT_FALSE(fires("work_under_lock", (locked + "ROLLBACK TO s; " + update).c_str()));
  const char* chained = "BEGIN; SELECT 1; COMMIT AND CHAIN; CREATE INDEX CONCURRENTLY i ON o (a); COMMIT;";
  EXPECT_TRUE(fires("concurrently_in_transaction", chained));
  EXPECT_FALSE(fires("nested_transaction", chained));
  EXPECT_FALSE(fires("concurrently_in_transaction",
                     "BEGIN; SELECT 1; PREPARE TRANSACTION 'x'; CREATE INDEX CONCURRENTLY i ON o (a);"));
}

TEST(Lint, ATableThatWasRenamedIsNotNewUnderItsOldName) {
  for (const char* end : {"", "ROLLBACK;"})
    EXPECT_THAT(rules_of(std::string(end) + "CREATE TABLE t (a int); ALTER TABLE t RENAME TO u;"
                                            "ALTER TABLE o RENAME TO t; CREATE INDEX i ON t (a);"),
                Contains("index_not_concurrent"));
}

// The runner chooses its time-outs for each statement; one that the script sets overrides the choice.
TEST(Lint, ATimeoutOfTheScriptCountsBesideTheRunners) {
  const std::string build = "CREATE INDEX CONCURRENTLY i ON t (a);";
  const Options supplied{.timeouts_supplied = true};
  EXPECT_THAT(rules_of(build, supplied), IsEmpty());
  EXPECT_THAT(rules_of("SET lock_timeout = '50ms'; " + build, supplied),
              ElementsAre("online_work_under_timeout"));
  EXPECT_THAT(rules_of("SET lock_timeout = 0; " + build, supplied), IsEmpty());
  EXPECT_THAT(rules_of("BEGIN; SET LOCAL lock_timeout = '50ms'; COMMIT; " + build, supplied), IsEmpty());
  EXPECT_THAT(rules_of("SET statement_timeout = '5s'; ALTER TABLE t VALIDATE CONSTRAINT c;", supplied),
              ElementsAre("online_work_under_timeout"));
}

// An open quote, or a word of a newer server, hides nothing of what stands around it.
TEST(Lint, WhatCannotBeReadHidesNoOtherStatement) {
  EXPECT_THAT(rules_of(with_timeouts("TRUNCATE a;\nSELECT 'x;\nTRUNCATE b;")),
              ElementsAre("truncate", "syntax"));
  EXPECT_THAT(rules_of(with_timeouts("TRUNCATE a;\nSELECT 1_000;\nTRUNCATE b;")),
              ElementsAre("truncate", "syntax", "truncate"));
  EXPECT_THAT(rules_of(with_timeouts("TRUNCATE a;\nSELECT (1;\nTRUNCATE b;")),
              ElementsAre("truncate", "syntax", "truncate"));
  const Report report =
      lint("SELECT 1;\n-- poundlock: ignore syntax PostgreSQL 16's\nSELECT 0x1F;\nSELECT 2;", "t.sql");
  EXPECT_THAT(report.findings, IsEmpty());
  ASSERT_EQ(report.ignored.size(), 1U);
  EXPECT_EQ(report.ignored[0].finding.statement, "SELECT 0x1F");
  EXPECT_EQ(report.ignored[0].finding.column, 8);
  const Report open = lint("SELECT 'ä" + std::string(50'000, 'x') + "\n;", "t.sql");
  EXPECT_EQ(open.findings.back().rule, "syntax");
  EXPECT_LT(open.findings.back().detail.size(), 200U);
}

// What was made and is gone again leaves the name to the table behind it, which is full of rows.
TEST(Lint, ATableThatIsGoneAgainHidesNoOther) {
  const auto fires = [](std::string_view before, Options options = {.timeouts_supplied = true}) {
    return testing::Value(rules_of(std::string(before) + " CREATE INDEX i ON t (a);", options),
                          Contains("index_not_concurrent"));
  };
  for (const char* before : {"CREATE TEMP TABLE t (a int); DROP TABLE t;",
                             "CREATE TABLE t (a int); DROP TABLE IF EXISTS x, t;",
                             "CREATE TEMP TABLE t AS SELECT 1 a; DROP TABLE pg_temp.t;",
                             "CREATE TABLE t (a int); ALTER TABLE t SET SCHEMA x;",
                             "BEGIN; CREATE TEMP TABLE t (a int) ON COMMIT DROP; COMMIT;",
                             "CREATE TEMP TABLE t (a int) ON COMMIT DROP;",
                             "BEGIN; CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 1 a; COMMIT;",
                             "CREATE TEMP TABLE t (a int); DISCARD TEMP;",
                             "CREATE TEMP TABLE t (a int); DISCARD ALL;",
                             "CREATE TABLE t (a int); SET search_path = other;",
                             "CREATE TABLE t (a int); SET SCHEMA 'other';",
                             "CREATE TABLE t (a int); SELECT set_config('search_path', 'x', false);",
                             "SET search_path = a; CREATE TABLE t (a int); RESET search_path;",
                             "BEGIN; SET LOCAL search_path = a; CREATE TABLE t (a int); COMMIT;",
                             "CREATE TABLE t (a int); BEGIN; SAVEPOINT s; SET search_path = x; RELEASE s;",
                             "SET search_path = a; CREATE TABLE t (a int); ALTER SCHEMA a RENAME TO b;",
                             "SET search_path = a; CREATE TABLE t (a int); DROP SCHEMA a CASCADE;",
                             "CREATE TABLE t (a int); DO $$ BEGIN DROP TABLE T; END $$;",
                             "SET search_path = public, pg_temp; CREATE TEMP TABLE t (a int);",
                             "CREATE TABLE t (a int); ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME TO v;"})
    EXPECT_TRUE(fires(before)) << before;
  for (const char* before :
       {"BEGIN; CREATE TEMP TABLE t (a int) ON COMMIT DROP;", "CREATE TABLE t (a int); DISCARD TEMP;",
        "CREATE TABLE t (a int); BEGIN; DROP TABLE t; ROLLBACK;",
        "BEGIN; CREATE TABLE t (a int); SAVEPOINT s; DROP TABLE t; ROLLBACK TO s;",
        "CREATE TABLE t (a int); CREATE TEMP TABLE t (a int); DROP TABLE t;",
        "CREATE TABLE t (a int); BEGIN; SET LOCAL search_path = x; COMMIT;",
        "CREATE TABLE t (a int); BEGIN; SAVEPOINT s; SET search_path = x; ROLLBACK TO s;",
        "CREATE TEMP TABLE t (a int); SET search_path = x;",
        "CREATE TABLE x.t (a int); SET search_path = x, y;",
        "SET search_path = pg_temp, public; CREATE TABLE t (a int); SET search_path = public;",
        "CREATE TABLE u (a int); ALTER TABLE u RENAME TO t;",
        "SET search_path = b; CREATE TABLE a.t (a int); ALTER SCHEMA a RENAME TO b;",
        "CREATE TABLE t (a int); DROP TABLE u; DROP SCHEMA x CASCADE;",
        "CREATE TABLE t (a int); DO $$ BEGIN DROP TABLE u; END $$;"})
    EXPECT_FALSE(fires(before)) << before;
  EXPECT_FALSE(
      fires("CREATE TABLE u (a int); ALTER TABLE u SET SCHEMA x; SET search_path = x;"
            "ALTER TABLE u RENAME TO t;"));
  EXPECT_TRUE(fires("DROP TABLE t; CREATE TABLE u (a int); ALTER TABLE u RENAME TO t;"));
  // Written with a schema once: where the database has no such table, it is the one that was made.
  schema::Catalog catalog;
  const Options known{.timeouts_supplied = true, .catalog = &catalog};
  const auto qualified = [&](std::string_view sql) {
    return testing::Value(rules_of(sql, known), Contains("index_not_concurrent"));
  };
  EXPECT_FALSE(qualified("CREATE TABLE t (a int); CREATE INDEX i ON public.t (a);"));
  EXPECT_TRUE(
      qualified("CREATE TABLE t (a int); ALTER TABLE o SET SCHEMA public;"
                "ALTER TABLE o RENAME TO t; CREATE INDEX i ON public.t (a);"));
}

// A ROLLBACK takes back what helped another statement, too.
TEST(Lint, WhatARollbackTookBackHelpsNobody) {
  const auto fires = [](const char* rule, const char* sql, Options options = {.timeouts_supplied = true}) {
    return testing::Value(rules_of(sql, options), Contains(rule));
  };
  const std::string set = " ALTER TABLE t ALTER x SET NOT NULL;";
  const std::string add = "ALTER TABLE t ADD CONSTRAINT c CHECK (x IS NOT NULL) NOT VALID;";
  const std::string validate = " ALTER TABLE t VALIDATE CONSTRAINT c;";
  EXPECT_FALSE(fires("set_not_null", (add + validate + set).c_str()));
  EXPECT_TRUE(fires("set_not_null", (add + " BEGIN;" + validate + " ROLLBACK;" + set).c_str()));
  EXPECT_TRUE(fires("set_not_null", ("BEGIN; " + add + validate + " ROLLBACK;" + set).c_str()));
  EXPECT_TRUE(
      fires("set_not_null",
            ("BEGIN; SAVEPOINT s; " + add + validate + " ROLLBACK TO s;" + set + " COMMIT;").c_str()));
  EXPECT_FALSE(fires("set_not_null",
                     (add + validate + " BEGIN; ALTER TABLE t DROP CONSTRAINT c; ROLLBACK;" + set).c_str()));
  EXPECT_TRUE(fires("set_not_null", (add + validate + " ALTER TABLE t DROP CONSTRAINT c;" + set).c_str()));
  const char* key =
      "BEGIN; CREATE INDEX i ON t (x); ROLLBACK;"
      "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES u NOT VALID;";
  EXPECT_TRUE(fires("foreign_key_without_index", key));
  EXPECT_TRUE(fires("drop_column_or_table", "DROP TYPE mood; CREATE TYPE mood AS ENUM ('a');"));
  EXPECT_FALSE(fires("drop_column_or_table", "CREATE TYPE mood AS ENUM ('a'); DROP TYPE mood;"));
  schema::Catalog catalog;
  schema::Table table;
  table.schema = "public";
  table.name = "t";
  table.columns = {{.attnum = 1, .name = "x", .type = "timestamp without time zone"}};
  catalog.tables = {table};
  const Options known{.timeouts_supplied = true, .catalog = &catalog};
  const std::string change = " ALTER TABLE t ALTER x TYPE timestamptz;";
  EXPECT_FALSE(fires("unsafe_type_change", ("SET TimeZone = 'UTC';" + change).c_str(), known));
  EXPECT_FALSE(
      fires("unsafe_type_change", ("SELECT set_config('timezone', 'UTC', false);" + change).c_str(), known));
  EXPECT_TRUE(
      fires("unsafe_type_change", ("BEGIN; SET LOCAL TimeZone = 'UTC'; COMMIT;" + change).c_str(), known));
  EXPECT_TRUE(
      fires("unsafe_type_change", ("BEGIN; SET TimeZone = 'UTC'; ROLLBACK;" + change).c_str(), known));
}

// The tool's note of what has run is no further work; what it reads elsewhere is.
TEST(Lint, AToolsOwnNoteIsNoWorkUnderTheLock) {
  const auto fires = [](const std::string& sql) {
    return testing::Value(
        rules_of("BEGIN; ALTER TABLE o ADD COLUMN a int; " + sql + " COMMIT;", {.timeouts_supplied = true}),
        Contains("work_under_lock"));
  };
  EXPECT_FALSE(fires("INSERT INTO alembic_version (version_num) VALUES ('1') RETURNING version_num;"));
  EXPECT_FALSE(fires("UPDATE public.alembic_version SET version_num = '2' WHERE version_num = '1';"));
  EXPECT_FALSE(fires("INSERT INTO schema_migrations (version) VALUES ('20230501');"));
  EXPECT_TRUE(fires("INSERT INTO schema_migrations SELECT id FROM p;"));
  EXPECT_TRUE(fires("INSERT INTO p (id) VALUES (1);"));
}

TEST(Lint, StaysSilentOnWhatHarmsNobody) {
  for (const char* sql :
       {"COMMENT ON TABLE o IS 'x'", "ANALYZE o", "VACUUM o", "CREATE STATISTICS s ON a, b FROM o",
        "LOCK TABLE o IN ROW EXCLUSIVE MODE", "ALTER TABLE o VALIDATE CONSTRAINT c",
        "ALTER TABLE o ALTER COLUMN a SET STATISTICS 500", "ALTER TABLE o ENABLE TRIGGER ALL",
        "ALTER SUBSCRIPTION s REFRESH PUBLICATION", "ALTER SUBSCRIPTION s ENABLE",
        "ALTER PUBLICATION p ADD TABLE o", "SET session_replication_role = origin",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "EXPLAIN DELETE FROM o",
        "REINDEX (CONCURRENTLY) TABLE o", "ALTER TABLE o ALTER COLUMN a SET DEFAULT 1"})
    EXPECT_THAT(rules_of(sql, {.timeouts_supplied = true}), IsEmpty()) << sql;
}

TEST(Lint, AConditionThatIsAlwaysTrueIsNone) {
  for (const char* where :
       {"NOT false", "true OR id = 1", "'a' = 'a'", "'t'::boolean", "1 = 1 AND NOT (2 = 3)"})
    EXPECT_THAT(rules_of(std::string("DELETE FROM o WHERE ") + where), Contains("update_without_where"))
        << where;
  for (const char* where :
       {"false", "id = 1 OR false", "true AND id = 1", "NOT true", "1 = 2", "NULL", "'a' = 'b'"})
    EXPECT_THAT(rules_of(std::string("DELETE FROM o WHERE ") + where), Not(Contains("update_without_where")))
        << where;
}

// Each would get a text as long as the statement: together 80 MB.
TEST(Lint, AStatementOfThousandsOfActionsGetsNoRewrites) {
  std::string sql = "ALTER TABLE o ADD COLUMN a int NOT NULL";
  for (int i = 0; i < 2000; ++i) sql += fmt::format(", ADD COLUMN c{} int NOT NULL", i);
  for (const Finding& finding : lint(sql, "x.sql", {.timeouts_supplied = true}).findings)
    EXPECT_EQ(finding.rewrite, "");
}

TEST(Lint, IgnoresWithAReason) {
  const auto ignored = [](std::string_view sql) { return lint(sql, "t.sql", {.timeouts_supplied = true}); };
  for (const char* sql :
       {"-- poundlock: ignore truncate scratch data only\nTRUNCATE t;",
        "TRUNCATE t; -- poundlock: ignore truncate scratch data only",
        "TRUNCATE /* poundlock: ignore truncate scratch data only */ t;",
        "SELECT 1;\n-- poundlock: ignore cascade, truncate scratch data only\n\nTRUNCATE t;"}) {
    const Report report = ignored(sql);
    EXPECT_THAT(report.findings, IsEmpty()) << sql;
    ASSERT_EQ(report.ignored.size(), 1U) << sql;
    EXPECT_EQ(report.ignored[0].why, "scratch data only");
  }
  EXPECT_EQ(ignored("-- poundlock: ignore truncate fine\nSELECT 1; TRUNCATE t;").findings.size(), 1U);
  for (const char* sql : {"-- poundlock: ignore truncate\nTRUNCATE t;",
                          "-- poundlock: ignore no_such_rule because\nTRUNCATE t;",
                          "-- poundlock: allow truncate because\nTRUNCATE t;"}) {
    const Report report = ignored(sql);
    ASSERT_EQ(report.findings.size(), 2U) << sql;
    EXPECT_EQ(report.findings[0].rule, "ignore_comment");
    EXPECT_EQ(report.findings[1].rule, "truncate");
  }
}

TEST(Lint, IgnoresAStatementThatTheGrammarDoesNotKnow) {
  for (const char* sql :
       {"SELECT 1;\n-- poundlock: ignore syntax PostgreSQL 18 alone\nALTER TABEL t;\nSELECT 2;",
        "-- poundlock: ignore syntax PostgreSQL 18 alone\nALTER TABEL t"}) {
    const Report report = lint(sql, "t.sql");
    EXPECT_THAT(report.findings, IsEmpty()) << sql;
    ASSERT_EQ(report.ignored.size(), 1U) << sql;
    EXPECT_EQ(report.ignored[0].why, "PostgreSQL 18 alone");
  }
  const std::string_view other = "-- poundlock: ignore syntax it is new\nSELECT 1; ALTER TABEL t;";
  EXPECT_THAT(rules_of(other), ElementsAre("syntax"));
}

// Ten thousand mistakes took a walk through the whole file each.
TEST(Lint, ManyMistakesInALargeScriptAreNoQuadraticWork) {
  std::string sql;
  for (int i = 0; i < 9'000; ++i) sql += "ALTER TABEL t" + std::string(400, ' ') + ";\n";
  const Report report = lint(sql, "t.sql");
  EXPECT_EQ(report.findings.size(), kFindingsMax + 1);
  EXPECT_EQ(report.findings[999].line, 1'000);
}

schema::Catalog sized_catalog() {
  schema::Catalog catalog;
  schema::Table table;
  table.schema = "public";
  table.name = "orders";
  table.columns = {{.attnum = 1, .name = "status", .type = "character varying(32)"},
                   {.attnum = 2, .name = "total", .type = "integer"}};
  table.indexes = {{.name = "orders_i"}};
  table.bytes = 6'000'000'000;
  table.estimated_rows = 40'000'000;
  catalog.tables = {table};
  return catalog;
}

TEST(Lint, EstimatesSecondsUnderTheLockFromTheSize) {
  schema::Catalog catalog = sized_catalog();
  const auto first = [&](std::string_view sql) {
    const Report report = lint(sql, "t.sql", {.catalog = &catalog});
    EXPECT_FALSE(report.findings.empty()) << sql;
    for (const Finding& finding : report.findings)
      if (finding.seconds) return finding;
    return Finding{};
  };
  const Finding rewrite = first("ALTER TABLE orders ALTER total TYPE bigint;");
  EXPECT_DOUBLE_EQ(rewrite.seconds.value_or(0), 6e9 / kRewriteBytesPerSecond + 40e6 / kIndexRowsPerSecond);
  EXPECT_EQ(rewrite.basis,
            "estimate: rewrite of 6.0 GB at 60 MB/s and 1 index over 40.0 million rows at 200 thousand a "
            "second, under ACCESS EXCLUSIVE on public.orders");
  EXPECT_DOUBLE_EQ(first("ALTER TABLE orders ALTER total SET NOT NULL;").seconds.value_or(0),
                   6e9 / kScanBytesPerSecond);
  EXPECT_THAT(first("CREATE INDEX i ON orders (total);").basis, HasSubstr("under SHARE on public.orders"));
  // Work that does not grow with the table, or a table that nobody knows.
  for (const char* none : {"ALTER TABLE orders ALTER status TYPE varchar(64);",
                           "ALTER TABLE orders DROP total;", "ALTER TABLE others ALTER total TYPE bigint;"})
    EXPECT_FALSE(first(none).seconds) << none;
  catalog.tables[0].constraints = {
      {.name = "c", .definition = "CHECK ((total IS NOT NULL))", .columns = {"total"}}};
  EXPECT_FALSE(first("ALTER TABLE orders ALTER total SET NOT NULL, DROP status;").seconds);
  const Report report = lint("ALTER TABLE orders ALTER total TYPE bigint;", "t.sql", {.catalog = &catalog});
  EXPECT_THAT(render_text({&report, 1}, false), HasSubstr("lasts: about 5 min (estimate: rewrite of"));
  const auto json = boost::json::parse(render_json({&report, 1}));
  EXPECT_GT(json.at(0).at("seconds").as_double(), 100);
}

TEST(Lint, UsesTheCatalogForTypes) {
  schema::Catalog catalog;
  schema::Table table;
  table.schema = "public";
  table.name = "orders";
  table.columns = {{.attnum = 1, .name = "status", .type = "character varying(32)"},
                   {.attnum = 2, .name = "total", .type = "numeric(10,2)"},
                   {.attnum = 3, .name = "at", .type = "timestamp(3) without time zone"}};
  table.indexes = {{.name = "orders_status", .definition = "CREATE INDEX ...", .columns = {"status"}}};
  catalog.tables = {table};
  const auto fires = [&](std::string_view action) {
    const std::string sql = "ALTER TABLE orders ALTER " + std::string(action);
    return !rules_of(sql, {.timeouts_supplied = true, .catalog = &catalog}).empty();
  };
  EXPECT_FALSE(fires("status TYPE varchar(64)"));
  EXPECT_FALSE(fires("status TYPE text"));
  EXPECT_FALSE(fires("status TYPE text USING status::text"));
  EXPECT_FALSE(fires("status TYPE varchar"));
  EXPECT_TRUE(fires("status TYPE varchar(16)"));
  EXPECT_TRUE(fires("status TYPE text COLLATE \"C\""));
  EXPECT_TRUE(fires("status TYPE text USING upper(status)"));
  EXPECT_TRUE(fires("status TYPE int USING status::int"));
  EXPECT_FALSE(fires("total TYPE numeric(12,2)"));
  EXPECT_FALSE(fires("total TYPE numeric"));
  EXPECT_TRUE(fires("total TYPE numeric(12,4)"));
  EXPECT_FALSE(fires("at TYPE timestamp(6)"));
  EXPECT_TRUE(fires("at TYPE timestamptz"));
}

TEST(Lint, ReportsWhatItCannotRead) {
  const Report report = lint("SELECT 1;\nALTER TABEL t;\nTRUNCATE t;", "t.sql", {.timeouts_supplied = true});
  ASSERT_EQ(report.findings.size(), 2U);
  EXPECT_EQ(report.findings[0].rule, "syntax");
  EXPECT_EQ(report.findings[0].line, 2);
  EXPECT_EQ(report.findings[0].text, "TABEL");
  EXPECT_EQ(report.findings[1].rule, "truncate");
  EXPECT_THAT(rules_of(std::string("SELECT '\0'", 10)), ElementsAre("encoding"));
  EXPECT_EQ(report.findings[0].statement, "ALTER TABEL t");
}

TEST(Lint, IsBounded) {
  std::string sql;
  for (int i = 0; i < 1'500; ++i) sql += "TRUNCATE t;\n";
  const Report report = lint(sql, "t.sql", {.timeouts_supplied = true});
  ASSERT_EQ(report.findings.size(), kFindingsMax + 1);
  EXPECT_TRUE(report.truncated);
  // Warnings alone are shown, and an error may be among the rest.
  EXPECT_EQ(report.findings.back().rule, "too_many");
  EXPECT_EQ(report.findings.back().severity, Severity::kError);
}

TEST(Render, TextUnderlinesTheOffendingText) {
  const Report report = lint("SELECT 'ü'; TRUNCATE orders;\n", "m/1.sql", {.timeouts_supplied = true});
  const std::string text = render_text({&report, 1}, false);
  EXPECT_THAT(text, testing::StartsWith("m/1.sql:1:22: error: TRUNCATE (table orders) [truncate]\n"
                                        "     1 | SELECT 'ü'; TRUNCATE orders;\n"
                                        "       |                      ^^^^^^\n"
                                        "       why: "));
  EXPECT_THAT(text, testing::EndsWith("1 error, 0 warnings in 2 statements\n"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b[")));
  EXPECT_THAT(render_text({&report, 1}, true), HasSubstr("\x1b[31m"));
  const Report evil = lint("TRUNCATE \"a\x1b[2Jb\";", "t.sql", {.timeouts_supplied = true});
  EXPECT_THAT(render_text({&evil, 1}, false), Not(HasSubstr("\x1b")));
}

TEST(Render, JsonSarifAndJunit) {
  const Report report = lint("-- poundlock: ignore truncate it is empty\nTRUNCATE a;\nTRUNCATE \"<b>&\";\n",
                             "my file.sql", {.timeouts_supplied = true});
  const auto json = boost::json::parse(render_json({&report, 1})).as_array();
  ASSERT_EQ(json.size(), 1U);  // what is ignored is no finding
  EXPECT_EQ(json[0].at("file").as_string(), "my file.sql");
  EXPECT_EQ(json[0].at("rule").as_string(), "truncate");
  EXPECT_EQ(json[0].at("line").to_number<int>(), 3);
  EXPECT_EQ(json[0].at("column").to_number<int>(), 10);
  EXPECT_EQ(json[0].at("severity").as_string(), "error");
  EXPECT_EQ(json[0].at("message").as_string(),
            report.findings[0].title + " (table \"<b>&\"). " + report.findings[0].reason);
  EXPECT_EQ(json[0].at("fix").as_string(), report.findings[0].fix);
  EXPECT_FALSE(json[0].as_object().contains("seconds"));
  EXPECT_EQ(render_json({}), "[]\n");

  const auto sarif = boost::json::parse(render_sarif({&report, 1}, "1.2.3"));
  EXPECT_EQ(sarif.at("version").as_string(), "2.1.0");
  const auto& run = sarif.at("runs").at(0);
  EXPECT_EQ(run.at("tool").at("driver").at("version").as_string(), "1.2.3");
  EXPECT_EQ(run.at("tool").at("driver").at("rules").as_array().size(),
            all_rules().size() + framework_rules().size());
  const auto& result = run.at("results").at(0);
  EXPECT_EQ(result.at("locations").at(0).at("physicalLocation").at("artifactLocation").at("uri").as_string(),
            "my%20file.sql");
  EXPECT_EQ(
      result.at("locations").at(0).at("physicalLocation").at("region").at("startColumn").to_number<int>(),
      10);
  EXPECT_EQ(run.at("results").at(1).at("suppressions").at(0).at("justification").as_string(), "it is empty");

  const std::string junit = render_junit({&report, 1});
  EXPECT_THAT(junit, HasSubstr("<testcase classname=\"my file.sql\" name=\"cascade\"/>"));
  EXPECT_THAT(junit, HasSubstr("failures=\"1\""));
  EXPECT_THAT(junit, HasSubstr("&lt;b&gt;&amp;"));
}

}  // namespace
}  // namespace poundlock::lint
