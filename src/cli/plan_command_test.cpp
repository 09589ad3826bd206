// plan on plain SQL as a person and a pipeline use it, without server, database or configuration.
#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "cli/run_for_test.h"

namespace poundlock::cli {
namespace {

using testing::HasSubstr;
namespace bj = boost::json;

class PlanTest : public CommandLineTest {};

TEST_F(PlanTest, PrintsTheShapeThatOthersRelyOn) {
  write("m.sql",
        "ALTER TABLE orders DROP COLUMN old;\nCREATE INDEX i ON orders (a);\nALTER TABLE orders RENAME b TO "
        "c;\n");
  const auto ran = run({"plan", "--output", "json", "m.sql"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto plan = bj::parse(ran.out).as_object();
  const auto& steps = plan.at("steps").as_array();
  ASSERT_EQ(steps.size(), 2u);
  for (const char* key : {"id", "phase", "sql", "lock_mode", "lock_table", "undo", "probe"})
    for (const auto& step : steps) EXPECT_TRUE(step.as_object().at(key).is_string()) << key;
  for (const char* key : {"transaction_group", "lock_timeout_ms"})
    for (const auto& step : steps) EXPECT_TRUE(step.as_object().at(key).is_int64()) << key;
  for (const char* key : {"rewrites", "scans"})
    for (const auto& step : steps) EXPECT_TRUE(step.as_object().at(key).is_bool()) << key;
  EXPECT_EQ(steps[0].at("sql"), "CREATE INDEX CONCURRENTLY i ON orders (a);");
  EXPECT_EQ(steps[0].at("phase"), "dual_write");
  EXPECT_EQ(steps[1].at("phase"), "contract");
  EXPECT_EQ(steps[1].at("lock_mode"), "AccessExclusiveLock");
  EXPECT_EQ(steps[1].at("lock_table"), "public.orders");
  ASSERT_EQ(plan.at("decisions").as_array().size(), 1u);
  EXPECT_EQ(plan.at("decisions").at(0).at("line"), 3);
}

TEST_F(PlanTest, ReadsAFolderInFlywaysOrder) {
  write("db/V10__c.sql", "CREATE TABLE c (a int);");
  write("db/V2__b.sql", "CREATE INDEX CONCURRENTLY i ON t (a);");
  write("db/V2__b.sql.conf", "executeInTransaction=false\n");
  write("db/R__view.sql", "CREATE VIEW v AS SELECT 1;");
  write("db/U2__b.sql", "DROP INDEX i;");
  const auto ran = run({"plan", "--output", "json", "db"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto steps = bj::parse(ran.out).at("steps").as_array();
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].at("file"), "db/V2__b.sql");
  EXPECT_EQ(steps[1].at("file"), "db/V10__c.sql");
  EXPECT_EQ(steps[2].at("file"), "db/R__view.sql");
}

TEST_F(PlanTest, LeavesTheUndoOutThatStandsBesideAMigration) {
  write("db/9_name.down.sql", "ALTER TABLE t DROP COLUMN name;");
  write("db/9_name.up.sql", "ALTER TABLE t ADD COLUMN name text;");
  write("db/10_note.up.sql", "ALTER TABLE t ADD COLUMN note text;");
  write("db/10_note.down.sql", "ALTER TABLE t DROP COLUMN note;");
  write("goose.sql", "-- +goose Up\nCREATE TABLE g (a int);\n-- +goose Down\nDROP TABLE g;\n");
  const auto files = [&](std::vector<std::string> named) {
    named.insert(named.begin(), {"plan", "--output", "json"});
    const auto ran = run(named);
    EXPECT_EQ(ran.code, 0) << ran.err;
    std::string out;
    const auto steps = bj::parse(ran.out).at("steps").as_array();
    for (const auto& step : steps) {
      out += std::string(step.at("file").as_string()) + " ";
      EXPECT_THAT(std::string(step.at("sql").as_string()), testing::Not(HasSubstr("DROP")));
    }
    return out;
  };
  EXPECT_EQ(files({"db"}), "db/9_name.up.sql db/10_note.up.sql ");
  // A shell's * names all of them.
  EXPECT_EQ(files({"db/10_note.down.sql", "db/10_note.up.sql", "db/9_name.down.sql", "db/9_name.up.sql"}),
            "db/9_name.up.sql db/10_note.up.sql ");
  EXPECT_EQ(files({"goose.sql"}), "goose.sql ");
  // Asked for by name alone it is planned.
  const auto undo = run({"plan", "db/9_name.down.sql"});
  EXPECT_EQ(undo.code, 0);
  EXPECT_THAT(undo.out, HasSubstr("DROP COLUMN"));
}

TEST_F(PlanTest, WritesAllOrNothingAndNeverOverWhatIsThere) {
  write("m.sql", "ALTER TABLE orders ADD a int; CREATE INDEX i ON orders (a);");
  write("out/V1_2__dual_write_create_index_orders.sql", "mine");
  EXPECT_EQ(run({"plan", "m.sql", "--write", "out", "--version", "1"}).code, 4);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/V1_1__dual_write_alter_table_orders.sql"));
  EXPECT_EQ(read("out/V1_2__dual_write_create_index_orders.sql"), "mine");
  EXPECT_EQ(run({"plan", "m.sql", "--write", "out", "--force"}).code, 0);
  EXPECT_THAT(read("out/V1_2__dual_write_create_index_orders.sql"), HasSubstr("CONCURRENTLY"));
  write("half.sql", "TRUNCATE orders; ALTER TABLE orders ADD a int;");
  const auto half = run({"plan", "half.sql", "--write", "half"});
  EXPECT_EQ(half.code, 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "half"));
}

// Flyway leaves out, or refuses, a version below one that it has run.
TEST_F(PlanTest, WritesFlywaysFilesAboveTheVersionsThatAreThere) {
  write("m.sql", "ALTER TABLE orders ADD a int; ALTER TABLE orders DROP COLUMN b;");
  write("db/old/V3.9__x.sql", "SELECT 1;");
  write("db/V2__y.sql", "SELECT 1;");
  const auto below = run({"plan", "m.sql", "--write", "db", "--version", "3"});
  EXPECT_EQ(below.code, 4);
  EXPECT_THAT(below.err, HasSubstr("--version 4 is free"));
  const auto ran = run({"plan", "m.sql", "--write", "db"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_TRUE(std::filesystem::exists(folder_ / "db/V4_1__dual_write_alter_table_orders.sql"));
  EXPECT_THAT(ran.out.substr(ran.out.find("together with the others")), HasSubstr("db/V4_2__contract_"));
  EXPECT_EQ(run({"plan", "m.sql", "--write", "db"}).code, 4) << "the same change twice";
  const auto told = run({"plan", "m.sql", "--write", "other", "--output", "json"});
  const auto late = bj::parse(told.out).at("written_contract").as_array();
  ASSERT_EQ(late.size(), 1U) << told.out;
  EXPECT_THAT(late[0].as_string().c_str(), testing::StartsWith("other/V1_2__contract_"));
  write("next.sql", "ALTER TABLE orders ADD c int;");
  ASSERT_EQ(run({"plan", "next.sql", "--write", "db"}).code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "db/V5_1__dual_write_alter_table_orders.sql"));
}

// Two classes of one name stop Rails.
TEST_F(PlanTest, WritesNoClassOfRailsTwice) {
  write("m.sql", "ALTER TABLE orders ADD a int;");
  const auto into = [&](const char* version, const char* name) {
    return run({"plan", "m.sql", "--write", "db", "--format", "rails", "--version", version, "--name", name});
  };
  EXPECT_EQ(into("20261122210000", "one").code, 0);
  EXPECT_EQ(into("20261122220000", "one").code, 4);
  EXPECT_EQ(into("20261122220000", "two").code, 0);
}

// A shell's * names V10 before V2; files of no tool stay where they were named.
TEST_F(PlanTest, TakesNamedFlywayFilesInTheirOrder) {
  write("V10__c.sql", "CREATE TABLE c (a int);");
  write("V2__b.sql", "CREATE TABLE b (a int);");
  write("own.sql", "CREATE TABLE own (a int);");
  const auto ran = run({"plan", "--output", "json", "V10__c.sql", "own.sql", "V2__b.sql"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto steps = bj::parse(ran.out).at("steps").as_array();
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].at("file"), "V2__b.sql");
  EXPECT_EQ(steps[1].at("file"), "own.sql");
  EXPECT_EQ(steps[2].at("file"), "V10__c.sql");
}

TEST_F(PlanTest, PlansNothingThatOnlyAnotherToolUnderstands) {
  using namespace std::string_literals;
  const std::vector<std::pair<std::string, std::string>> refused{
      {"SELECT 1;\n\\i other.sql\n", "x.sql:2:1"},
      {"ALTER TABLE :name ADD a int;", "x.sql:1:13"},
      {"ALTER TABLE ${app}.t ADD a int;", "${app}"},
      {"COPY t (a) FROM stdin;\n1\n\\.\n", "COPY"},
      {"\xFF\xFE"
       "C\0R\0"s,
       "UTF-16"},
      {"SELECT 1;\0"s, "NUL"},
      {"ALTER TABLE caf\xE9 ADD a int;", "x.sql:1:16"},
  };
  for (const auto& [text, told] : refused) {
    write("x.sql", text);
    const auto ran = run({"plan", "x.sql"});
    EXPECT_EQ(ran.code, 2) << text << ran.out;
    EXPECT_THAT(ran.err, HasSubstr(told));
  }
  write("talks.sql", "\xEF\xBB\xBF\\set ON_ERROR_STOP on\n\\echo hi\nALTER TABLE t ADD a int;\n");
  const auto ran = run({"plan", "--output", "json", "talks.sql"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(bj::parse(ran.out).at("steps").at(0).at("sql"), "ALTER TABLE t ADD a int;");
}

TEST_F(PlanTest, TellsAScriptOfItsOwnFromOthersOfPsql) {
  write("m.sql", "ALTER TABLE orders ADD a int;");
  ASSERT_EQ(run({"plan", "m.sql", "--write", "o.sql"}).code, 0);
  const auto ran = run({"plan", "o.sql"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("was written by plan"), HasSubstr("run it by psql")));
}

TEST_F(PlanTest, WritesTheFilesOfWhatOwnsTheSchema) {
  write("m.sql", "ALTER TABLE orders ADD a int;");
  write("poundlock.yaml",
        "environments: {dev: {databases: {app: {url: host=/tmp, ddl_owner: liquibase}}}}\n");
  ASSERT_EQ(run({"plan", "m.sql", "--write", "changes.sql"}).code, 0);
  EXPECT_THAT(read("changes.sql"), HasSubstr("--liquibase formatted sql"));
  ASSERT_EQ(run({"plan", "m.sql", "--write", "plain.sql", "--format", "sql"}).code, 0);
  EXPECT_THAT(read("plain.sql"), HasSubstr("BEGIN;"));
  write("poundlock.yaml", "environments: {dev: {databases: {app: {url: host=/tmp, ddl_owner: flywy}}}}\n");
  const auto wrong = run({"plan", "m.sql", "--write", "out"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("did you mean 'flyway'?"));
  write("poundlock.yaml",
        "environments: {dev: {databases: {a: {url: host=/tmp, ddl_owner: rails}, b: {url: host=/tmp}}}}\n");
  EXPECT_THAT(run({"plan", "m.sql", "--write", "out"}).err, HasSubstr("--format"));
}

TEST_F(PlanTest, SaysWhereTheSqlIsWrong) {
  write("bad.sql", "SELECT 1;\nALTER TABEL x;\n");
  const auto ran = run({"plan", "bad.sql"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("bad.sql:2"));
  write("r.yaml", "rollout: x\n");
  EXPECT_THAT(run({"plan", "bad.sql", "r.yaml"}).err, HasSubstr("planned by itself"));
}

}  // namespace
}  // namespace poundlock::cli
