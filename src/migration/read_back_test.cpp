// The rollout file that a decision offers: one that `plan` accepts and that does what the statement does.
#include "migration/read_back.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rollout/plan.h"
#include "rollout/spec.h"

namespace poundlock::migration {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

schema::Catalog shop() {
  schema::Table orders;
  orders.schema = "public";
  orders.name = "orders";
  orders.columns = {{1, "id", "integer", true, {}, "", "", ""},
                    {2, "address", "text", false, {}, "", "", ""},
                    {3, "customer_id", "integer", true, {}, "", "", ""},
                    {4, "placed_at", "timestamp without time zone", true, "now()", "", "", ""},
                    {5, "shipped_at", "timestamp without time zone", false, {}, "", "", ""},
                    {6, "amount", "text", false, {}, "", "", ""},
                    {7, "status", "character varying(20)", true, "'open'::character varying", "", "", ""},
                    {8, "points", "integer", false, {}, "", "", ""}};
  orders.primary_key = {"id"};
  orders.bytes = 600'000'000;
  schema::Catalog catalog;
  catalog.server_version_num = 150000;
  catalog.tables = {orders};
  return catalog;
}

Decision decision_of(const std::string& action) {
  const auto catalog = shop();
  const Source source{.file = "m.sql", .sql = "ALTER TABLE orders ALTER COLUMN " + action + ";"};
  const auto plan = plan_sql(std::span(&source, 1), &catalog);
  EXPECT_TRUE(plan && plan->decisions.size() == 1) << action;
  if (!plan || plan->decisions.empty()) return {};
  const Decision& one = plan->decisions.front();
  if (!one.rollout.empty()) {
    const auto spec = rollout::parse_rollout(one.rollout, "r.yaml");
    EXPECT_TRUE(spec) << one.rollout;
    EXPECT_TRUE(spec && rollout::make_plan(*spec, catalog)) << one.rollout;
  }
  return one;
}

TEST(ReadBack, AssignsWhereACastWouldCut) {
  EXPECT_THAT(decision_of("address TYPE varchar(8)").rollout,
              AllOf(HasSubstr("up: \"address\"\n"), HasSubstr("down: \"address_new\"\n")));
  EXPECT_THAT(decision_of("status TYPE varchar(10)").rollout,
              AllOf(HasSubstr("up: \"status\"\n"), HasSubstr("default: \"'open'::character varying\"")));
  EXPECT_THAT(decision_of("customer_id TYPE bigint").rollout, HasSubstr("up: \"customer_id\"\n"));
  EXPECT_THAT(decision_of("points TYPE varchar(20)").rollout, HasSubstr("down: \"points_new::integer\""));
}

TEST(ReadBack, KeepsWhatTheAuthorComputes) {
  EXPECT_THAT(decision_of("shipped_at TYPE timestamptz USING shipped_at AT TIME ZONE 'UTC'").rollout,
              AllOf(HasSubstr("up: \"shipped_at AT TIME ZONE 'UTC'\""),
                    HasSubstr("down: \"shipped_at_new AT TIME ZONE 'UTC'\"")));
  EXPECT_THAT(decision_of("amount TYPE integer USING amount::integer").rollout,
              AllOf(HasSubstr("up: \"amount::integer\""), HasSubstr("down: \"amount_new\"")));
  const auto computed = decision_of("customer_id TYPE bigint USING customer_id * 100");
  EXPECT_EQ(computed.rollout, "");
  EXPECT_THAT(computed.choices, Contains(AllOf(HasSubstr("customer_id * 100"), HasSubstr("a person"))));
}

TEST(ReadBack, OffersNoRolloutThatPlanRefuses) {
  const auto key = decision_of("id TYPE bigint");
  EXPECT_EQ(key.rollout, "");
  EXPECT_THAT(key.why, HasSubstr("part of the primary key"));
  EXPECT_THAT(key.choices, Not(Contains(HasSubstr("a rollout of change_column"))));
  const auto now = decision_of("placed_at TYPE timestamp(0)");
  EXPECT_EQ(now.rollout, "");
  EXPECT_THAT(now.why, HasSubstr("now()"));
  const auto zone = decision_of("shipped_at TYPE timestamptz");
  EXPECT_EQ(zone.rollout, "");
  EXPECT_THAT(zone.choices, Contains(HasSubstr("AT TIME ZONE")));
  const auto cut = decision_of("address TYPE varchar(8) USING address::varchar(8)");
  EXPECT_EQ(cut.rollout, "");
  EXPECT_THAT(cut.why, HasSubstr("cuts longer values off"));
}

}  // namespace
}  // namespace poundlock::migration
