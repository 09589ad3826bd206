// What poundlock dry-run says no to, and what it says of stalls and sizes, where a wrong word would mislead.
#include "support/dry_run_fixture.h"

namespace poundlock::scenario {
namespace {

using testing::HasSubstr;

class DryRunVerdictTest : public DryRunTest {};

// The safe way looks safer than the other one: what takes an index back between two rounds is ours and not
// the change's, and a plain build waits for a long writer with everybody behind it.
TEST_F(DryRunVerdictTest, AnIndexBuiltConcurrentlyStopsNobodyAndAPlainOneDoes) {
  const auto stalls = [&](const std::string& sql) {
    write("a.sql", sql);
    const auto queue = json({"--shadow", shadow(), "--long-transaction", "1500ms", "a.sql"}, 0).at("queue");
    EXPECT_EQ(queue.at("transactions").to_number<int>(), 1) << json::dump(queue);
    return std::pair(queue.at("longest_stall_ms").to_number<int>(),
                     queue.at("longest_stall_ms_without_policy").to_number<int>());
  };
  const auto concurrently = stalls("CREATE INDEX CONCURRENTLY \"On Status\" ON orders (status);\n");
  EXPECT_LT(concurrently.first, 600);
  EXPECT_LT(concurrently.second, 600);
  const auto plain = stalls("CREATE INDEX \"On Status\" ON orders (status);\n");
  EXPECT_LT(plain.first, 600);
  EXPECT_GT(plain.second, 1'000);
}

// A partition is scaled by its own rows, an empty one by nothing.
TEST_F(DryRunVerdictTest, AnEmptyPartitionIsNotScaledByAnotherTable) {
  must("DROP TABLE IF EXISTS public.orders, public.events");
  must("CREATE TABLE public.orders (id bigint PRIMARY KEY, amount int)");
  must("INSERT INTO public.orders SELECT g, g FROM generate_series(1, 20000) g");
  must("CREATE TABLE public.events (id bigint, at int) PARTITION BY RANGE (at)");
  must("CREATE TABLE public.\"Events 2025\" PARTITION OF public.events FOR VALUES FROM (0) TO (10)");
  must("ANALYZE public.orders");
  write("a.sql",
        "ALTER TABLE orders ALTER COLUMN amount TYPE bigint;\nALTER TABLE events ALTER COLUMN id SET NOT "
        "NULL;\n");
  const auto report =
      json({"--database-url", cluster_->conninfo(), "--rows", "2000", "--no-queue", "a.sql"}, 0);
  const auto& statements = report.at("statements").as_array();
  EXPECT_THAT(std::string(statements[0].at("basis").as_string()), HasSubstr("public.orders has 20000 rows"));
  EXPECT_TRUE(holds(statements[1].at("scans"), "public.\"Events 2025\"")) << json::dump(statements[1]);
  EXPECT_EQ(statements[1].at("basis").as_string(), "");
  must("DROP TABLE public.orders, public.events");
}

// What was not tried has not passed.
TEST_F(DryRunVerdictTest, APlanThatLeavesAStatementToAPersonDoesNotPass) {
  write("a.sql", "ALTER TABLE public.orders RENAME COLUMN status TO state;\n");
  const auto report = json({"--shadow", shadow(), "--no-queue", "--planned", "a.sql"}, 1);
  EXPECT_FALSE(report.at("passed").as_bool());
  ASSERT_EQ(report.at("left_out").as_array().size(), 1U);
  EXPECT_EQ(report.at("left_out").at(0).at("line").to_number<int>(), 1);
  EXPECT_THAT(json::dump(report.at("why_not")), HasSubstr("a person decides first: a.sql:1: "));
  write("b.sql", "ALTER TABLE public.ordrs ADD COLUMN a int;\n");
  const int code = run({"--shadow", shadow(), "--no-queue", "--planned", "b.sql"});
  EXPECT_EQ(code, 1) << out_.str() << err_.str();
  // Those beside it are tried, without a row for what our steps begin with.
  write("c.sql", "ALTER TABLE public.orders ADD COLUMN a int;\nALTER TABLE public.orders RENAME TO o;\n");
  EXPECT_EQ(run({"--shadow", shadow(), "--long-transaction", "0s", "--planned", "c.sql"}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("ADD COLUMN"));
  EXPECT_THAT(out_.str(), HasSubstr("(1 transaction,"));
  EXPECT_THAT(out_.str(), testing::Not(HasSubstr("search_path")));
}

TEST_F(DryRunVerdictTest, InPlaceWantsAShadow) {
  write("a.sql", "ALTER TABLE orders ADD COLUMN note text;\n");
  EXPECT_EQ(run({"--database-url", cluster_->conninfo(), "--in-place", "a.sql"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("--in-place works on a given shadow"));
}

// A traffic of which nothing runs would measure an application that stands still.
TEST_F(DryRunVerdictTest, TrafficThatFailsBeforeTheChangeIsRefusedWithItsPlace) {
  write("a.sql", "ALTER TABLE orders ADD COLUMN note text;\n");
  write("traffic.sql", "SELECT 1;\nSELECT * FROM nosuch;\n");
  EXPECT_EQ(run({"--shadow", shadow(), "--traffic", "traffic.sql", "a.sql"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("traffic.sql:2: "));
  EXPECT_THAT(err_.str(), HasSubstr("relation \"nosuch\" does not exist"));
  EXPECT_FALSE(left_behind());
}

TEST_F(DryRunVerdictTest, AStatementOfTheApplicationThatFailsAfterTheChangeSaysNo) {
  write("traffic.sql", "SELECT id FROM orders LIMIT 1;\nSELECT status FROM orders LIMIT 1;\n");
  write("last.sql", "ALTER TABLE orders DROP COLUMN status;\n");
  const std::vector<std::string> played{"--shadow",           shadow(), "--traffic", "traffic.sql",
                                        "--long-transaction", "0s"};
  auto arguments = played;
  arguments.push_back("last.sql");
  EXPECT_THAT(json::dump(json(arguments, 1).at("why_not")), HasSubstr("fails: traffic.sql:2: "));
  // Between two statements of the change as well.
  write("midway.sql",
        "ALTER TABLE orders RENAME status TO state;\nALTER TABLE orders ADD COLUMN a int;\n"
        "ALTER TABLE orders RENAME state TO status;\n");
  arguments.back() = "midway.sql";
  EXPECT_THAT(json::dump(json(arguments, 1).at("why_not")),
              HasSubstr("failed beside the change: traffic.sql:2: "));
  // A key that is there already is no matter of the schema.
  write("traffic.sql", "INSERT INTO orders (id) VALUES (1);\nSELECT status FROM orders LIMIT 1;\n");
  write("add.sql", "ALTER TABLE orders ADD COLUMN a int;\n");
  arguments.back() = "add.sql";
  (void)json(arguments, 0);
  // The plan's own contract takes the legacy column away.
  write("r.yaml", kStatusRollout);
  arguments.back() = "r.yaml";
  const auto report = json(arguments, 0);
  EXPECT_THAT(json::dump(report.at("notes")), HasSubstr("after the contract"));
}

TEST_F(DryRunVerdictTest, NoMessagePrintsAPassword) {
  write("a.sql", "ALTER TABLE orders ADD COLUMN note text;\n");
  EXPECT_EQ(run({"--shadow", shadow(), "--traffic-from", shadow() + " password=s3cret", "a.sql"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("pg_stat_statements is not in "));
  EXPECT_THAT(err_.str(), testing::Not(HasSubstr("s3cret")));
}

}  // namespace
}  // namespace poundlock::scenario
