// The script that plan --format sql writes, run by the real psql: it stops at the first error, and can be run
// again behind it.
#include <fmt/format.h>

#include <fstream>

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

struct Other {
  const char* wanted;
  const char* there;  // of the same name, and something else
  const char* says;   // where the script stops
};

constexpr const char* kWorld =
    "CREATE TABLE public.customers (id int PRIMARY KEY, code int UNIQUE);"
    "CREATE TABLE public.world (id int PRIMARY KEY, customer int, status varchar(20), amount numeric(10,2));"
    "CREATE TYPE public.state AS ENUM ('new', 'paid', 'gone');"
    "CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';";

const Other kOthers[] = {
    {"ALTER TABLE world ADD CONSTRAINT c1 CHECK (amount < 1000000)",
     "ALTER TABLE world ADD CONSTRAINT c1 CHECK (amount < 99999999)", "already exists"},
    {"ALTER TABLE world ADD CONSTRAINT f2 FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE",
     "ALTER TABLE world ADD CONSTRAINT f2 FOREIGN KEY (customer) REFERENCES customers (id)",
     "already exists"},
    {"ALTER TABLE world ADD CONSTRAINT f3 FOREIGN KEY (customer) REFERENCES customers (id)",
     "ALTER TABLE world ADD CONSTRAINT f3 FOREIGN KEY (customer) REFERENCES customers (code)",
     "already exists"},
    {"CREATE INDEX CONCURRENTLY i4 ON world (lower(status))", "CREATE INDEX i4 ON world (upper(status))",
     "not the index that is to be built"},
    {"CREATE INDEX i5 ON world (status) WHERE amount > 5",
     "CREATE INDEX i5 ON world (status) WHERE amount > 500", "not the index that is to be built"},
    {"CREATE INDEX i6 ON world (status DESC, id) INCLUDE (amount)",
     "CREATE INDEX i6 ON world (status, id) INCLUDE (amount)", "not the index that is to be built"},
    {"CREATE INDEX i7 ON world (status varchar_pattern_ops)", "CREATE INDEX i7 ON world (status)",
     "not the index that is to be built"},
    {"ALTER TABLE world ADD COLUMN v varchar(50)", "ALTER TABLE world ADD COLUMN v varchar(5)",
     "already exists"},
    {"ALTER TABLE world ADD COLUMN n numeric(12,4)", "ALTER TABLE world ADD COLUMN n numeric(12,2)",
     "already exists"},
    {"ALTER TYPE state ADD VALUE 'back10' AFTER 'paid'", "ALTER TYPE state ADD VALUE 'back10'",
     "already exists"},
    {"ALTER TYPE state ADD VALUE 'back11'", "ALTER TYPE state ADD VALUE 'back11' BEFORE 'new'",
     "already exists"},
    {"CREATE TABLE t12 (id int PRIMARY KEY, v varchar(10) NOT NULL)",
     "CREATE TABLE t12 (id int, v varchar(10))", "already exists"},
    {"CREATE TABLE t13 (id int PRIMARY KEY, v varchar(10))",
     "CREATE TABLE t13 (id bigint PRIMARY KEY, v text)", "already exists"},
    {"CREATE TRIGGER tg14 BEFORE INSERT OR UPDATE ON world FOR EACH ROW EXECUTE FUNCTION touch()",
     "CREATE TRIGGER tg14 BEFORE UPDATE ON world FOR EACH ROW EXECUTE FUNCTION touch()", "already exists"},
    {"CREATE TRIGGER tg15 BEFORE UPDATE OF status ON world FOR EACH ROW WHEN (OLD.amount > 5) EXECUTE "
     "FUNCTION "
     "touch()",
     "CREATE TRIGGER tg15 BEFORE UPDATE OF status ON world FOR EACH ROW WHEN (OLD.amount > 50) EXECUTE "
     "FUNCTION "
     "touch()",
     "already exists"},
    {"CREATE VIEW vv16 AS SELECT id FROM world", "CREATE VIEW vv16 AS SELECT 1 AS x", "already exists"},
    {"CREATE VIEW vv17 AS SELECT w.id, status AS s FROM world AS w WHERE amount > 5",
     "CREATE VIEW vv17 AS SELECT w.id, status AS s FROM world AS w WHERE amount > 500",
     "reads something else"},
};

// What stands there under the name is never taken for what the script would make; what the script itself has
// made is, when it is run again.
TEST_F(PsqlScriptTest, StopsAtSomethingElseOfTheSameName) {
  start("psql", "SELECT 1;");
  if (HasFatalFailure()) return;
  for (const char* database : {kTool, kOurs}) sql(database, kWorld);
  const auto write = [&](const std::string& script) {
    const ToolRan wrote = poundlock(
        fmt::format("plan m.sql --write {} --format sql --force --database-url {}", script, url(kUntouched)));
    ASSERT_EQ(wrote.code, 0) << wrote.output;
  };
  sql(kUntouched, kWorld);
  std::string all;
  for (const Other& other : kOthers) {
    all += fmt::format("{};\n", other.wanted);
    std::ofstream(folder_ / "m.sql") << other.wanted << ";\n";
    write("one.sql");
    if (HasFatalFailure()) return;
    sql(kTool, other.there);
    const ToolRan stopped = tool(kTool, "one.sql");
    EXPECT_EQ(stopped.code, 3) << other.wanted << "\n" << stopped.output;
    EXPECT_THAT(stopped.output, testing::HasSubstr(other.says)) << other.wanted;
  }
  std::ofstream(folder_ / "m.sql") << all;
  write("all.sql");
  if (HasFatalFailure()) return;
  for (int run = 0; run < 2; ++run) {
    const ToolRan ran = tool(kOurs, "all.sql");
    EXPECT_EQ(ran.code, 0) << ran.output;
  }
}

}  // namespace
}  // namespace poundlock::scenario
