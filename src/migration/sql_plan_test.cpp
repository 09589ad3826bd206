// Plain SQL turned into safe steps, and what is left to a person.
#include "migration/sql_plan.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>

#include "lint/lint.h"
#include "migration/plan_for_test.h"

namespace poundlock::migration {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

SqlPlan plan_of(std::string sql, const schema::Catalog* catalog = nullptr, bool in_transaction = false) {
  return planned(std::move(sql), catalog, in_transaction);
}

schema::Catalog shop() {
  schema::Table orders;
  orders.schema = "public";
  orders.name = "orders";
  orders.columns = {
      {1, "id", "bigint", true, {}, "", "", ""},
      {2, "legacy_status", "character varying(32)", false, "'new'::character varying", "", "", ""},
      {3, "total", "integer", false, {}, "", "", ""}};
  orders.primary_key = {"id"};
  orders.indexes = {{.name = "orders_total",
                     .definition = "CREATE INDEX orders_total ON public.orders USING btree (total)",
                     .columns = {"total"}}};
  orders.estimated_rows = 1e6;
  orders.bytes = 600'000'000;
  schema::Catalog catalog;
  catalog.server_version_num = 150000;
  catalog.tables = {orders};
  return catalog;
}

// The lint tells the first thousand findings: what it does not tell would be planned as it stands.
TEST(SqlPlan, RefusesMoreFaultsThanTheLintTells) {
  std::string sql;
  for (int i = 0; i <= static_cast<int>(lint::kFindingsMax); ++i)
    sql += fmt::format("ALTER TABLE t{} SET UNLOGGED;\n", i);
  const Source source{.file = "m.sql", .sql = sql};
  const auto plan = plan_sql(std::span(&source, 1), nullptr);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, "plan.too_many");
}

// As a setting of the following steps it would turn triggers off in each of them.
TEST(SqlPlan, RefusesASettingThatARuleRefuses) {
  const std::string set = "SET session_replication_role = replica;\nUPDATE t SET a = 1 WHERE id = 1;";
  for (const bool accepted : {false, true}) {
    const Source source{.file = "m.sql",
                        .sql = (accepted ? "-- poundlock: ignore triggers_off load\n" : "") + set};
    const auto plan = plan_sql(std::span(&source, 1), nullptr);
    EXPECT_EQ(plan.has_value(), accepted);
    if (!plan) {
      EXPECT_EQ(plan.error().code, "plan.setting");
    }
  }
}

// Each step has time-outs of its own: what the script sets holds for none of them.
TEST(SqlPlan, LeavesTheScriptsTimeOutsBehind) {
  const SqlPlan plan = plan_of(
      "SET lock_timeout = '50ms'; SET statement_timeout = '5s';\n"
      "CREATE INDEX CONCURRENTLY i ON orders (total);");
  EXPECT_EQ(plan.steps.size(), 1U);
  EXPECT_THAT(plan.decisions, testing::IsEmpty());
}

TEST(SqlPlan, WarningsUseUpNoFaults) {
  std::string sql;
  for (int i = 0; i <= static_cast<int>(lint::kFindingsMax); ++i)
    sql += fmt::format("CREATE TABLE t{} (a json);\n", i);
  EXPECT_EQ(plan_of(sql + "ALTER TABLE old SET UNLOGGED;").decisions.size(), 1U);
}

TEST(SqlPlan, SplitsAnIndexBuiltInATransactionBehindAColumnWithADefault) {
  const auto plan = plan_of(
      "BEGIN;\nALTER TABLE orders ADD COLUMN new_status VARCHAR(32) DEFAULT 'pending';\n"
      "CREATE INDEX CONCURRENTLY idx_orders_new_status ON orders (new_status);\nCOMMIT;");
  EXPECT_THAT(sql_of(plan),
              ElementsAre("ALTER TABLE orders ADD COLUMN new_status VARCHAR(32) DEFAULT 'pending';",
                          "CREATE INDEX CONCURRENTLY idx_orders_new_status ON orders (new_status);"));
  EXPECT_THAT(groups_of(plan), ElementsAre(1, 2));
  EXPECT_EQ(plan.steps[1].step.kind, change::StepKind::kStandalone);
  EXPECT_THAT(plan.steps[1].step.repair, ElementsAre(HasSubstr("DROP INDEX CONCURRENTLY")));
  EXPECT_THAT(plan.decisions, IsEmpty());
}

