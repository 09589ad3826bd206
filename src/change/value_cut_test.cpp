#include "change/value_cut.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "change/sync.h"

namespace poundlock::change {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string cut_in(const std::string& expression) {
  const auto parsed = schema::parse_expression(expression);
  EXPECT_TRUE(parsed) << expression;
  return parsed ? cutting_cast(*parsed, {{"address", "text"},
                                         {"code", "character varying(8)"},
                                         {"flags", "bit(16)"},
                                         {"total", "integer"}})
                : "";
}

// 'Street 1, City'::varchar(8) is 'Street 1', and nobody is told.
TEST(ValueCutTest, FindsTheCastThatCutsAValue) {
  EXPECT_EQ(cut_in("address::varchar(8)"), "varchar(8)");
  EXPECT_EQ(cut_in("CAST(address AS character(4))"), "char(4)");
  EXPECT_EQ(cut_in("coalesce(lower(address), '')::varchar(8)"), "varchar(8)");
  EXPECT_EQ(cut_in("code::varchar(7)"), "varchar(7)");
  EXPECT_EQ(cut_in("flags::bit(8)"), "bit(8)");
  EXPECT_EQ(cut_in("upper(address::varchar(3)) || code"), "varchar(3)");
}

TEST(ValueCutTest, LetsPassWhatCutsNothingOrSaysSo) {
  for (const char* fine :
       {"address", "address::text", "address::varchar", "code::varchar(8)", "total::bigint",
        "left(address, 8)::varchar(8)", "substr(address, 1, 8)::varchar(8)", "'new'::varchar(8)",
        "code::varchar(20)", "address::numeric(10,2)"})
    EXPECT_EQ(cut_in(fine), "") << fine;
}

// A row whose new side holds the beginning of a longer value is out of step.
TEST(ValueCutTest, AComparisonSeesWhatItsCastCuts) {
  SyncSpec spec;
  spec.table = {"public", "orders"};
  spec.legacy = {"old", "text", std::nullopt, false};
  spec.fresh = {"new", "varchar(8)", std::nullopt, false};
  spec.up = std::move(*schema::parse_expression("old"));
  spec.down = std::move(*schema::parse_expression("new"));
  spec.column_types = {{"old", "text"}, {"new", "varchar(8)"}};
  EXPECT_THAT(in_step(spec).out_of_step, HasSubstr("::character varying)::text"));
  spec.legacy.type = spec.column_types[0].second = "varchar(4)";
  EXPECT_THAT(in_step(spec).out_of_step, Not(HasSubstr("rtrim")));
}

}  // namespace
}  // namespace poundlock::change
