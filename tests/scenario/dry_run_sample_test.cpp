// A sample that holds what a change reads: joins, views, foreign keys; and what is said where it does not.
#include "support/dry_run_fixture.h"

namespace poundlock::scenario {
namespace {

using testing::HasSubstr;
using testing::Not;

class DryRunSampleTest : public DryRunTest {
 protected:
  void SetUp() override {
    DryRunTest::SetUp();
    drop();
    must("CREATE TABLE public.\"Customers\" (id bigint PRIMARY KEY, name text)");
    must("INSERT INTO public.\"Customers\" SELECT g, 'n' || g FROM generate_series(1, 50000) g");
    must("CREATE TABLE public.\"Orders\" (id bigint PRIMARY KEY, customer bigint, status text)");
    must("INSERT INTO public.\"Orders\" SELECT g, 50001 - g, 'open' FROM generate_series(1, 50000) g");
    must("CREATE VIEW public.names AS SELECT name FROM public.\"Customers\"");
    must("CREATE MATERIALIZED VIEW public.\"All Names\" AS SELECT count(*) AS n FROM public.names");
  }
  void TearDown() override {
    drop();
    DryRunTest::TearDown();
  }
  void drop() { must("DROP TABLE IF EXISTS public.\"Orders\", public.\"Customers\", public.events CASCADE"); }
  bj::object try_it(const std::string& sql, int wanted, const std::vector<std::string>& more = {}) {
    must("ANALYZE");
    write("a.sql", sql);
    std::vector<std::string> arguments{"--database-url", cluster_->conninfo(), "--rows", "2000"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.push_back("a.sql");
    return json(std::move(arguments), wanted);
  }
  static constexpr const char* kJoin =
      "ALTER TABLE public.\"Orders\" ADD COLUMN buyer text;\n"
      "UPDATE public.\"Orders\" o SET buyer = c.name FROM public.\"Customers\" c WHERE c.id = o.customer;\n";
};

// Of two large tables a random sample each would hardly meet: 80 of 2,000 rows.
TEST_F(DryRunSampleTest, RowsThatAForeignKeyPointsToAreInTheSample) {
  must("ALTER TABLE public.\"Orders\" ADD FOREIGN KEY (customer) REFERENCES public.\"Customers\"");
  const auto report =
      try_it(std::string(kJoin) + "ALTER TABLE public.\"Orders\" ALTER COLUMN buyer SET NOT NULL;\n", 0,
             {"--no-queue"});
  EXPECT_THAT(json::dump(report), Not(HasSubstr("was not read")));
  // Half of the table and more is locked for as long as it takes.
  EXPECT_TRUE(report.at("statements").at(1).at("blocks_writers").as_bool());
}

TEST_F(DryRunSampleTest, AStatementThatFoundNoRowsInTheSampleHasNotPassed) {
  const std::string rare = "DELETE FROM public.\"Orders\" WHERE status = 'no such';\n";
  const auto report = try_it(rare, 1, {"--no-queue"});
  ASSERT_EQ(report.at("left_out").as_array().size(), 1U) << json::dump(report);
  EXPECT_THAT(json::dump(report.at("why_not")), HasSubstr("it touched no row here, where public."));
  // All of a table is here: then there are none.
  must("DELETE FROM public.\"Orders\" WHERE id > 1000");
  must("VACUUM public.\"Orders\"");
  EXPECT_TRUE(try_it(rare, 0, {"--no-queue"}).at("left_out").as_array().empty());
}

TEST_F(DryRunSampleTest, AViewIsFilledByWhatItReads) {
  const auto report = try_it("REFRESH MATERIALIZED VIEW public.\"All Names\";\n", 0, {"--no-queue"});
  const auto& one = report.at("statements").at(0);
  EXPECT_TRUE(holds(one.at("scans"), "public.\"Customers\"")) << json::dump(report);
  EXPECT_THAT(std::string(one.at("basis").as_string()), HasSubstr("public.\"Customers\" has 50000 rows"));
  (void)try_it("CREATE OR REPLACE VIEW public.names AS SELECT name, id FROM public.\"Customers\";\n", 0,
               {"--no-queue", "--planned"});
  (void)try_it("DROP MATERIALIZED VIEW public.\"All Names\";\n", 0, {"--no-queue"});
}

TEST_F(DryRunSampleTest, APartitionIsCopiedWithItsTableOnce) {
  must("CREATE TABLE public.events (id bigint PRIMARY KEY, note text) PARTITION BY RANGE (id)");
  must("CREATE TABLE public.\"Events 1\" PARTITION OF public.events FOR VALUES FROM (0) TO (10000)");
  must("INSERT INTO public.events SELECT g FROM generate_series(1, 5000) g");
  const auto report =
      try_it("CREATE INDEX ON public.\"Events 1\" (note);\nALTER TABLE public.events ADD COLUMN src text;\n",
             0, {"--no-queue"});
  EXPECT_TRUE(report.at("passed").as_bool());
}

// An UPDATE takes no lock on the table that anybody minds, and one on each of its rows until it commits.
TEST_F(DryRunSampleTest, AnUpdateOfAllRowsBlocksTheirWriters) {
  const auto one = [&](const std::string& sql) {
    const auto report = try_it(sql, 0, {"--long-transaction", "0s"});
    return report.at("statements").at(0).at("blocks_writers").as_bool();
  };
  EXPECT_TRUE(one("UPDATE public.\"Orders\" SET status = 'done';\n"));
  EXPECT_THAT(out_.str(), HasSubstr("\"transactions\":1"));
  EXPECT_FALSE(one("UPDATE public.\"Orders\" SET status = 'done' WHERE id % 10 = 0;\n"));
}

// What has worked before the change and runs into its time-out beside it fails in the application.
TEST_F(DryRunSampleTest, TrafficThatRunsIntoItsTimeOutSaysNo) {
  write("traffic.sql",
        "BEGIN;\nSET LOCAL statement_timeout = '200ms';\nUPDATE public.orders SET amount = 1 WHERE id = "
        "7;\nEND;\n");
  write("a.sql", "DO $$ BEGIN LOCK TABLE public.orders IN SHARE MODE; PERFORM pg_sleep(1); END $$;\n");
  const auto report =
      json({"--shadow", shadow(), "--long-transaction", "0s", "--traffic", "traffic.sql", "a.sql"}, 1);
  EXPECT_THAT(json::dump(report.at("why_not")), HasSubstr("statement timeout"));
}

}  // namespace
}  // namespace poundlock::scenario