TEST(SqlPlan, DropsInAShortTransactionAndVacuumsPlainlyBehindIt) {
  const auto plan =
      plan_of("BEGIN; ALTER TABLE orders DROP COLUMN legacy_status; VACUUM FULL ANALYZE orders; COMMIT;");
  EXPECT_THAT(sql_of(plan), ElementsAre("ALTER TABLE orders DROP COLUMN legacy_status;",
                                        "VACUUM (ANALYZE, TRUNCATE false) orders;"));
  EXPECT_THAT(groups_of(plan), ElementsAre(1, 2));
  for (const auto& one : plan.steps) EXPECT_EQ(one.step.phase, change::Phase::kContract);
  EXPECT_TRUE(plan.steps[0].step.destructive);
  ASSERT_EQ(plan.plan.items.size(), 3u);
  EXPECT_EQ(plan.plan.items[0].kind, rollout::ItemKind::kGates);
  ASSERT_EQ(plan.plan.legacy.size(), 1u);
  EXPECT_EQ(plan.plan.legacy[0].column, "legacy_status");
}

TEST(SqlPlan, WritesBothSidesOfADualWriteInOneInsert) {
  const auto plan = plan_of(
      "BEGIN; INSERT INTO orders (id, legacy_status) VALUES (1, 'paid, late');\n"
      "INSERT INTO orders (id, new_status) VALUES (1, 'paid') ON CONFLICT DO NOTHING; COMMIT;");
  EXPECT_THAT(
      sql_of(plan),
      ElementsAre("INSERT INTO orders (id, legacy_status, new_status) VALUES (1, 'paid, late', 'paid');"));
  const auto unlike = plan_of(
      "BEGIN; INSERT INTO orders (id, legacy_status) VALUES (1, 'paid');\n"
      "INSERT INTO orders (id, new_status) VALUES (2, 'paid') ON CONFLICT DO NOTHING; COMMIT;");
  EXPECT_EQ(unlike.decisions.size(), 1u);
}

TEST(SqlPlan, ValidatesInATransactionOfItsOwn) {
  const auto plan =
      plan_of("ALTER TABLE orders ADD CHECK (total >= 0), ADD FOREIGN KEY (customer) REFERENCES c (id);",
              nullptr, true);
  EXPECT_THAT(
      sql_of(plan),
      ElementsAre("ALTER TABLE orders ADD CONSTRAINT orders_total_check CHECK (total >= 0) NOT VALID;",
                  "ALTER TABLE orders VALIDATE CONSTRAINT orders_total_check;",
                  "ALTER TABLE orders ADD CONSTRAINT orders_customer_fkey FOREIGN KEY (customer) "
                  "REFERENCES c (id) NOT VALID;",
                  "ALTER TABLE orders VALIDATE CONSTRAINT orders_customer_fkey;"));
  EXPECT_THAT(groups_of(plan), ElementsAre(1, 2, 3, 4));
}

TEST(SqlPlan, SetsNotNullOverAProvenCheckAndDropsItInTheSameTransaction) {
  const auto plan = plan_of("ALTER TABLE orders ALTER total SET NOT NULL;");
  EXPECT_THAT(groups_of(plan), ElementsAre(1, 2, 3, 3));
  EXPECT_FALSE(plan.steps[2].scans);
  EXPECT_THAT(plan.plan.items[2].step->sql,
              ElementsAre("SET LOCAL search_path = public", HasSubstr("SET NOT NULL"),
                          HasSubstr("DROP CONSTRAINT IF EXISTS")));
}

TEST(SqlPlan, KeepsTogetherWhatWouldLeaveAGap) {
  const auto plan = plan_of(
      "BEGIN; DROP TRIGGER t ON orders; CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE "
      "FUNCTION f(); COMMIT;");
  EXPECT_THAT(groups_of(plan), ElementsAre(1, 1));
  EXPECT_EQ(plan.plan.items.size(), 1u);
  EXPECT_THAT(plan.plan.items[0].step->probe, IsEmpty()) << "gone and there again: the ledger tells";
}

