// Both round trips with the real Alembic: it runs what plan wrote, and Poundlock adopts the result; Poundlock
// carries the plan out, and Alembic takes it as run, with no drift against a database that Alembic built.
#include <fmt/format.h>

#include "support/migration_tool.h"
#include "support/packages.h"

namespace poundlock::scenario {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kMigration =
    "ALTER TABLE orders ADD COLUMN note varchar(20) DEFAULT '10% :a \\ \"b\"' NOT NULL;\n"
    "CREATE INDEX orders_total ON orders (total);\n"
    "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0);\n"
    "CREATE TABLE notes (id bigint PRIMARY KEY, order_id bigint REFERENCES orders (id));\n";

const ToolWords kWords{"--write versions --format alembic", "ensure_version", "upgrade head",
                       "downgrade base", "public.alembic_version"};

class AlembicTest : public MigrationToolTest {
 protected:
  void SetUp() override {
    const auto packages = python_packages("alembic", POUNDLOCK_SOURCE_DIR "/tests/clients/alembic");
    if (!packages) GTEST_SKIP() << packages.error();
    python_ = *packages + "/bin/python";
    start("alembic", kMigration);
    if (HasFatalFailure()) return;
    for (const char* name : {"alembic.ini", "env.py"})
      fs::copy_file(fs::path(POUNDLOCK_SOURCE_DIR "/tests/clients/alembic") / name, folder_ / name);
    fs::create_directories(folder_ / "versions");
  }
  ToolRan tool(const std::string& database, const std::string& what) override {
    return run_shell(fmt::format("cd {} && DATABASE_URL={} {} -m alembic {}", folder_.string(), url(database),
                                 python_, what));
  }

  std::string python_;
};

TEST_F(AlembicTest, RunsWhatWasWrittenAndTheResultIsAdopted) {
  the_tool_runs_what_was_written(kWords, R"('10% :a \\ \"b\"')");
}

TEST_F(AlembicTest, TakesAsRunWhatPoundlockCarriedOut) {
  the_tool_takes_as_run_what_was_carried_out(kWords);
  if (HasFatalFailure()) return;
  EXPECT_THAT(tool(kOurs, "current").output, HasSubstr("(head)"));
  EXPECT_THAT(tool(kOurs, "upgrade head").output, testing::Not(HasSubstr("Running upgrade")));
}

}  // namespace
}  // namespace poundlock::scenario
