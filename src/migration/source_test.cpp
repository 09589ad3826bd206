#include "migration/source.h"

#include <gmock/gmock.h>

namespace poundlock::migration {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Source one(std::string_view text, std::string file, std::optional<std::string_view> conf = std::nullopt) {
  auto sources = read_sources(text, std::move(file), conf);
  EXPECT_TRUE(sources) << sources.error().message;
  if (!sources || sources->size() != 1) {
    ADD_FAILURE() << "not one source";
    return {};
  }
  return std::move(sources->front());
}

TEST(Source, PlainSqlIsOneSourceWithoutATransaction) {
  const Source source = one("SELECT 1;\n", "m/1.sql");
  EXPECT_EQ(source.tool, Tool::kPlain);
  EXPECT_FALSE(source.in_transaction);
  EXPECT_EQ(source.sql, "SELECT 1;\n");
  EXPECT_EQ(one("", "empty.sql").sql, "");
}

TEST(Source, FlywayIsReadFromTheName) {
  const Source source = one("ALTER TABLE t ADD a int;", "db/V2_1__add_a.sql");
  EXPECT_EQ(source.tool, Tool::kFlyway);
  EXPECT_EQ(source.kind, Kind::kVersioned);
  EXPECT_EQ(source.version, "2.1");
  EXPECT_EQ(source.description, "add a");
  EXPECT_TRUE(source.in_transaction);
  EXPECT_EQ(one("SELECT 1", "U2.1__x.sql").kind, Kind::kUndo);
  EXPECT_EQ(one("SELECT 1", "B7__all.sql").kind, Kind::kBaseline);
  EXPECT_EQ(one("SELECT 1", "R__views.sql").kind, Kind::kRepeatable);
  EXPECT_EQ(one("SELECT 1", "V20231224120000__x.SQL").version, "20231224120000");
  for (const char* no : {"V1_one_underscore.sql", "Vx__a.sql", "V__a.sql", "R1__a.sql", "V1._2__a.sql",
                         "v1__a.sql", "V1__a.txt", "Views__all.sql"})
    EXPECT_EQ(one("SELECT 1", no).tool, Tool::kPlain) << no;
}

TEST(Source, FlywayLeavesItsTransactionAwayWhereToldOrForced) {
  const std::string_view index = "CREATE INDEX CONCURRENTLY i ON t (a);";
  EXPECT_FALSE(one("SELECT 1", "V1__a.sql", "executeInTransaction=false\n").in_transaction);
  EXPECT_TRUE(one(index, "V1__a.sql", "# no\nexecuteInTransaction = true").in_transaction);
  EXPECT_TRUE(one("SELECT 1", "V1__a.sql", "encoding=UTF-8").in_transaction);
  EXPECT_FALSE(one(index, "V1__a.sql").in_transaction);
  EXPECT_FALSE(one("SET lock_timeout='1s';\nVACUUM t; -- SELECT 1;\n", "V1__a.sql").in_transaction);
  EXPECT_TRUE(one(std::string(index) + "ALTER TABLE t ADD b int;", "V1__a.sql").in_transaction);
  const auto bad = read_sources("SELECT 1", "V1__a.sql", "\nexecuteInTransaction=maybe");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().where->file, "V1__a.sql.conf");
  EXPECT_EQ(bad.error().where->line, 2);
}

constexpr std::string_view kChangesets =
    "\n--liquibase formatted sql\n"
    "--changeset ann:1 labels:\"a b\"\n"
    "--comment: the status\n"
    "ALTER TABLE t ADD a int;\n"
    "--rollback ALTER TABLE t DROP a;\n"
    "-- changeset bob:add-index runInTransaction:false splitStatements:false\n"
    "CREATE INDEX CONCURRENTLY i ON t (a);\n"
    "--changeset \"Ann B\":\"3 c\" endDelimiter:/ runOnChange:true\n"
    "SELECT 1\n"
    "  /\n"
    "--ignoreLines:1\n"
    "NOT SQL\n"
    "SELECT 2 /\n"
    "--changeset ann:4 dbms:mysql,h2\n"
    "ALTER TABLE t ENGINE = x;\n"
    "--changeset ann:5 dbms:!oracle\n"
    "SELECT 5;";