TEST(SqlPlan, LetsNobodyWaitForATableThatIsNew) {
  const auto plan = plan_of(
      "CREATE TABLE notes (id bigint); ALTER TABLE notes ADD COLUMN t text DEFAULT 'x' NOT NULL;\n"
      "CREATE INDEX ON notes (t); INSERT INTO notes VALUES (1, 'a');",
      nullptr, true);
  EXPECT_THAT(groups_of(plan), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(plan.steps[1].blocks, IsEmpty());
  EXPECT_THAT(plan.plan.items[0].step->undo.back(), HasSubstr("DROP TABLE IF EXISTS \"public\".\"notes\""));
}

TEST(SqlPlan, ProposesARolloutForWhatOnlyAPersonCanDecide) {
  const auto catalog = shop();
  const auto rename = plan_of("ALTER TABLE orders RENAME COLUMN legacy_status TO status;", &catalog);
  ASSERT_EQ(rename.decisions.size(), 1u);
  EXPECT_THAT(rename.decisions[0].rollout,
              AllOf(HasSubstr("from: \"legacy_status\""), HasSubstr("character varying(32)")));
  EXPECT_THAT(rename.steps, IsEmpty());
  auto spec = rollout::parse_rollout(rename.decisions[0].rollout, "r.yaml");
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_TRUE(rollout::make_plan(*spec, catalog));

  const auto type =
      plan_of("ALTER TABLE orders ALTER COLUMN total TYPE bigint USING total::bigint;", &catalog);
  ASSERT_EQ(type.decisions.size(), 1u);
  spec = rollout::parse_rollout(type.decisions[0].rollout, "r.yaml");
  ASSERT_TRUE(spec) << spec.error().to_string();
  EXPECT_TRUE(rollout::make_plan(*spec, catalog));
}

TEST(SqlPlan, LetsASafeTypeChangePassWhereTheCatalogKnowsTheType) {
  const auto catalog = shop();
  const std::string sql = "ALTER TABLE orders ALTER COLUMN legacy_status TYPE varchar(64);";
  const auto known = plan_of(sql, &catalog);
  ASSERT_EQ(known.steps.size(), 1u);
  EXPECT_FALSE(known.steps[0].rewrites);
  EXPECT_EQ(plan_of(sql).decisions.size(), 1u) << "without a catalog nobody knows";
}

TEST(SqlPlan, TakesBackWhatTheCatalogKnows) {
  const auto catalog = shop();
  const auto plan =
      plan_of("DROP INDEX orders_total; ALTER TABLE orders ALTER legacy_status SET DEFAULT 'x';", &catalog);
  ASSERT_EQ(plan.steps.size(), 2u);
  EXPECT_THAT(plan.steps[0].step.undo, ElementsAre(HasSubstr("SET DEFAULT 'new'::character varying")));
  EXPECT_THAT(plan.steps[1].step.undo,
              ElementsAre("CREATE INDEX CONCURRENTLY orders_total ON public.orders USING btree (total)"));
  EXPECT_GT(plan_of("CREATE INDEX i ON orders (total);", &catalog).steps[0].seconds.value_or(0), 5);
}

TEST(SqlPlan, TakesAPersonsWordForAStatement) {
  const auto plan = plan_of(
      "-- poundlock: ignore rename old code is gone, DBA-12\nALTER TABLE orders RENAME COLUMN a TO b;");
  EXPECT_THAT(plan.decisions, IsEmpty());
  EXPECT_THAT(sql_of(plan), ElementsAre("ALTER TABLE orders RENAME COLUMN a TO b;"));
}

TEST(SqlPlan, KeepsNamesAsTheyAre) {
  const auto plan = plan_of(
      "CREATE INDEX ON app.\"Order Items\" (\"userId\"); ALTER TABLE \"user\" ADD \"Größe\" int NOT NULL "
      "DEFAULT 1;");
  EXPECT_THAT(sql_of(plan)[0],
              HasSubstr("CREATE INDEX CONCURRENTLY \"Order Items_userId_idx\" ON app.\"Order Items\""));
  EXPECT_EQ(plan.steps[0].step.relation, "\"app\".\"Order Items\"");
  EXPECT_EQ(sql_of(plan)[1], "ALTER TABLE \"user\" ADD \"Größe\" int NOT NULL DEFAULT 1;");
}

TEST(SqlPlan, GivesEachTransactionTheSettingsOfTheSession) {
  const auto plan =
      plan_of("SET lock_timeout = '1h'; SET search_path = app, public; ALTER TABLE orders ADD a int;");
  ASSERT_EQ(plan.steps.size(), 1u);
  EXPECT_THAT(plan.steps[0].step.sql,
              ElementsAre("SET LOCAL search_path = app, public", "ALTER TABLE orders ADD a int"));
  EXPECT_EQ(plan.steps[0].step.relation, "\"app\".\"orders\"");
}

TEST(SqlPlan, RefusesWithAPlace) {
  const Source bad{.file = "m.sql", .sql = "SELECT 1;\nALTER TABEL x;", .line = 5};
  const auto plan = plan_sql(std::span(&bad, 1), nullptr);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().where->line, 6);
  const Source open{.file = "m.sql", .sql = "BEGIN; SELECT 1;"};
  EXPECT_EQ(plan_sql(std::span(&open, 1), nullptr).error().code, "plan.open_transaction");
}

