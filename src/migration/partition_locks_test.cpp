// Partitions beside a default partition: what is locked, read and refused there.
#include "migration/partition_locks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "migration/plan_for_test.h"
#include "migration/sql_plan.h"

namespace poundlock::migration {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

schema::Table partition(const std::string& name, std::int64_t bytes) {
  schema::Table out;
  out.schema = "public";
  out.name = name;
  out.columns = {{1, "at", "date", false, {}, "", "", ""}};
  out.is_partition = true;
  out.partition_of = {"public", "events"};
  out.bytes = bytes;
  out.estimated_rows = static_cast<double>(bytes) / 100;
  return out;
}

schema::Catalog events() {
  schema::Table parent;
  parent.schema = "public";
  parent.name = "events";
  parent.kind = 'p';
  parent.partition_key = "RANGE (at)";
  parent.columns = {{1, "at", "date", false, {}, "", "", ""}};
  schema::Catalog catalog;
  catalog.server_version_num = 150000;
  catalog.tables = {parent, partition("events_old", 0), partition("Events Rest", 900'000'000)};
  catalog.parts = {
      {"partition", "public.events", "table", "public.events_old",
       "of public.events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"},
      {"partition", "public.events", "table", "public.\"Events Rest\"", "of public.events DEFAULT"}};
  return catalog;
}

SqlPlan plan_of(const std::string& sql) {
  const auto catalog = events();
  return planned(sql, &catalog, false);
}

TEST(PartitionLocks, ANewPartitionDoesNotReadTheDefaultOneUnderItsLock) {
  const auto plan =
      plan_of("CREATE TABLE e27 PARTITION OF events FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');");
  EXPECT_THAT(sql_of(plan), ElementsAre(HasSubstr("CREATE TABLE e27 (LIKE events"),
                                        HasSubstr("ALTER TABLE public.\"Events Rest\" ADD CONSTRAINT"),
                                        HasSubstr("VALIDATE CONSTRAINT"), HasSubstr("ATTACH PARTITION e27"),
                                        HasSubstr("DROP CONSTRAINT")));
  ASSERT_EQ(plan.steps.size(), 5u);
  EXPECT_THAT(plan.steps[1].step.sql.back(),
              HasSubstr("CHECK (at IS NULL OR at < '2027-01-01' OR at >= '2028-01-01') NOT VALID"));
  EXPECT_EQ(plan.steps[3].step.relation, "\"public\".\"Events Rest\"");
  EXPECT_EQ(plan.steps[3].step.lock_mode, "AccessExclusiveLock");
  EXPECT_FALSE(plan.steps[3].scans);
  EXPECT_THAT(plan.plan.notes, Contains(HasSubstr("are refused")));
}

TEST(PartitionLocks, LeavesBoundsThatItCannotExcludeToAPerson) {
  const auto plan = plan_of("CREATE TABLE e27 PARTITION OF events FOR VALUES IN (NULL, '2027-01-01');");
  EXPECT_THAT(plan.steps, IsEmpty());
  EXPECT_EQ(plan.decisions.size(), 1u);
}

TEST(PartitionLocks, DetachesBesideADefaultPartitionAsPostgresCan) {
  const auto plan = plan_of("ALTER TABLE events DETACH PARTITION events_old; DROP TABLE events_old;");
  ASSERT_EQ(plan.steps.size(), 2u);
  EXPECT_EQ(plan.steps[0].step.sql.back(), "ALTER TABLE events DETACH PARTITION events_old");
  EXPECT_EQ(plan.steps[0].step.lock_mode, "AccessExclusiveLock");
  EXPECT_EQ(plan.steps[0].step.relation, "\"public\".\"events\"");
  EXPECT_EQ(plan.steps[1].step.relation, "\"public\".\"events_old\"");
  const auto refused = plan_of("ALTER TABLE events DETACH PARTITION events_old CONCURRENTLY;");
  EXPECT_THAT(refused.steps, IsEmpty());
  EXPECT_EQ(refused.decisions.size(), 1u);
}

TEST(PartitionLocks, TheDropOfAnAttachedPartitionLocksItsParent) {
  const auto plan = plan_of("DROP TABLE events_old;");
  ASSERT_EQ(plan.steps.size(), 1u);
  EXPECT_EQ(plan.steps[0].step.relation, "\"public\".\"events\"");
  EXPECT_THAT(plan.plan.notes, Contains(HasSubstr("Events Rest")));
}

TEST(LeftOutRows, ADropOfDataWaitsForWhatIsLeftToAPersonBeforeIt) {
  const auto plan = plan_of(
      "ALTER TABLE events DETACH PARTITION events_old CONCURRENTLY; DROP TABLE events_old;\n"
      "ALTER TABLE events DROP COLUMN at;");
  EXPECT_THAT(plan.steps, IsEmpty());
  ASSERT_EQ(plan.decisions.size(), 3u);
  EXPECT_THAT(plan.decisions[1].why, HasSubstr("it drops data"));
}

}  // namespace
}  // namespace poundlock::migration
