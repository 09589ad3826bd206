// Both round trips with the real Flyway: it runs what plan wrote, and Poundlock adopts the result; Poundlock
// carries the plan out, and Flyway takes it as run, with no drift against a database that Flyway built.
#include <fmt/format.h>

#include <fstream>

#include "support/migration_tool.h"
#include "support/packages.h"

namespace poundlock::scenario {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const ToolWords kWords{"--write db --format flyway", "baseline", "migrate", "",
                       "public.flyway_schema_history"};

class FlywayTest : public MigrationToolTest {
 protected:
  void SetUp() override {
    const auto packages = java_packages("flyway", POUNDLOCK_SOURCE_DIR "/tests/clients/flyway");
    if (!packages) GTEST_SKIP() << packages.error();
    classes_ = *packages + "/lib/*";
    start("flyway", kSqlMigration);
  }
  ToolRan tool(const std::string& database, const std::string& what) override {
    fs::create_directories(folder_ / "db");
    return run_shell(
        fmt::format("java -cp '{}' " POUNDLOCK_SOURCE_DIR
                    "/tests/clients/flyway/Migrate.java jdbc:postgresql://127.0.0.1:{}/{} app {} {}",
                    classes_, cluster_->port(), database, (folder_ / "db").string(), what));
  }

  std::string classes_;
};

TEST_F(FlywayTest, RunsWhatWasWrittenAndTheResultIsAdopted) {
  the_tool_runs_what_was_written(kWords, "'it''s; -- 10% Ä'");
}

TEST_F(FlywayTest, TakesAsRunWhatPoundlockCarriedOut) {
  the_tool_takes_as_run_what_was_carried_out(kWords);
  if (HasFatalFailure()) return;
  const ToolRan valid = tool(kOurs, "validate");
  EXPECT_EQ(valid.code, 0) << valid.output;  // every checksum, type and description is as Flyway's own
  EXPECT_THAT(tool(kOurs, "migrate").output, HasSubstr("executed 0"));
  // A file that was changed behind the row is found by Flyway, as it would find one of its own.
  for (const auto& entry : fs::directory_iterator(folder_ / "db")) {
    if (!entry.path().filename().string().starts_with("V")) continue;
    if (entry.path().extension() != ".sql") continue;
    std::ofstream(entry.path(), std::ios::app) << "SELECT 1;\n";
    break;
  }
  const ToolRan changed = tool(kOurs, "validate");
  EXPECT_NE(changed.code, 0);
  EXPECT_THAT(changed.output, HasSubstr("checksum mismatch"));
}

}  // namespace
}  // namespace poundlock::scenario
