// Both round trips with the real Liquibase: it runs what plan wrote and takes it back, and Poundlock adopts
// the result; Poundlock carries the plan out, and Liquibase takes it as run, with no drift against a database
// that Liquibase built.
#include <fmt/format.h>

#include <fstream>

#include "support/migration_tool.h"
#include "support/packages.h"

namespace poundlock::scenario {
namespace {

using testing::HasSubstr;

const ToolWords kWords{"--write changes.sql --format liquibase", "init", "update", "rollback",
                       "public.databasechangelog, public.databasechangeloglock"};

class LiquibaseTest : public MigrationToolTest {
 protected:
  void SetUp() override {
    const auto packages = java_packages("liquibase", POUNDLOCK_SOURCE_DIR "/tests/clients/liquibase");
    if (!packages) GTEST_SKIP() << packages.error();
    classes_ = *packages + "/lib/*";
    start("liquibase", kSqlMigration);
  }
  ToolRan tool(const std::string& database, const std::string& what) override {
    return run_shell(
        fmt::format("java -cp '{}' " POUNDLOCK_SOURCE_DIR
                    "/tests/clients/liquibase/Migrate.java jdbc:postgresql://127.0.0.1:{}/{} app {} "
                    "changes.sql {}",
                    classes_, cluster_->port(), database, folder_.string(), what));
  }
  std::string classes_;
};

TEST_F(LiquibaseTest, RunsWhatWasWrittenAndTheResultIsAdopted) {
  the_tool_runs_what_was_written(kWords, "'it''s; -- 10% Ä'");
}

TEST_F(LiquibaseTest, TakesAsRunWhatPoundlockCarriedOut) {
  the_tool_takes_as_run_what_was_carried_out(kWords);
  if (HasFatalFailure()) return;
  EXPECT_THAT(tool(kOurs, "status").output, HasSubstr("unrun 0 of "));
  EXPECT_EQ(cell(kOurs, "SELECT count(*) FROM public.databasechangelog WHERE exectype <> 'MARK_RAN'"), "0");
}

// On one line, a comment in the old body would take the rest of it along.
TEST_F(LiquibaseTest, TakesBackAFunctionWithItsComments) {
  for (const char* database : {kUntouched, kTool, kOurs}) {
    sql(database,
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS '\n  BEGIN -- one; it ends here\n\n"
        "--rollback no line of a changeset\n    /* two;\n    lines */ RETURN 1; -- \x27\x27 three\n  END; '");
    sql(database, "CREATE VIEW v AS SELECT id, -- the key\n  total FROM public.orders");
  }
  std::ofstream(folder_ / "m.sql")
      << "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2; END';\n"
         "CREATE OR REPLACE VIEW v AS SELECT id, total, 1 AS more FROM orders;\n";
  const ToolRan wrote = poundlock(fmt::format("plan m.sql {} --database-url {}", kWords.write, url(kTool)));
  ASSERT_EQ(wrote.code, 0) << wrote.output;
  for (const auto& what : {kWords.begin, kWords.up}) {
    const ToolRan ran = tool(kTool, what);
    ASSERT_EQ(ran.code, 0) << ran.output;
  }
  EXPECT_EQ(cell(kTool, "SELECT f() + sum(more) FROM v"), "2002");
  const ToolRan down = tool(kTool, kWords.down);
  ASSERT_EQ(down.code, 0) << down.output;
  sql(kTool, "DROP TABLE " + kWords.history);
  EXPECT_THAT(drift(kUntouched, kTool), testing::IsEmpty());
  EXPECT_EQ(cell(kTool, "SELECT f()"), "1");
}

}  // namespace
}  // namespace poundlock::scenario
