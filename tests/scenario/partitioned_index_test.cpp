// An index of a partitioned table as the plan builds it: on each partition while writers go on, and in the
// end what the author's CREATE INDEX would have made.
#include "support/sql_plan_fixture.h"

namespace poundlock::scenario {
namespace {

constexpr const char* kTree =
    "CREATE SCHEMA \"Old Years\";"
    "CREATE TABLE visits (id int, at date, region text, note text) PARTITION BY RANGE (at);"
    "CREATE TABLE visits_2025 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');"
    "CREATE TABLE \"Old Years\".\"Visits 2024\" PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO "
    "('2025-01-01');"
    "CREATE TABLE visits_2026 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION "
    "BY LIST (region);"
    "CREATE TABLE visits_2026_eu PARTITION OF visits_2026 FOR VALUES IN ('eu');"
    "CREATE TABLE visits_2026_rest PARTITION OF visits_2026 DEFAULT;"
    "CREATE TABLE empty_tree (id int) PARTITION BY RANGE (id);"
    "INSERT INTO visits SELECT g, date '2024-01-01' + g % 1000, CASE g % 2 WHEN 0 THEN 'eu' END, 'n' || g "
    "FROM generate_series(1, 3000) g";

class PartitionedIndexTest : public SqlPlanFixture {
 protected:
  static migration::SqlPlan plan(const std::string& sql) {
    const auto catalog = load("planned");
    const migration::Source source{.file = "m.sql", .sql = sql};
    auto made = migration::plan_sql(std::span(&source, 1), &catalog);
    EXPECT_TRUE(made) << made.error().to_string();
    return made ? std::move(*made) : migration::SqlPlan{};
  }
  void go(const migration::SqlPlan& plan, engine::Direction direction) {
    auto steps = steps_of(plan);
    if (direction == engine::Direction::kUndo) std::ranges::reverse(steps);
    for (const auto* step : steps) {
      const auto done = carry_out("planned", *step, direction);
      EXPECT_TRUE(done) << step->title << ": " << done.error().to_string();
    }
  }
  static std::string one(const std::string& sql) {
    const auto session = open("planned");
    const auto rows = session->run(sql);
    EXPECT_TRUE(rows) << sql << ": " << rows.error().to_string();
    return rows && !rows->rows.empty() ? rows->rows[0][0].value_or("") : "";
  }
};

class Forms : public PartitionedIndexTest, public testing::WithParamInterface<const char*> {};

TEST_P(Forms, EndAsTheAuthorsOwnAndGoBack) {
  for (const char* name : {"written", "planned", "untouched"}) make(name, kTree);
  run_all("written", GetParam());
  const auto made = plan(GetParam());
  ASSERT_THAT(made.decisions, testing::IsEmpty());
  for (const auto& step : made.steps)
    EXPECT_FALSE(step.scans && step.blocks.find("writes") != std::string::npos) << step.step.title;
  go(made, engine::Direction::kForward);
  EXPECT_THAT(drift("written", "planned"), testing::IsEmpty());
  EXPECT_EQ(one("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "0");
  go(made, engine::Direction::kForward);
  EXPECT_THAT(drift("written", "planned"), testing::IsEmpty()) << "a second run";
  go(made, engine::Direction::kUndo);
  EXPECT_THAT(drift("untouched", "planned"), testing::IsEmpty()) << "taken back";
}

INSTANTIATE_TEST_SUITE_P(
    PartitionedIndex, Forms,
    testing::Values(
        "CREATE INDEX ON visits (note)", "CREATE INDEX \"By Note\" ON public.visits * (note DESC, id)",
        "CREATE INDEX ON visits USING hash (note)",
        "CREATE UNIQUE INDEX once ON visits (id, at, region) INCLUDE (note)",
        "CREATE INDEX ON visits (lower(note)) WHERE note IS NOT NULL; CREATE INDEX ON visits (note)",
        "CREATE INDEX part ON visits_2026 (note)", "CREATE INDEX ON empty_tree (id)"));

// Back from the middle, where some partitions have their index and the parent's is not valid yet.
TEST_F(PartitionedIndexTest, GoesBackFromEveryStep) {
  make("untouched", kTree);
  make("planned", kTree);
  const auto made = plan("CREATE INDEX ON visits (note)");
  const auto steps = steps_of(made);
  ASSERT_GE(steps.size(), 9U);
  for (std::size_t reached = 1; reached <= steps.size(); ++reached) {
    SCOPED_TRACE(reached);
    for (std::size_t i = 0; i < reached; ++i)
      ASSERT_TRUE(carry_out("planned", *steps[i], engine::Direction::kForward)) << steps[i]->title;
    for (std::size_t i = reached; i-- > 0;)
      ASSERT_TRUE(carry_out("planned", *steps[i], engine::Direction::kUndo)) << steps[i]->title;
    EXPECT_THAT(drift("untouched", "planned"), testing::IsEmpty());
  }
}

// The parent's index would stay invalid, and no query would use it: nobody may believe that it is done.
TEST_F(PartitionedIndexTest, APartitionThatCameAfterThePlanIsNotPassedOver) {
  make("planned", kTree);
  const auto made = plan("CREATE INDEX ON visits (note)");
  run_all("planned",
          "CREATE TABLE visits_2027 PARTITION OF visits FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')");
  bool refused = false;
  for (const auto* step : steps_of(made))
    if (!refused) refused = !carry_out("planned", *step, engine::Direction::kForward);
  EXPECT_TRUE(refused);
  EXPECT_FALSE(says("planned", steps_of(made).back()->probe));
}

TEST_F(PartitionedIndexTest, AnIndexThatMightBeTakenInPlaceIsAPersonsToDecide) {
  make("planned", kTree);
  run_all("planned", "CREATE INDEX mine ON visits_2026_eu (note)");
  const auto made = plan("CREATE INDEX ON visits (note)");
  ASSERT_EQ(made.decisions.size(), 1U);
  EXPECT_THAT(made.decisions[0].why, testing::HasSubstr("index mine of its partition public.visits_2026_eu"));
  EXPECT_THAT(made.steps, testing::IsEmpty());
}

}  // namespace
}  // namespace poundlock::scenario