TEST(Source, LiquibaseHasOneForEachChangeset) {
  const auto sources = read_sources(kChangesets, "all.sql");
  ASSERT_TRUE(sources) << sources.error().message;
  ASSERT_EQ(sources->size(), 4U);
  const Source& first = (*sources)[0];
  EXPECT_EQ(first.tool, Tool::kLiquibase);
  EXPECT_EQ(first.version, "ann:1");
  EXPECT_EQ(first.description, "the status");
  EXPECT_TRUE(first.in_transaction);
  EXPECT_EQ(first.line, 4);
  EXPECT_EQ(first.sql, "--comment: the status\nALTER TABLE t ADD a int;\n--rollback ALTER TABLE t DROP a;\n");
  EXPECT_FALSE((*sources)[1].in_transaction);
  EXPECT_EQ((*sources)[1].line, 8);
  EXPECT_EQ((*sources)[2].version, "Ann B:3 c");
  EXPECT_EQ((*sources)[2].kind, Kind::kRepeatable);
  EXPECT_EQ((*sources)[2].sql, "SELECT 1\n  ;\n\n\nSELECT 2 ;\n");
  EXPECT_EQ((*sources)[3].version, "ann:5");
  EXPECT_EQ((*sources)[3].sql, "SELECT 5;");
}

TEST(Source, LiquibaseErrorsHaveTheirPlace) {
  const auto fails = [](std::string_view line) {
    const auto read = read_sources("-- liquibase formatted sql\n" + std::string(line) + "\n", "a.sql");
    EXPECT_FALSE(read) << line;
    return read ? Error{} : read.error();
  };
  EXPECT_EQ(fails("--changeset ann").where->line, 2);
  EXPECT_EQ(fails("--changeset ann:1 runInTransaction:no").where->column, 19);
  EXPECT_THAT(fails("--changeset ann:1 runInTransaction:no").message, HasSubstr("true or false"));
  EXPECT_EQ(fails("--changeset ann:1 labels:\"a").where->column, 19);
  EXPECT_EQ(fails("--changeset ann:1 labels").where->column, 19);
  EXPECT_TRUE(read_sources("--liquibase formatted sql\n", "a.sql")->empty());
}

TEST(Source, AlembicAndDjangoAreKnownByTheirComments) {
  const Source alembic =
      one("BEGIN;\n\nCREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);\n\n"
          "-- Running upgrade  -> 1975ea83b712\n\nALTER TABLE t ADD COLUMN a int;\n\n"
          "-- Running upgrade 1975ea83b712 -> ae1027a6acf, add b\n\nCOMMIT;\n",
          "-");
  EXPECT_EQ(alembic.tool, Tool::kAlembic);
  EXPECT_EQ(alembic.version, "ae1027a6acf");
  EXPECT_EQ(alembic.description, "add b");
  EXPECT_FALSE(alembic.in_transaction);
  const Source django =
      one("BEGIN;\n--\n-- Add field a to t\n--\nALTER TABLE \"t\" ADD COLUMN \"a\" integer NULL;\nCOMMIT;\n",
          "-");
  EXPECT_EQ(django.tool, Tool::kDjango);
  EXPECT_EQ(django.description, "Add field a to t");
  EXPECT_EQ(one("--\n-- Add index i\n--\nCREATE INDEX CONCURRENTLY i ON t (a);\n", "-").tool, Tool::kDjango);
  EXPECT_EQ(one("BEGIN;\n-- a comment\nSELECT 1;\n", "-").tool, Tool::kPlain);
}

std::vector<Source> parts(std::string_view text, std::string file = "m/00007_note.sql") {
  auto sources = read_sources(text, std::move(file));
  EXPECT_TRUE(sources) << sources.error().message;
  return sources ? *std::move(sources) : std::vector<Source>{};
}

TEST(Source, GooseHasBothPartsInOneFile) {
  const auto read = parts(
      "-- +goose Up\n"
      "-- +goose StatementBegin\n"
      "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$\n"
      "-- +goose StatementEnd\n"
      "SELECT 2;\r\n"
      "--+goose down\r\n"
      "DROP FUNCTION f();\n");
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].tool, Tool::kGoose);
  EXPECT_EQ(read[0].kind, Kind::kVersioned);
  EXPECT_EQ(read[0].version, "00007");
  EXPECT_EQ(read[0].line, 1);
  EXPECT_TRUE(read[0].in_transaction);
  EXPECT_THAT(read[0].sql, HasSubstr("$$\n;-- +goose StatementEnd\nSELECT 2;"));
  EXPECT_THAT(read[0].sql, testing::Not(HasSubstr("DROP")));
  EXPECT_EQ(read[1].kind, Kind::kUndo);
  EXPECT_EQ(read[1].line, 6);
  EXPECT_EQ(read[1].sql, "--+goose down\r\nDROP FUNCTION f();\n");
  const auto bare = parts("-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;");
  ASSERT_EQ(bare.size(), 2U);
  EXPECT_FALSE(bare[0].in_transaction);
  EXPECT_FALSE(bare[1].in_transaction);
}

