// Both round trips with the real Liquibase: it runs what plan wrote and takes it back, and Poundlock adopts
// the result; Poundlock carries the plan out, and Liquibase takes it as run, with no drift against a database
// that Liquibase built.
#include <fmt/format.h>

#include "support/migration_tool.h"
#include "support/packages.h"

namespace poundlock::scenario {
namespace {

using testing::HasSubstr;

constexpr const char* kMigration =
    "ALTER TABLE orders ADD COLUMN note varchar(20) DEFAULT 'it''s; -- 10% Ä' NOT NULL;\n"
    "CREATE INDEX orders_total ON orders (total);\n"
    "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0);\n"
    "CREATE TABLE notes (id bigint PRIMARY KEY, order_id bigint REFERENCES orders (id));\n";

const ToolWords kWords{"--write changes.sql --format liquibase", "init", "update", "rollback",
                       "public.databasechangelog, public.databasechangeloglock"};

class LiquibaseTest : public MigrationToolTest {
 protected:
  void SetUp() override {
    const auto packages = java_packages("liquibase", POUNDLOCK_SOURCE_DIR "/tests/clients/liquibase");
    if (!packages) GTEST_SKIP() << packages.error();
    classes_ = *packages + "/lib/*";
    start("liquibase", kMigration);
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

}  // namespace
}  // namespace poundlock::scenario
