// Both round trips with the real Active Record: it runs what plan wrote and takes it back, and Poundlock
// adopts the result; Poundlock carries the plan out, and Active Record takes it as run, with no drift against
// a database that it built.
#include <fmt/format.h>

#include "support/migration_tool.h"

namespace poundlock::scenario {
namespace {

using testing::HasSubstr;

constexpr const char* kMigration =
    "ALTER TABLE orders ADD COLUMN note varchar(20) DEFAULT '#{1} \\ \"b\" Ä' NOT NULL;\n"
    "CREATE INDEX orders_total ON orders (total);\n"
    "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0);\n"
    "CREATE TABLE notes (id bigint PRIMARY KEY, order_id bigint REFERENCES orders (id));\n";

const ToolWords kWords{"--write migrate --format rails",
                       "init",
                       "up",
                       "down",
                       "public.schema_migrations, public.ar_internal_metadata",
                       true};

class RailsTest : public MigrationToolTest {
 protected:
  void SetUp() override {
    if (run_shell("ruby -e 'require \"active_record\"; require \"pg\"'").code != 0)
      GTEST_SKIP() << "SKIPPED: Ruby with activerecord and pg is not installed (Debian: ruby-activerecord "
                      "ruby-pg)";
    start("rails", kMigration);
  }
  ToolRan tool(const std::string& database, const std::string& what) override {
    return run_shell(fmt::format("ruby " POUNDLOCK_SOURCE_DIR "/tests/clients/rails/migrate.rb '{}' {} {}",
                                 url(database), (folder_ / "migrate").string(), what));
  }
};

TEST_F(RailsTest, RunsWhatWasWrittenAndTheResultIsAdopted) {
  the_tool_runs_what_was_written(kWords, R"('#{1} \\ \"b\" Ä')");
}

TEST_F(RailsTest, TakesAsRunWhatPoundlockCarriedOut) {
  the_tool_takes_as_run_what_was_carried_out(kWords);
  if (HasFatalFailure()) return;
  EXPECT_THAT(tool(kOurs, "status").output, HasSubstr("pending 0 of "));
}

}  // namespace
}  // namespace poundlock::scenario