// What the rules call unsafe never comes out of a plan as it went in: it is turned, or left to a person.
TEST(SqlPlan, LeavesNoErrorOfTheRulesInItsSteps) {
  for (const auto* rule : lint::all_rules()) {
    if (rule->severity != lint::Severity::kError) continue;
    for (const auto bad : rule->bad) {
      const Source source{.file = "m.sql", .sql = std::string(bad)};
      const auto plan = plan_sql(std::span(&source, 1), nullptr);
      if (!plan) continue;  // a transaction that the example leaves open
      // One script, since a rule looks at what earlier steps have proved; the backfills between them are
      // ours.
      std::string sql;
      for (const auto& item : plan->plan.items) {
        if (!item.step || item.step->kind == change::StepKind::kBackfill) continue;
        const bool together = item.step->kind == change::StepKind::kTransaction;
        if (together) sql += "BEGIN;\n";
        for (const auto& one : item.step->sql) sql += one + ";\n";
        if (together) sql += "COMMIT;\n";
      }
      lint::Options options{.timeouts_supplied = true, .timeouts_for_each = true};
      // Dropped behind the reference gate; and a rollout's new side is no business of plain SQL's, whose
      // author wants the default in every row: PostgreSQL writes none for it.
      options.disabled = {"drop_column_or_table", "expand_column_with_default"};
      const auto report = lint::lint(sql, "steps", options);
      for (const auto& finding : report.findings)
        EXPECT_FALSE(finding.severity == lint::Severity::kError && finding.rule == rule->id)
            << finding.rule << " of " << bad << " is in " << sql;
    }
  }
}

std::vector<std::string> phases_of(const SqlPlan& plan) {
  std::vector<std::string> out;
  for (const auto& one : plan.steps) out.emplace_back(change::to_string(one.step.phase));
  return out;
}

// The drop waits for the contract, and whatever needs what comes behind it waits, too: otherwise the drop
// would take the new object, its rights and its comment along.
TEST(SqlPlan, KeepsWhatIsMadeAgainBehindItsDrop) {
  for (const char* script :
       {"DROP FUNCTION IF EXISTS f2(int); CREATE FUNCTION f2(a int) RETURNS int LANGUAGE sql AS 'SELECT 1';",
        "DROP TABLE child; CREATE VIEW child AS SELECT 1; GRANT SELECT ON child TO PUBLIC;",
        "DROP TYPE mood; CREATE TYPE mood AS ENUM ('a');",
        "DROP VIEW vo; CREATE VIEW vo AS SELECT 1; GRANT SELECT ON vo TO PUBLIC; COMMENT ON VIEW vo IS "
        "'x';"}) {
    const auto plan = plan_of(script);
    ASSERT_TRUE(plan.decisions.empty()) << script;
    const auto phases = phases_of(plan);
    const auto drop = std::ranges::find(phases, "contract");
    ASSERT_NE(drop, phases.end()) << script;
    EXPECT_EQ(std::count(drop, phases.end(), "contract"), phases.end() - drop) << script;
    EXPECT_GE(phases.end() - drop, 2) << script;
  }
}

