// A plan as files of migration tools, and the history rows that go with them.
#include "migration/write.h"

#include <gmock/gmock.h>

#include "migration/history.h"
#include "migration/plan_for_test.h"
#include "migration/search_path.h"
#include "migration/source_lint.h"

namespace poundlock::migration {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

SqlPlan plan_of(std::string sql) {
  return planned(std::move(sql), nullptr, false);
}

std::vector<WrittenFile> written(const SqlPlan& plan, Format format, const WriteOptions& options) {
  auto files = write_plan(plan, format, options);
  EXPECT_TRUE(files) << files.error().to_string();
  return files ? *std::move(files) : std::vector<WrittenFile>{};
}

constexpr const char* kColumnAndIndex =
    "ALTER TABLE orders ADD COLUMN note text; CREATE UNIQUE INDEX orders_note ON orders (note);";

TEST(WritePlan, GivesFlywayAFileForEachTransactionAndReadsItBack) {
  const auto files = written(plan_of(kColumnAndIndex), Format::kFlyway, {.version = "2.7"});
  ASSERT_EQ(files.size(), 6u);
  EXPECT_EQ(files[0].name, "V2_7_1__dual_write_alter_table_orders.sql");
  EXPECT_THAT(files[0].text,
              AllOf(HasSubstr("SET LOCAL lock_timeout = '50ms';"), Not(HasSubstr("CONCURRENTLY"))));
  EXPECT_THAT(files[1].name, testing::StartsWith("U2_7_1__"));
  EXPECT_THAT(files[2].text,
              HasSubstr("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS orders_note ON orders (note);"));
  EXPECT_THAT(files[2].text, HasSubstr("flyway.postgresql.transactional.lock=false"));
  EXPECT_THAT(files[0].text, Not(HasSubstr("transactional.lock")));
  EXPECT_EQ(files[3].name, files[2].name + ".conf");
  const auto sources =
      read_sources(files[2].text, files[2].name, std::optional<std::string_view>(files[3].text));
  ASSERT_TRUE(sources) << sources.error().to_string();
  EXPECT_FALSE(sources->front().in_transaction);
  EXPECT_EQ(sources->front().version, "2.7.2");
  EXPECT_EQ(write_plan(plan_of(kColumnAndIndex), Format::kFlyway, {.version = "../x"}).error().code,
            "plan.version");
}

TEST(WritePlan, WritesLiquibaseChangesetsThatLiquibaseReads) {
  const auto files = written(plan_of(kColumnAndIndex), Format::kLiquibase, {.name = "m"});
  ASSERT_EQ(files.size(), 1u);
  const auto sources = read_sources(files[0].text, "m.sql");
  ASSERT_TRUE(sources) << sources.error().to_string();
  ASSERT_EQ(sources->size(), 3u);
  EXPECT_TRUE(sources->at(0).in_transaction);
  EXPECT_FALSE(sources->at(2).in_transaction);
}

TEST(WritePlan, WritesARolloutWhereEveryStepIsAnOperation) {
  const auto files = written(plan_of(kColumnAndIndex), Format::kRollout, {.name = "notes"});
  ASSERT_EQ(files.size(), 1u);
  const auto spec = rollout::parse_rollout(files[0].text, "r.yaml");
  ASSERT_TRUE(spec) << spec.error().to_string() << files[0].text;
  EXPECT_EQ(spec->operations.size(), 2u);
  EXPECT_EQ(spec->profile, change::Profile::kAdditive);
  EXPECT_EQ(write_plan(plan_of("DROP TABLE orders"), Format::kRollout, {}).error().code,
            "plan.not_a_rollout");
}

// A tool's session has a search_path of its own: probes, batches and undo look where the statements do.
TEST(WritePlan, FindsNamesWhereTheSessionOfTheToolDoes) {
  const Source source{
      .file = "m.sql",
      .sql =
          "ALTER TABLE orders ADD COLUMN note float DEFAULT random() NOT NULL; CREATE INDEX ON "
          "orders (note); CREATE TYPE app.mood AS ENUM ('a'); CREATE TYPE mood AS ENUM "
          "('a'); CREATE SEQUENCE s OWNED BY \"It's\".note;"};
  auto plan = plan_sql(std::span(&source, 1), nullptr, {.search_path = {kBySession}});
  ASSERT_TRUE(plan && plan->decisions.empty());
  leave_to_session(*plan);
  for (const auto format : {Format::kSql, Format::kFlyway, Format::kLiquibase, Format::kAlembic}) {
    std::string all;
    for (const auto& file : written(*plan, format, {.version = "1"})) all += file.text;
    EXPECT_THAT(all, Not(HasSubstr(kBySession)));
    EXPECT_THAT(all, Not(HasSubstr("public")));
    EXPECT_THAT(all, HasSubstr("app.mood"));
  }
  const std::string text = written(*plan, Format::kSql, {}).front().text;
  EXPECT_THAT(text,
              AllOf(HasSubstr("c.oid = pg_catalog.to_regclass(pg_catalog.quote_ident('orders'))"),
                    HasSubstr("t.oid = pg_catalog.to_regclass(pg_catalog.quote_ident('It''s'))"),
                    HasSubstr("n.nspname = 'app'"),
                    HasSubstr("n.nspname = ANY (pg_catalog.current_schemas(false)) AND o.typname = 'mood'")));
}

TEST(WritePlan, WritesNoHalfOfAChange) {
  const auto half =
      plan_of("ALTER TABLE orders ADD COLUMN note text; ALTER TABLE orders RENAME COLUMN a TO b;");
  EXPECT_EQ(write_plan(half, Format::kFlyway, {.version = "1"}).error().code, "plan.decisions");
}

TEST(WritePlan, EscapesForPythonAndRuby) {
  const auto plan = plan_of("CREATE TABLE t (a text DEFAULT 'x\\y \"q\" #{z}');");
  const auto python = written(plan, Format::kAlembic, {.after = "abc"});
  EXPECT_THAT(python[0].text,
              AllOf(HasSubstr("x\\\\y \\\"q\\\" \\x23{z}"), HasSubstr("down_revision = \"abc\"")));
  const auto ruby = written(plan, Format::kRails, {.version = "20261122210000"});
  EXPECT_THAT(ruby[0].text, AllOf(HasSubstr("class Migration1"), HasSubstr("\\x23{z}")));
}

// A failed statement must not be followed by the drop of the data.
TEST(WritePlan, StopsAScriptAtTheFirstErrorAndLeavesOutWhatIsThere) {
  const auto files = written(plan_of("ALTER TABLE orders ADD COLUMN note text; ALTER TABLE orders DROP "
                                     "COLUMN legacy;"),
                             Format::kSql, {});
  const std::string& text = files.front().text;
  const auto at = [&text](std::string_view words) { return text.find(words); };
  EXPECT_LT(at("\\set ON_ERROR_STOP on\n"), at("SELECT"));
  EXPECT_LT(at("\\if :poundlock_done"), at("ADD COLUMN note text;"));
  EXPECT_LT(at("ADD COLUMN note text;"), at("No gate stands here"));
  EXPECT_LT(at("No gate stands here"), at("DROP COLUMN legacy;"));
  EXPECT_TRUE(files.front().contract);
}

TEST(WritePlan, SaysInEachFormatWhatTheContractWaitsFor) {
  const auto plan =
      plan_of("ALTER TABLE orders ADD COLUMN note text; ALTER TABLE orders DROP COLUMN legacy;");
  for (const auto format : {Format::kFlyway, Format::kAlembic, Format::kRails})
    for (const auto& file :
         written(plan, format, {.version = format == Format::kRails ? "20261122210000" : "1"}))
      EXPECT_EQ(file.text.find("CONTRACT PHASE. No gate") != std::string::npos,
                file.contract && !file.name.ends_with(".conf"))
          << file.text;
}

TEST(WritePlan, GivesBackfillsAndWaysBackTheirTimeOuts) {
  const auto plan = plan_of("ALTER TABLE orders ADD COLUMN note uuid DEFAULT gen_random_uuid() NOT NULL;");
  for (const auto& file : written(plan, Format::kFlyway, {.version = "1"})) {
    if (file.name.ends_with(".conf")) continue;
    EXPECT_THAT(file.text, HasSubstr("SET LOCAL lock_timeout = '50ms';")) << file.name;
    EXPECT_EQ(file.contract, false);
  }
  // Rails stops at a migration without a way back, and all before it could not be taken back either.
  for (const auto& file : written(plan, Format::kRails, {.version = "20261122210000"}))
    EXPECT_THAT(file.text, Not(HasSubstr("IrreversibleMigration"))) << file.name;
}

// A way back that does nothing and says that all went well leaves the next run to do it twice.
TEST(WritePlan, RefusesToTakeBackWhatCannotBe) {
  for (const char* sql :
       {"UPDATE orders SET total = total * 1.19 WHERE id < 5;", "INSERT INTO orders (id) VALUES (1);",
        "ALTER TABLE orders DROP COLUMN legacy;", "DROP TABLE orders;", "DELETE FROM orders WHERE id = 1;"}) {
    const auto plan = plan_of(sql);
    ASSERT_THAT(plan.steps, testing::SizeIs(1)) << sql;
    EXPECT_THAT(written(plan, Format::kLiquibase, {}).front().text, Not(HasSubstr("--rollback"))) << sql;
    EXPECT_THAT(written(plan, Format::kAlembic, {}).front().text, HasSubstr("raise NotImplementedError("));
    EXPECT_THAT(written(plan, Format::kRails, {.version = "20261122210000"}).front().text,
                HasSubstr("raise ActiveRecord::IrreversibleMigration"));
    EXPECT_THAT(written(plan, Format::kFlyway, {.version = "1"}), testing::SizeIs(1)) << sql;
  }
  const auto filled = plan_of("ALTER TABLE orders ADD COLUMN share float8 DEFAULT random() NOT NULL;");
  std::string all;
  for (const auto& file : written(filled, Format::kLiquibase, {})) all += file.text;
  EXPECT_THAT(all, HasSubstr("--rollback empty"));
  for (const auto& file : written(filled, Format::kAlembic, {}))
    EXPECT_THAT(file.text, Not(HasSubstr("raise "))) << file.name;
}

TEST(WritePlan, WritesNoScriptThatWouldChangeRowsTwice) {
  const std::string behind = " ALTER TABLE other ADD COLUMN b int;";
  for (const char* sql :
       {"UPDATE orders SET total = total * 1.19 WHERE id < 5;", "INSERT INTO orders (id) VALUES (1);",
        "UPDATE orders o SET a = o.b, b = o.a WHERE id < 5;",
        "INSERT INTO orders (id, n) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = orders.n + EXCLUDED.n;",
        "WITH moved AS (DELETE FROM orders WHERE id = 1 RETURNING id) INSERT INTO other SELECT id FROM "
        "moved;"}) {
    const auto plan = plan_of(sql + behind);
    ASSERT_THAT(plan.decisions, IsEmpty()) << sql;
    EXPECT_THAT(plan.plan.notes, Contains(HasSubstr("a second run would change the same rows"))) << sql;
    const auto refused = write_plan(plan, Format::kSql, {});
    ASSERT_FALSE(refused) << sql;
    EXPECT_EQ(refused.error().code, "plan.only_once");
    EXPECT_TRUE(write_plan(plan, Format::kFlyway, {.version = "1"})) << "a tool has a history";
    const std::string alone = written(plan_of(sql), Format::kSql, {}).front().text;
    EXPECT_THAT(alone, AllOf(HasSubstr("DO NOT RUN IT AGAIN"), Not(HasSubstr("leaves out what is there"))));
  }
  for (const char* sql :
       {"INSERT INTO orders (id) VALUES (1) ON CONFLICT DO NOTHING;",
        "INSERT INTO orders (id, n) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n;",
        "INSERT INTO orders (id) SELECT 1 WHERE NOT EXISTS (SELECT FROM orders WHERE id = 1);",
        "UPDATE orders SET email = lower(btrim(email)) WHERE id = 1;",
        "UPDATE orders o SET name = c.name FROM customers c WHERE c.id = o.id AND o.id = 1;",
        "DELETE FROM orders WHERE id = 1;",
        "BEGIN; CREATE TABLE fresh (id int); INSERT INTO fresh VALUES (1); COMMIT;"}) {
    const auto plan = plan_of(sql + behind);
    EXPECT_TRUE(write_plan(plan, Format::kSql, {})) << sql;
    EXPECT_THAT(plan.plan.notes, Not(Contains(HasSubstr("a second run")))) << sql;
  }
}

TEST(WritePlan, WritesFilesThatPassLint) {
  const auto plan = plan_of(
      "ALTER TABLE orders ADD COLUMN note text DEFAULT 'x' NOT NULL, ADD COLUMN chance float DEFAULT "
      "random() NOT NULL; CREATE INDEX orders_note ON orders (note); ALTER TABLE orders ADD CONSTRAINT "
      "positive CHECK (total > 0); CREATE TABLE notes (id bigint "
      "PRIMARY KEY); ALTER TABLE orders DROP COLUMN legacy;");
  for (const auto format : {Format::kFlyway, Format::kSql})
    for (const auto& file : written(plan, format, {.version = "1"})) {
      if (file.name.ends_with(".conf")) continue;
      std::vector<Source> sources;
      const auto report = lint_file(file.text, file.name.empty() ? "m.sql" : file.name,
                                    file.text.find("CONCURRENTLY") == file.text.npos
                                        ? std::nullopt
                                        : std::optional<std::string_view>("executeInTransaction=false\n"),
                                    {}, sources);
      for (const auto& finding : report.findings)
        EXPECT_NE(finding.severity, lint::Severity::kError) << file.name << ": " << finding.rule << "\n"
                                                            << file.text;
    }
}

// The check value of CRC-32 (ISO-HDLC) is that of "123456789".
TEST(History, ComputesFlywaysChecksum) {
  EXPECT_EQ(flyway_checksum("123456789"), static_cast<std::int32_t>(0xCBF43926U));
  EXPECT_EQ(flyway_checksum("\xEF\xBB\xBF"
                            "1234\r\n56789\n"),
            flyway_checksum("123456789"));
}

TEST(History, NamesEachFileOnce) {
  const WriteOptions options{.version = "3"};
  const auto files = written(plan_of(kColumnAndIndex), Format::kFlyway, options);
  const auto sql = history_sql(Format::kFlyway, files, options, "public", "");
  ASSERT_TRUE(sql) << sql.error().to_string();
  ASSERT_EQ(sql->size(), 3u);
  EXPECT_THAT(sql->at(1), AllOf(HasSubstr("'3.1'"), HasSubstr("'V3_1__dual_write_alter_table_orders.sql'"),
                                HasSubstr(std::to_string(flyway_checksum(files[0].text)))));
  EXPECT_FALSE(history_sql(Format::kSql, files, options, "public", ""));
}

}  // namespace
}  // namespace poundlock::migration
