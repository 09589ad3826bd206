// Each rule against its own examples: they are its documentation, and so they have to be true.
#include <gmock/gmock.h>

#include <algorithm>

#include "lint/in_place_for_test.h"
#include "schema/sql.h"

namespace poundlock::lint {
namespace {

class EachRule : public testing::TestWithParam<const Rule*> {
 protected:
  static std::vector<Finding> findings(std::string_view sql) {
    return lint(sql, "example.sql", GetParam()->examples).findings;
  }
  static std::size_t fires(std::string_view id, std::string_view sql) {
    return static_cast<std::size_t>(std::ranges::count(findings(sql), std::string(id), &Finding::rule));
  }
};

TEST_P(EachRule, SaysWhatWhyAndWhatInstead) {
  const Rule& rule = *GetParam();
  EXPECT_FALSE(rule.id.empty());
  EXPECT_FALSE(rule.title.empty());
  EXPECT_FALSE(rule.reason.empty());
  EXPECT_FALSE(rule.fix.empty());
  EXPECT_FALSE(rule.bad.empty());
  EXPECT_FALSE(rule.good.empty());
  EXPECT_TRUE(rule.check != nullptr);
  EXPECT_EQ(find_rule(rule.id), &rule);
}

TEST_P(EachRule, FiresOnEachBadExample) {
  for (const std::string_view sql : GetParam()->bad) {
    EXPECT_GT(fires(GetParam()->id, sql), 0U) << sql;
    EXPECT_TRUE(schema::parse_script(sql)->errors.empty()) << sql;
  }
}

TEST_P(EachRule, StaysSilentOnEachGoodExample) {
  for (const std::string_view sql : GetParam()->good) {
    EXPECT_EQ(fires(GetParam()->id, sql), 0U) << sql;
    EXPECT_TRUE(schema::parse_script(sql)->errors.empty()) << sql;
  }
}

TEST_P(EachRule, RewritesIntoSqlThatItAccepts) {
  for (const std::string_view sql : GetParam()->bad) {
    for (const Finding& finding : findings(sql)) {
      if (finding.rule != GetParam()->id || finding.rewrite.empty()) continue;
      const auto script = schema::parse_script(finding.rewrite);
      ASSERT_TRUE(script);
      EXPECT_TRUE(script->errors.empty()) << finding.rewrite;
      EXPECT_EQ(fires(GetParam()->id, finding.rewrite), 0U) << finding.rewrite;
    }
  }
}

// What a planner does: the first rewrite in its place, and the result judged again, until none is left.
TEST_P(EachRule, RewritesComeToAnEnd) {
  constexpr int kRoundsMax = 20;
  Options options = GetParam()->examples;
  options.timeouts_supplied = true;
  for (const std::string_view example : GetParam()->bad) {
    std::string sql(example);
    int rounds = 0;
    for (;; ++rounds) {
      ASSERT_LT(rounds, kRoundsMax) << example << "\n" << sql;
      const Report report = lint(sql, "example.sql", options);
      const auto next = std::ranges::find_if(report.findings,
                                             [](const Finding& finding) { return !finding.rewrite.empty(); });
      if (next == report.findings.end()) break;
      sql = in_place(*schema::parse_script(sql), *next);
      ASSERT_FALSE(sql.empty()) << example;
      EXPECT_TRUE(schema::parse_script(sql)->errors.empty()) << sql;
    }
  }
}

TEST_P(EachRule, PointsAtTextOfTheScript) {
  for (const std::string_view sql : GetParam()->bad) {
    for (const Finding& finding : findings(sql)) {
      EXPECT_NE(sql.find(finding.text), std::string_view::npos) << finding.text;
      EXPECT_FALSE(finding.text.empty()) << finding.rule << ": " << sql;
      EXPECT_TRUE(std::pair(finding.line, finding.column) < std::pair(finding.end_line, finding.end_column));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, EachRule, testing::ValuesIn(all_rules().begin(), all_rules().end()),
                         [](const auto& tested) { return std::string(tested.param->id); });

}  // namespace
}  // namespace poundlock::lint
