#include "engine/reach.h"

#include <fmt/format.h>
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
                          "COMMENT ON ROLE x IS 'y'",
                          "COMMENT ON TABLESPACE t IS 'y'",
                          "SECURITY LABEL ON ROLE x IS 'y'",
                          "REVOKE CONNECT ON DATABASE prod FROM x",
                          "GRANT USAGE ON FOREIGN SERVER s TO x",
                          "CREATE EXTENSION pg_cron",
                          "CREATE EXTENSION adminpack",
                          "CREATE EXTENSION file_fdw",
                          "IMPORT FOREIGN SCHEMA a FROM SERVER s INTO b",
                          "CREATE FOREIGN DATA WRAPPER w",
                          "DROP FOREIGN DATA WRAPPER w",
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

TEST(Reach, ReadsWhatStandsBehindQuotesInABlock) {
  for (const char* body :
       {"RAISE NOTICE '-- roles'; CREATE ROLE r1;", "RAISE NOTICE '/*'; CREATE ROLE r1;",
        "RAISE NOTICE 'it''s -- so'; CREATE ROLE r1;", "RAISE NOTICE E'it\\'s -- so'; CREATE ROLE r1;",
        "SELECT 1 AS \"--\"; CREATE ROLE r1;", "PERFORM $q$ -- $q$; CREATE ROLE r1;",
        "PERFORM $q$ ' $q$; CREATE ROLE r1; PERFORM $q$ ' $q$;", "PERFORM '\\'; CREATE ROLE r1; PERFORM '';",
        "/* /* */ ' */ CREATE ROLE r1; -- '", "EXECUTE $q$CREATE ROLE r1$q$;", "EXECUTE E'CREATE\\nROLE r1';",
        "EXECUTE 'CREATE ' || 'ROLE r1';", "EXECUTE 'SELECT ''' || x || ' -- ''; CREATE ROLE r1';",
        "PERFORM a$b$c FROM t; CREATE ROLE r1; PERFORM d$b$e FROM t;", "PERFORM \"pg_terminate_backend\"(1);",
        "EXECUTE 'SELECT \"dblink_exec\"()';"})
    EXPECT_THAT(reach(std::string("DO $do$ BEGIN ") + body + " END $do$").beyond, HasSubstr("in a DO block"))
        << body;
}

TEST(Reach, KnowsInABlockWhatItRefusesByItself) {
  for (const char* sql : {"REVOKE g FROM x",
                          "REVOKE ADMIN OPTION FOR g FROM x",
                          "COPY t TO '/f'",
                          "COPY t (a, b) FROM '/f'",
                          "COPY (SELECT a FROM t) TO '/f'",
                          "COPY t FROM PROGRAM 'p'",
                          "COMMENT ON ROLE x IS 'y'",
                          "COMMENT ON DATABASE d IS 'y'",
                          "COMMENT ON TABLESPACE t IS 'y'",
                          "SECURITY LABEL FOR p ON ROLE x IS 'y'",
                          "GRANT CONNECT ON DATABASE d TO x",
                          "REVOKE ALL ON DATABASE d FROM x",
                          "GRANT USAGE ON FOREIGN SERVER s TO x",
                          "CREATE EXTENSION postgres_fdw",
                          "CREATE EXTENSION IF NOT EXISTS \"file_fdw\"",
                          "CREATE EXTENSION dblink",
                          "CREATE EXTENSION pg_cron",
                          "CREATE EXTENSION adminpack",
                          "CHECKPOINT",
                          "LOAD 'l'",
                          "IMPORT FOREIGN SCHEMA a FROM SERVER s INTO b",
                          "CREATE FOREIGN DATA WRAPPER w",
                          "DROP FOREIGN DATA WRAPPER w",
                          "CREATE SERVER s FOREIGN DATA WRAPPER w"}) {
    EXPECT_THAT(reach(fmt::format("DO $do$ BEGIN {}; END $do$", sql)).beyond, HasSubstr("DO block")) << sql;
    EXPECT_THAT(reach(fmt::format("DO $do$ BEGIN EXECUTE $q${}$q$; END $do$", sql)).beyond,
                HasSubstr("DO block"))
        << sql;
  }
  for (const char* body : {"EXECUTE format('COPY t FROM %L', f)",
                           "EXECUTE 'COPY t FROM ' || quote_literal(f)", "EXECUTE 'COPY t FROM ''/f'''"})
    EXPECT_THAT(reach(fmt::format("DO $do$ BEGIN {}; END $do$", body)).beyond, HasSubstr("COPY")) << body;
  for (const char* body :
       {"GRANT SELECT ON t TO x", "REVOKE SELECT ON t FROM x", "REVOKE GRANT OPTION FOR SELECT ON t FROM x",
        "COMMENT ON TABLE t IS 'on role'", "CREATE EXTENSION pg_trgm", "SELECT copy, revoke INTO a FROM t",
        "RAISE NOTICE 'copy rows from here to there'", "ALTER TABLE t ADD \"CREATE ROLE\" text",
        "UPDATE t SET comment = '' FROM u JOIN role ON role.id = u.id"})
    EXPECT_EQ(reach(fmt::format("DO $do$ BEGIN {}; END $do$", body)).beyond, "") << body;
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
