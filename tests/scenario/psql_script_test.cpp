// The script that plan --format sql writes, run by the real psql: it stops at the first error, and can be run
// again behind it.
#include <fmt/format.h>

#include "support/migration_tool.h"

namespace poundlock::scenario {
namespace {

class PsqlScriptTest : public MigrationToolTest {
 protected:
  ToolRan tool(const std::string& database, const std::string& what) override {
    return run_shell(fmt::format("/usr/bin/psql -X -f {} '{}'", (folder_ / what).string(),
                                 cluster_->conninfo("app", database)));
  }
  std::string columns(const std::string& table) {
    return cell(kTool, fmt::format("SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM "
                                   "information_schema.columns WHERE table_name = '{}'",
                                   table));
  }
};

// A lock time-out of 50 ms is usual, and the drop of the data stands behind it.
TEST_F(PsqlScriptTest, StopsWhereALockIsHeldAndRunsAgain) {
  start("psql",
        "ALTER TABLE orders ADD COLUMN note text DEFAULT 'x' NOT NULL;\n"
        "ALTER TABLE other ADD COLUMN b int;\n"
        "ALTER TABLE orders ADD CONSTRAINT positive CHECK (total > 0);\n"
        "CREATE INDEX orders_total ON orders (total);\n"
        "ALTER TABLE orders DROP COLUMN legacy_status;\n");
  if (HasFatalFailure()) return;
  sql(kTool, "CREATE TABLE public.other (a int)");
  const ToolRan wrote = poundlock("plan m.sql --write s.sql --format sql");
  ASSERT_EQ(wrote.code, 0) << wrote.output;
  EXPECT_THAT(wrote.output, testing::HasSubstr("not to be deployed together with the others"));

  auto holder = cluster_->database("app", kTool)->connect();
  ASSERT_TRUE(holder);
  ASSERT_TRUE((*holder)->run("BEGIN"));
  ASSERT_TRUE((*holder)->run("LOCK TABLE public.other"));
  const ToolRan stopped = tool(kTool, "s.sql");
  EXPECT_EQ(stopped.code, 3) << stopped.output;
  EXPECT_THAT(stopped.output, testing::HasSubstr("lock timeout"));
  EXPECT_EQ(columns("orders"), "id total legacy_status note") << "what came before it, and nothing dropped";
  ASSERT_TRUE((*holder)->run("ROLLBACK"));

  for (int run = 0; run < 2; ++run) {
    const ToolRan ran = tool(kTool, "s.sql");
    ASSERT_EQ(ran.code, 0) << ran.output;
    EXPECT_EQ(columns("orders"), "id total note");
    EXPECT_EQ(columns("other"), "a b");
    EXPECT_EQ(cell(kTool, "SELECT count(*) FROM public.orders WHERE note = 'x'"), "2000");
  }
}

}  // namespace
}  // namespace poundlock::scenario
