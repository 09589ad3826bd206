#include "engine/reach.h"

#include <gmock/gmock.h>

namespace poundlock::engine {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Reach reach(const std::string& sql) {
  const auto statement = schema::parse_statement(sql);
  EXPECT_TRUE(statement) << sql;
  return statement ? reach_of(*statement) : Reach{};
}

TEST(Reach, NamesWhatTheDatabasesOfAClusterShare) {
  for (const char* sql : {"CREATE DATABASE d",
                          "DROP DATABASE victim",
                          "ALTER DATABASE prod SET work_mem = '1MB'",
                          "ALTER DATABASE prod RENAME TO other",
                          "ALTER DATABASE prod OWNER TO me",
                          "ALTER DATABASE prod CONNECTION LIMIT 0",
                          "COMMENT ON DATABASE prod IS 'x'",
                          "GRANT CONNECT ON DATABASE prod TO x",
                          "CREATE ROLE x SUPERUSER",
                          "CREATE USER x",
                          "CREATE GROUP x",
                          "ALTER ROLE x PASSWORD 'y'",
                          "ALTER USER x SET work_mem = '1MB'",
                          "ALTER GROUP g ADD USER x",
                          "ALTER ROLE x RENAME TO y",
                          "DROP ROLE x",
                          "GRANT g TO x",
                          "REVOKE g FROM x",
                          "CREATE TABLESPACE t LOCATION '/t'",
                          "DROP TABLESPACE t",
                          "ALTER TABLESPACE t RENAME TO u",
                          "ALTER TABLESPACE t SET (seq_page_cost = 1)",
                          "ALTER TABLE t SET TABLESPACE u",
                          "ALTER INDEX i SET TABLESPACE u",
                          "ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b",
                          "ALTER DATABASE prod SET TABLESPACE t",
                          "ALTER SYSTEM SET work_mem = '1MB'",
                          "COPY t TO PROGRAM 'sh'",
                          "COPY t FROM PROGRAM 'sh'",
                          "COPY t FROM '/etc/passwd'",
                          "COPY t TO '/f'",
                          "CREATE SUBSCRIPTION s CONNECTION 'c' PUBLICATION p",
                          "ALTER SUBSCRIPTION s DISABLE",
                          "DROP SUBSCRIPTION s",
                          "DROP OWNED BY x",
                          "REASSIGN OWNED BY x TO y",
                          "LOAD 'lib'",
                          "CHECKPOINT",
                          "CREATE EXTENSION dblink",
                          "CREATE EXTENSION IF NOT EXISTS postgres_fdw",
                          "CREATE SERVER s FOREIGN DATA WRAPPER w",
                          "ALTER SERVER s OPTIONS (SET host 'h')",
                          "DROP SERVER s",
                          "CREATE USER MAPPING FOR x SERVER s",
                          "PREPARE TRANSACTION 'p'",
                          "SELECT pg_terminate_backend(1)",
                          "INSERT INTO t SELECT dblink_exec('c', 'DROP TABLE t')"})
    EXPECT_FALSE(reach(sql).beyond.empty()) << sql;
}

TEST(Reach, LeavesWhatADatabaseKeepsToItself) {
  for (const char* sql :
       {"CREATE TABLE t (a int)", "ALTER TABLE t ADD COLUMN b int", "GRANT SELECT ON t TO x", "DROP TABLE t",
        "ALTER TABLE t OWNER TO x", "ALTER TABLE t RENAME TO u", "COMMENT ON TABLE t IS 'ALTER SYSTEM'",
        "COPY t FROM STDIN", "COPY t TO STDOUT", "CREATE EXTENSION pg_trgm", "SET work_mem = '1MB'", "BEGIN",
        "SELECT count(*) FROM t", "SELECT setval('s', 1)"}) {
    EXPECT_EQ(reach(sql).beyond, "") << sql;
    EXPECT_EQ(reach(sql).unseen, "") << sql;
  }
}

TEST(Reach, RefusesABlockWhoseWordsReachBeyond) {
  for (const char* sql :
       {"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles) THEN CREATE ROLE x; END IF; END $$",
        "DO $$ BEGIN EXECUTE 'create /* a */ user ' || quote_ident(current_user); END $$",
        "DO LANGUAGE plpgsql 'BEGIN ALTER SYSTEM SET work_mem = 1; END'",
        "DO $$ BEGIN GRANT app TO other; END $$",
        "DO $$ BEGIN PERFORM dblink_exec('c', 'DROP TABLE t'); END $$",
        "DO $$ BEGIN COPY t TO PROGRAM 'cat'; END $$",
        "DO $$ BEGIN PERFORM pg_terminate_backend(pid) FROM pg_stat_activity; END $$"})
    EXPECT_THAT(reach(sql).beyond, HasSubstr("in a DO block")) << sql;
  for (const char* sql :
       {"DO $$ BEGIN GRANT SELECT ON t TO other; END $$", "DO $$ BEGIN -- CREATE ROLE\n END $$",
        "DO $$ DECLARE role text; BEGIN UPDATE t SET role = 'x'; CREATE TABLE users (a int); END $$",
        "DO $$ BEGIN ALTER TABLE t ADD COLUMN server text; DROP TABLE database; END $$"})
    EXPECT_EQ(reach(sql).beyond, "") << sql;
}

TEST(Reach, TellsWhatItCannotSee) {
  EXPECT_EQ(reach("DO $$ BEGIN END $$").unseen, "a DO block");
  EXPECT_EQ(reach("CALL work()").unseen, "the procedure");
  EXPECT_EQ(reach("SELECT app.work()").unseen, "the function app.work");
}

TEST(Reach, RefusesAScriptWithItsPlaceAndNotesTheRest) {
  const auto refused = within_database({{"a.sql", false, {{"SELECT 1", 1}, {"CREATE ROLE x", 3}}}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().disposition, Disposition::kUser);
  EXPECT_THAT(refused.error().to_string(), HasSubstr("a.sql:3:1: CREATE ROLE reaches beyond the database"));
  EXPECT_FALSE(within_database({{"a.sql", false, {{"CREATE THING x", 1}}}}));
  const auto noted = within_database({{"a.sql", false, {{"CALL work()", 4}}}});
  ASSERT_TRUE(noted);
  ASSERT_THAT(*noted, SizeIs(1));
  EXPECT_THAT(noted->front(), HasSubstr("a.sql:4: what the procedure does"));
}

TEST(Reach, RefusesARolloutsStepByItsId) {
  change::Step step;
  step.id = "prepare.1";
  step.sql = {"CREATE TABLE t (a int)", "ALTER SYSTEM SET work_mem = '1MB'"};
  const auto refused = within_database(std::vector<const change::Step*>{&step});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().to_string(), HasSubstr("prepare.1: ALTER SYSTEM"));
  step.sql.pop_back();
  const auto passed = within_database(std::vector<const change::Step*>{&step});
  ASSERT_TRUE(passed);
  EXPECT_THAT(*passed, IsEmpty());
}

}  // namespace
}  // namespace poundlock::engine
