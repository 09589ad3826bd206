#include "migration/source_lint.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "lint/render.h"
#include "migration/source_text.h"

namespace poundlock::migration {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr lint::Options kOptions{.timeouts_supplied = true};

lint::Report linted(std::string_view bytes, const std::string& file = "a.sql",
                    std::optional<std::string_view> conf = std::nullopt) {
  std::vector<Source> sources;
  return lint_file(bytes, file, conf, kOptions, sources);
}

std::vector<std::string> places(const lint::Report& report) {
  std::vector<std::string> out;
  for (const auto& one : report.findings)
    out.push_back(one.rule + " " + std::to_string(one.line) + ":" + std::to_string(one.column));
  return out;
}

TEST(SourceText, SaysWhichEncodingAFileHas) {
  const auto message = [](std::string_view bytes) {
    const auto text = utf8_text(bytes, "a.sql");
    EXPECT_FALSE(text);
    return text ? "" : text.error().to_string();
  };
  EXPECT_EQ(utf8_text("\xEF\xBB\xBFSELECT 'ü'", "a.sql").value(), "SELECT 'ü'");
  EXPECT_EQ(utf8_text("", "a.sql").value(), "");
  using namespace std::string_view_literals;
  EXPECT_THAT(message("\xFF\xFES\0E\0"sv), HasSubstr("UTF-16"));
  EXPECT_THAT(message("S\0E\0L\0E\0C\0T\0 \0"sv), HasSubstr("UTF-16"));
  EXPECT_THAT(message("PGDMP\x01\x0e"), HasSubstr("pg_restore"));
  EXPECT_THAT(message("\x1F\x8B\x08"), HasSubstr("compressed"));
  EXPECT_THAT(message("SELECT 1;\nSELECT '\0';"sv), HasSubstr("NUL"));
  const auto latin = utf8_text("SELECT 1;\n-- caf\xE9\n", "a.sql");
  ASSERT_FALSE(latin);
  EXPECT_EQ(latin.error().where->line, 2);
  EXPECT_EQ(latin.error().where->column, 7);
  EXPECT_THAT(latin.error().to_string(), HasSubstr("0xE9"));
  EXPECT_THAT(latin.error().hint, HasSubstr("iconv"));
}

TEST(SourceLint, AFileThatIsNoTextIsAFindingAndNoCrash) {
  EXPECT_THAT(places(linted("SELECT 1;\n-- caf\xE9\n")), ElementsAre("encoding 2:7"));
  std::string binary;
  for (int i = 0; i < 100'000; ++i) binary += static_cast<char>(i * 7919 >> 3);
  EXPECT_THAT(places(linted(binary)), ElementsAre(testing::StartsWith("encoding ")));
  EXPECT_THAT(places(linted("--liquibase formatted sql\n--changeset x\nSELECT 1;")),
              ElementsAre("migration_file 2:13"));
}

TEST(SourceLint, EachBackslashCommandIsToldAndTheRestIsRead) {
  const lint::Report report = linted(
      "\\set ON_ERROR_STOP on\n"
      "\\echo on\n"
      "\\c app\n"
      "TRUNCATE :\"table\";\n"
      "SELECT :'name', a[1:n], b::text, :x FROM t \\gset\n"
      "  \\i other.sql\n"
      "TRUNCATE t;\n");
  EXPECT_THAT(places(report), ElementsAre("psql_command 1:1", "psql_command 3:1", "truncate 4:11",
                                          "psql_command 5:44", "psql_command 6:3", "truncate 7:10"));
  EXPECT_EQ(report.errors(), 2U);
  EXPECT_EQ(report.statements, 3U);
  EXPECT_EQ(report.findings[0].text, "\\set ON_ERROR_STOP on");
  // No other tool knows them.
  EXPECT_EQ(linted("\\set x 1\n", "V1__a.sql").errors(), 1U);
}

TEST(SourceLint, BackslashesAndSemicolonsInTextAreNoCommands) {
  for (const char* sql : {"SELECT 'a\\b', E'it\\'s \\\\', \"a\\b\";", "SELECT $$ \\d $$, $x_1$ $$ \\q $x_1$;",
                          "-- \\d\n/* \\d /* nested */ \\x */ SELECT 1;", "SELECT e'\\''; SELECT 'name'':x';",
                          "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $_$ SELECT $1; \\x $_$;"})
    EXPECT_THAT(places(linted(sql)), IsEmpty()) << sql;
}

TEST(SourceLint, DataOfCopyIsNotRead) {
  const lint::Report report = linted(
      "COPY public.t (a, b) FROM stdin;\n"
      "1\tTRUNCATE t;'\n"
      "\\N\t\xC3\xBC\"\n"
      "\\.\n"
      "\n"
      "TRUNCATE t;\n"
      "COPY t FROM STDIN WITH (FORMAT csv);\r\n"
      "x,$$\r\n"
      "\\.\r\n"
      "COPY t TO STDOUT; TRUNCATE u;\n"
      "COPY t FROM STDIN;\n"
      "open to the end\n");
  EXPECT_THAT(places(report), ElementsAre("truncate 6:10", "truncate 10:28"));
  EXPECT_EQ(report.statements, 6U);
}

TEST(SourceLint, PlaceholdersKeepColumnsAndComeBack) {
  const lint::Report report =
      linted("ALTER TABLE ${schema}.\"o\" ADD CONSTRAINT c CHECK (a > ${low.bound}); TRUNCATE app_${ENV}.t;",
             "V1__a.sql");
  EXPECT_THAT(places(report), testing::Contains("truncate 1:79"));
  const std::string text = lint::render_json({&report, 1});
  EXPECT_THAT(text, HasSubstr("${schema}"));
  EXPECT_THAT(text, HasSubstr("table app_${ENV}.t"));
  EXPECT_THAT(text, testing::Not(HasSubstr("pl_schema")));
}

TEST(SourceLint, EachSourceHasTheTransactionOfItsTool) {
  const std::string_view index = "CREATE INDEX CONCURRENTLY i ON t (a);\n";
  const std::string mixed = std::string(index) + "SELECT 1;\n";
  const auto fires = [](const lint::Report& report) {
    return std::ranges::count(report.findings, "concurrently_in_transaction", &lint::Finding::rule) > 0;
  };
  EXPECT_FALSE(fires(linted(mixed)));
  EXPECT_FALSE(fires(linted(index, "V1__a.sql")));
  EXPECT_TRUE(fires(linted(mixed, "V1__a.sql")));
  EXPECT_FALSE(fires(linted(mixed, "V1__a.sql", "executeInTransaction=false")));
  const lint::Report liquibase = linted(
      "--liquibase formatted sql\r\n"
      "--changeset a:1\r\n" +
      std::string(index) + "--rollback DROP INDEX i;\r\n--changeset a:2 runInTransaction:false\r\n" +
      std::string(index) + "TRUNCATE t; -- poundlock: ignore truncate scratch\n");
  EXPECT_THAT(places(liquibase), ElementsAre("concurrently_in_transaction 3:14"));
  ASSERT_EQ(liquibase.ignored.size(), 1U);
  EXPECT_EQ(liquibase.ignored[0].finding.line, 7);
  EXPECT_EQ(liquibase.statements, 3U);
}

TEST(SourceLint, AnUndoIsJudgedByItself) {
  const std::string goose =
      "-- +goose Up\n"
      "ALTER TABLE t ADD COLUMN note text;\n"
      "-- +goose Down\n";
  const lint::Report drop = linted(goose + "ALTER TABLE t DROP COLUMN note;\n", "m/00007_note.sql");
  EXPECT_THAT(places(drop), ElementsAre("drop_column_or_table 4:15"));
  EXPECT_EQ(drop.errors(), 0U);  // what an undo is for
  EXPECT_EQ(linted("ALTER TABLE t DROP COLUMN note;\n", "7_note.down.sql").errors(), 0U);
  EXPECT_EQ(linted(goose + "TRUNCATE t;\n", "m/00007_note.sql").errors(), 1U);
  // Of the tool's transaction, as of Flyway's.
  const std::string index = "CREATE INDEX CONCURRENTLY i ON t (a);\n";
  EXPECT_THAT(places(linted("-- migrate:up\n" + index + "-- migrate:down\n", "1_i.sql")),
              ElementsAre("concurrently_in_transaction 2:14"));
  EXPECT_THAT(places(linted("-- migrate:up transaction:false\n" + index, "1_i.sql")), IsEmpty());
  EXPECT_THAT(places(linted("-- +goose NO TRANSACTION\n-- +goose Up\n" + index, "1_i.sql")), IsEmpty());
  EXPECT_THAT(places(linted("-- +migrate Up notransaction\n" + index, "1_i.sql")), IsEmpty());
}

TEST(SourceLint, TellsClashesAtTheSecondFile) {
  std::vector<Source> sources;
  std::vector<lint::Report> reports;
  for (const char* file : {"m/V1__a.sql", "m/V1__b.sql", "n/V1__c.sql"})
    reports.push_back(lint_file("SELECT 1;", file, std::nullopt, kOptions, sources));
  add_same_versions(sources, reports);
  EXPECT_THAT(reports[0].findings, IsEmpty());
  ASSERT_EQ(reports[1].findings.size(), 1U);
  EXPECT_EQ(reports[1].findings[0].detail, "1, as m/V1__a.sql");
  EXPECT_EQ(reports[1].errors(), 1U);
  ASSERT_EQ(reports[2].findings.size(), 1U);
  EXPECT_EQ(reports[2].errors(), 0U);  // two folders may be of two databases
}

TEST(SourceLint, IsBoundedOverManyChangesets) {
  std::string sql = "--liquibase formatted sql\n";
  for (int i = 0; i < 3; ++i) {
    sql += "--changeset a:" + std::to_string(i) + "\n";
    for (int j = 0; j < 600; ++j) sql += "TRUNCATE t;\n";
  }
  const lint::Report report = linted(sql);
  ASSERT_EQ(report.findings.size(), lint::kFindingsMax + 1);
  EXPECT_EQ(report.findings.back().rule, "too_many");
  EXPECT_TRUE(report.truncated);
}

TEST(SourceLint, DeepAndLongTextIsToldAndHarmless) {
  std::string sum = "SELECT 1";
  while (sum.size() < 60'000) sum += "+1";
  EXPECT_THAT(places(linted(sum + ";TRUNCATE t;")), ElementsAre("too_large 1:1", "truncate 1:60011"));
  const lint::Report wide = linted("SELECT " + std::string(200'000, '(') + "1;");
  ASSERT_FALSE(wide.findings.empty());
  EXPECT_EQ(wide.findings[0].rule, "too_large");
  EXPECT_THAT(places(linted("-- " + std::string(5 << 20, 'x'))), ElementsAre("too_large 1:1"));
}

// psql's \; and the SQL behind \\ run as any other.
TEST(LintFile, ReadsWhatStandsBehindPsqlsSeparators) {
  for (const char* sql :
       {"SELECT 1 \\; TRUNCATE a;\n", "\\echo x \\\\ TRUNCATE a;\n", "SELECT 1 \\g \\\\ TRUNCATE a;\n"}) {
    std::vector<Source> sources;
    const lint::Report report = lint_file(sql, "a.sql", std::nullopt, kOptions, sources);
    const auto found = std::ranges::find(report.findings, "truncate", &lint::Finding::rule);
    ASSERT_NE(found, report.findings.end()) << sql;
    EXPECT_EQ(found->column, static_cast<int>(std::string_view(sql).find("a;")) + 1) << sql;
  }
}

}  // namespace
}  // namespace poundlock::migration