TEST(SqlPlan, TakesATableThatMayBeThereForSomebodys) {
  const auto plan = plan_of(
      "CREATE TABLE IF NOT EXISTS orders(id int); CREATE INDEX zi ON orders(note);"
      "ALTER TABLE orders ALTER COLUMN amount TYPE text;");
  ASSERT_EQ(plan.steps.size(), 2u);
  EXPECT_THAT(plan.steps[1].step.sql.front(), HasSubstr("CONCURRENTLY"));
  EXPECT_EQ(plan.decisions.size(), 1u);
}

TEST(SqlPlan, FollowsTheSearchPathBackAgain) {
  for (const char* script : {"SET search_path = app; ALTER TABLE orders ADD y int; RESET search_path; "
                             "UPDATE orders SET note = 'w' WHERE note IS NULL;",
                             "BEGIN; SET LOCAL search_path = app; ALTER TABLE orders ADD y int; COMMIT; "
                             "UPDATE orders SET note = 'w' WHERE note IS NULL;",
                             "SET search_path = app; ALTER TABLE orders ADD y int; RESET ALL; "
                             "UPDATE orders SET note = 'w' WHERE note IS NULL;"}) {
    const auto plan = plan_of(script);
    ASSERT_EQ(plan.steps.size(), 2u) << script;
    EXPECT_EQ(plan.steps[0].step.relation, "\"app\".\"orders\"") << script;
    EXPECT_EQ(plan.steps[1].step.relation, "\"public\".\"orders\"") << script;
  }
  const Source user{.file = "m.sql", .sql = "SET search_path = \"$user\", app; UPDATE orders SET id = 1;"};
  EXPECT_EQ(plan_sql(std::span(&user, 1), nullptr).error().code, "plan.search_path");
}

// Nothing of this can be told to be safe from its text.
TEST(SqlPlan, FillsNoTableOfWhichTheSchemaIsNotKnown) {
  const std::string update = "UPDATE orders SET total = 1 WHERE total IS NULL;";
  EXPECT_EQ(plan_of("SET search_path = app, public; " + update).decisions.size(), 1U);
  EXPECT_EQ(plan_of("SET search_path = app; " + update).decisions.size(), 0U);
  EXPECT_EQ(plan_of("SET search_path = app, public; UPDATE app.orders SET total = 1 WHERE total IS NULL;")
                .decisions.size(),
            0U);
  const auto catalog = shop();
  EXPECT_THAT(sql_of(plan_of("SET search_path = app, public; " + update, &catalog)),
              ElementsAre(HasSubstr("\"public\".\"orders\"")));
}

TEST(SqlPlan, LeavesToAPersonWhatItCannotRead) {
  for (const char* script :
       {"DO $$ BEGIN EXECUTE 'DROP TABLE orders'; END $$;", "CALL tidy_up();", "CREATE TEMP TABLE t(id int);",
        "SET search_path = app, public; UPDATE public.orders SET note = ff(status);",
        "SET app.tenant = '5'; UPDATE orders SET note = 'x';"}) {
    const auto plan = plan_of(script);
    EXPECT_EQ(plan.decisions.size(), 1u) << script;
    EXPECT_TRUE(plan.steps.empty()) << script;
  }
}

// Found by a DBA who tried to lose rows by it. Each would have torn a transaction of the author's over the
// days between two phases, or have run what stands behind a statement that is left to a person.
TEST(SqlPlan, TearsNothingApart) {
  const auto catalog = shop();
  const auto left = [&](const char* script) {
    std::vector<std::string> out;
    for (const auto& one : plan_of(script, &catalog).decisions) out.push_back(one.sql);
    return out;
  };
  EXPECT_THAT(
      left("BEGIN; CREATE TABLE orders_new (LIKE orders); INSERT INTO orders_new SELECT * FROM orders; "
           "DROP TABLE orders; ALTER TABLE orders_new RENAME TO orders; COMMIT;"),
      ElementsAre("DROP TABLE orders", "ALTER TABLE orders_new RENAME TO orders"));
  EXPECT_THAT(
      left("ALTER TABLE orders ADD COLUMN status text; UPDATE orders SET status = upper(legacy_status) "
           "WHERE legacy_status IS NOT NULL; ALTER TABLE orders DROP COLUMN legacy_status;"),
      ElementsAre("ALTER TABLE orders DROP COLUMN legacy_status"));
  EXPECT_THAT(left("ALTER TABLE orders RENAME COLUMN total TO amount; CREATE INDEX ON orders (amount);"),
              testing::SizeIs(2));
  EXPECT_THAT(left("CREATE TEMP TABLE ids AS SELECT id FROM orders; DROP TABLE ids;"), testing::SizeIs(2));
  EXPECT_THAT(left("ALTER TABLE orders ADD COLUMN c int DEFAULT 1, DISABLE TRIGGER ALL;"),
              testing::SizeIs(1));
  EXPECT_THAT(left("CREATE INDEX orders_total ON orders (id);"), testing::SizeIs(1));
}