TEST(Source, DbmateAndSqlMigrateSayItForEachPart) {
  const auto dbmate = parts("-- migrate:up transaction:false\nSELECT 1;\n\n-- migrate:down\nSELECT 2;\n");
  ASSERT_EQ(dbmate.size(), 2U);
  EXPECT_EQ(dbmate[0].tool, Tool::kDbmate);
  EXPECT_FALSE(dbmate[0].in_transaction);
  EXPECT_TRUE(dbmate[1].in_transaction);
  EXPECT_EQ(dbmate[1].line, 4);
  const auto several = parts(
      "-- +migrate Down notransaction\nSELECT 1;\n-- +migrate Up\nSELECT 2;\n-- +migrate Down\nSELECT 3;\n");
  ASSERT_EQ(several.size(), 2U);
  EXPECT_EQ(several[0].tool, Tool::kSqlMigrate);
  EXPECT_EQ(several[0].sql, "\n\n-- +migrate Up\nSELECT 2;\n");
  EXPECT_TRUE(several[0].in_transaction);
  EXPECT_EQ(several[1].sql, "-- +migrate Down notransaction\nSELECT 1;\n\n\n-- +migrate Down\nSELECT 3;\n");
  EXPECT_FALSE(several[1].in_transaction);
  // An undo alone is never a migration.
  EXPECT_EQ(parts("-- migrate:down\nSELECT 1;\n").back().kind, Kind::kUndo);
  for (const char* no : {"-- about goose Up\nSELECT 1;", "SELECT 1; -- migrate:up\n", "-- +goose Upper\n"})
    EXPECT_EQ(parts(no)[0].tool, Tool::kPlain) << no;
}

TEST(Source, AFileOfItsOwnIsTheUndo) {
  const Source up = one("SELECT 1;", "m/000007_note.up.sql");
  EXPECT_EQ(up.tool, Tool::kPlain);
  EXPECT_EQ(up.kind, Kind::kVersioned);
  EXPECT_EQ(up.version, "000007");
  EXPECT_EQ(one("SELECT 1;", "m/000007_note.DOWN.SQL").kind, Kind::kUndo);
  EXPECT_EQ(one("SELECT 1;", "2024-01-01-000000_note/down.sql").kind, Kind::kUndo);
  for (const char* no : {"7_down.sql", "7_scale-down.sql", "countdown.sql", "7.down.txt"})
    EXPECT_EQ(one("SELECT 1;", no).kind, Kind::kVersioned) << no;
}

TEST(Source, TellsTwoOfOneVersion) {
  const auto clashes = [](std::initializer_list<const char*> files) {
    std::vector<Source> sources;
    for (const char* file : files) sources.push_back(one("SELECT 1;", file));
    std::vector<std::string> out;
    for (const SameVersion& clash : same_versions(sources))
      out.push_back(clash.first->file + (clash.one_folder ? " = " : " ~ ") + clash.second->file);
    return out;
  };
  EXPECT_THAT(clashes({"V1__a.sql", "V2__b.sql", "V10__c.sql", "U1__a.sql", "B1__a.sql"}), IsEmpty());
  EXPECT_THAT(clashes({"V1__a.sql", "V1_0__b.sql"}), ElementsAre("V1__a.sql = V1_0__b.sql"));
  EXPECT_THAT(clashes({"V01__a.sql", "V1__b.sql", "V001__c.sql"}),
              ElementsAre("V01__a.sql = V1__b.sql", "V01__a.sql = V001__c.sql"));
  EXPECT_THAT(clashes({"R__v.sql", "x/R__v.sql"}), ElementsAre("R__v.sql ~ x/R__v.sql"));
  EXPECT_THAT(clashes({"a/V1__x.sql", "b/V1__x.sql"}), ElementsAre("a/V1__x.sql ~ b/V1__x.sql"));
  EXPECT_THAT(clashes({"a/1.sql", "b/1.sql"}), IsEmpty());
  EXPECT_THAT(clashes({"1_a.up.sql", "1_a.down.sql", "2_b.up.sql", "x/1_a.up.sql"}), IsEmpty());
  EXPECT_THAT(clashes({"1_a.up.sql", "001_b.up.sql"}), ElementsAre("1_a.up.sql = 001_b.up.sql"));
  const auto twice = read_sources(
      "--liquibase formatted sql\n--changeset a:1\nSELECT 1;\n--changeset a:1\nSELECT 2;\n", "c.sql");
  ASSERT_EQ(same_versions(*twice).size(), 1U);
  EXPECT_EQ(same_versions(*twice)[0].second->line, 5);
}

TEST(Source, OrdersVersionsAsFlywayDoes) {
  EXPECT_EQ(compare_versions("1.0", "1"), 0);
  EXPECT_LT(compare_versions("1.2", "1.10"), 0);
  EXPECT_GT(compare_versions("20231224120000123456789", "3"), 0);
  EXPECT_LT(compare_versions("1", "1.1"), 0);
}

}  // namespace
}  // namespace poundlock::migration