// A row that is written into a column is no copy out of it.
TEST(SqlPlan, TakesForACopyWhatReadsRowsAlone) {
  auto catalog = shop();
  catalog.tables.push_back({.schema = "public", .name = "other", .estimated_rows = 100});
  const auto left = [&](std::string script) { return plan_of(std::move(script), &catalog).decisions.size(); };
  const std::string drop = "; ALTER TABLE orders DROP COLUMN legacy_status;";
  for (const char* before :
       {"INSERT INTO orders (id, legacy_status) VALUES (1, 'x')", "SELECT count(*) FROM orders",
        "UPDATE orders SET legacy_status = 'x'", "INSERT INTO other (id, legacy_status) SELECT 1, 'orders'",
        "INSERT INTO other SELECT o.id FROM orders o"})
    EXPECT_EQ(left(before + drop), 0U) << before;
  for (const char* before :
       {"INSERT INTO other SELECT * FROM orders", "INSERT INTO other SELECT o FROM orders o",
        "INSERT INTO other SELECT o.legacy_status FROM public.orders o", "CREATE TABLE other AS TABLE orders",
        "SELECT legacy_status INTO other FROM orders",
        "UPDATE other SET s = o.legacy_status FROM orders o WHERE o.id = other.id"})
    EXPECT_GE(left(before + drop), 1U) << before;
  EXPECT_EQ(left("INSERT INTO orders (id, total) VALUES (1, 2); DROP TABLE orders;"), 0U);
  const auto torn = plan_of("INSERT INTO other SELECT id FROM orders; DROP TABLE orders;", &catalog);
  ASSERT_EQ(torn.decisions.size(), 1U);
  EXPECT_THAT(torn.decisions.front().why, HasSubstr("reads its rows: INSERT INTO other SELECT id"));
}

// Each drop once read every statement before it anew: minutes for a dump with its data.
TEST(SqlPlan, ReadsEachStatementOnceHoweverManyDropsFollow) {
  std::string script;
  for (int i = 0; i < 4000; ++i)
    script += fmt::format("INSERT INTO log_{} (id, k) VALUES ({}, 'x');\n", i % 50, i);
  for (int i = 0; i < 200; ++i) script += fmt::format("ALTER TABLE t_{} DROP COLUMN c{};\n", i % 20, i);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(plan_of(script).steps.size(), 4200U);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(15));
}

// Run a second time, the drop would take what has been written to the new one since.
TEST(SqlPlan, LeavesADropOfRowsToAPersonWhereTheNameComesAgain) {
  const auto catalog = shop();
  for (const char* script :
       {"ALTER TABLE orders DROP COLUMN total; ALTER TABLE orders ADD COLUMN total bigint;",
        "ALTER TABLE orders DROP COLUMN total, ADD COLUMN total bigint NOT NULL DEFAULT 0;",
        "DROP TABLE IF EXISTS child; CREATE TABLE child (id int);",
        "DROP TABLE child, \"Order Items\"; CREATE TABLE IF NOT EXISTS \"Order Items\"(a int);",
        "DROP TABLE child; CREATE TABLE child AS SELECT 1 AS id;",
        "DROP MATERIALIZED VIEW mv; CREATE MATERIALIZED VIEW mv AS SELECT 1 AS id;",
        "DROP SEQUENCE IF EXISTS s9; CREATE SEQUENCE IF NOT EXISTS s9;",
        "DROP SCHEMA old; CREATE SCHEMA old;",
        "CREATE TABLE fresh (id int); DROP TABLE child; ALTER TABLE fresh RENAME TO child;"}) {
    const auto plan = plan_of(script, &catalog);
    ASSERT_THAT(plan.decisions, testing::SizeIs(2)) << script;
    for (const auto& one : plan.decisions) {
      EXPECT_THAT(one.why, HasSubstr("no catalog tells the one from the other")) << script;
      EXPECT_THAT(one.choices.front(), HasSubstr("rename the old one")) << script;
    }
    for (const auto& one : plan.steps) EXPECT_FALSE(one.step.destructive) << script;
  }
  // What is built on it waits for the decision, too, and nothing is said of another of that name.
  const auto built = plan_of(
      "ALTER TABLE orders DROP COLUMN total; ALTER TABLE orders ADD COLUMN total bigint;"
      "CREATE INDEX on_total ON orders (total);",
      &catalog);
  EXPECT_THAT(built.decisions, testing::SizeIs(3));
  EXPECT_THAT(built.steps, IsEmpty());
  EXPECT_THAT(plan_of("ALTER TABLE orders DROP COLUMN total; ALTER TABLE child ADD COLUMN total int;"
                      "DROP TABLE app.notes; CREATE TABLE notes (id int);")
                  .decisions,
              IsEmpty());
}

TEST(SqlPlan, KeepsBehindADropWhatIsMadeInOneTransactionWithIt) {
  const auto catalog = shop();
  const auto replaced = plan_of(
      "BEGIN; DROP TRIGGER tr ON orders; DROP FUNCTION tf(); CREATE FUNCTION tf() RETURNS trigger LANGUAGE "
      "plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER tr BEFORE INSERT ON orders FOR EACH ROW EXECUTE "
      "FUNCTION tf(); COMMIT;",
      &catalog);
  EXPECT_THAT(groups_of(replaced), ElementsAre(1, 1, 1, 1));
}

TEST(SqlPlan, GivesEachStatementOfATransactionWhatWasSetBeforeIt) {
  const auto plan =
      plan_of("BEGIN; CREATE TABLE a (x int); SET LOCAL search_path = app; CREATE TABLE b (x int); COMMIT;");
  ASSERT_EQ(plan.plan.items.size(), 1U);
  EXPECT_THAT(plan.plan.items[0].step->sql,
              ElementsAre(HasSubstr("search_path = public"), "CREATE TABLE a (x int)",
                          "SET LOCAL search_path = app", "CREATE TABLE b (x int)"));
}

TEST(SqlPlan, LeavesNoSettingBehindAStepOutsideATransaction) {
  const auto plan = plan_of("SET search_path = app; CREATE INDEX i ON t (id);");
  ASSERT_EQ(plan.plan.items.size(), 1U);
  EXPECT_EQ(plan.plan.items[0].step->sql.back(), "RESET search_path");
  const Source role{.file = "m.sql", .sql = "SET ROLE owner; CREATE TABLE t (id int);"};
  EXPECT_EQ(plan_sql(std::span(&role, 1), nullptr).error().code, "plan.role");
}

TEST(SqlPlan, TellsWhomTheForeignKeyOfANewTableStops) {
  const auto plan = plan_of(
      "CREATE TABLE invoices (id int, o bigint); ALTER TABLE invoices ADD CONSTRAINT f FOREIGN KEY (o) "
      "REFERENCES orders;");
  ASSERT_EQ(plan.steps.size(), 2U);
  EXPECT_EQ(plan.steps[1].step.relation, "\"public\".\"orders\"");
  EXPECT_EQ(plan.steps[1].blocks, "writes");
}

TEST(SqlPlan, LeavesSeedDataAsItIs) {
  const auto plan = plan_of(
      "BEGIN; INSERT INTO t(id,name) VALUES (1,'a') ON CONFLICT DO NOTHING;"
      "INSERT INTO t(id,name) VALUES (2,'b') ON CONFLICT DO NOTHING; COMMIT;");
  EXPECT_TRUE(plan.decisions.empty());
  EXPECT_EQ(plan.steps.size(), 2u);
}

}  // namespace
}  // namespace poundlock::migration
