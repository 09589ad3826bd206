#include "lint/config.h"

#include <gmock/gmock.h>

namespace poundlock::lint {
namespace {

using testing::HasSubstr;

Settings read(std::string_view text) {
  auto settings = parse_settings(text, ".poundlock-lint.yaml");
  EXPECT_TRUE(settings) << settings.error().to_string();
  return settings ? *settings : Settings{};
}

Error refused(std::string_view text) {
  const auto settings = parse_settings(text, "l.yaml");
  EXPECT_FALSE(settings) << text;
  return settings ? Error{} : settings.error();
}

TEST(LintConfig, SetsSeveritiesAndTurnsOff) {
  const Settings settings = read(
      "rules:\n"
      "  truncate: {severity: off, reason: scratch tables alone}\n"
      "  missing_timeouts: error\n"
      "  cascade: {severity: warning}\n"
      "  syntax: warning\n"
      "in_transaction: true\n"
      "timeouts_supplied: true\n"
      "ignore: [legacy/**]\n");
  Options options;
  apply(settings, options);
  EXPECT_THAT(options.disabled, testing::ElementsAre("truncate"));
  EXPECT_TRUE(options.in_transaction);
  EXPECT_TRUE(options.timeouts_supplied);
  options.timeouts_supplied = false;
  Report report = lint("TRUNCATE t CASCADE;\nALTER TABLE t ADD a int; NONSENSE", "t.sql", options);
  apply(settings, report);
  std::string found;
  for (const Finding& one : report.findings) found += one.rule + " " + to_string(one.severity) + "; ";
  EXPECT_THAT(found, HasSubstr("cascade warning; "));
  EXPECT_THAT(found, HasSubstr("missing_timeouts error; "));
  EXPECT_THAT(found, HasSubstr("syntax warning; "));
  EXPECT_THAT(found, testing::Not(HasSubstr("truncate")));
  EXPECT_TRUE(read("").rules.empty());
}

TEST(LintConfig, LeavesOutWhatTheFrameworkFinds) {
  const Settings settings = read("rules: {psql_command: {severity: off, reason: run by psql alone}}\n");
  Report report;
  report.findings.resize(2);
  report.findings[0].rule = "psql_command";
  report.findings[1].rule = "cascade";
  apply(settings, report);
  ASSERT_EQ(report.findings.size(), 1U);
  EXPECT_EQ(report.findings[0].rule, "cascade");
}

TEST(LintConfig, RefusesWithAPlaceAndASuggestion) {
  const Error rule = refused("rules:\n  truncat: error\n");
  EXPECT_EQ(rule.where->line, 2);
  EXPECT_EQ(rule.where->column, 3);
  EXPECT_THAT(rule.hint, HasSubstr("truncate"));
  const Error severity = refused("rules: {truncate: fatal}\n");
  EXPECT_EQ(severity.where->column, 19);
  EXPECT_THAT(severity.message, HasSubstr("off, warning or error"));
  EXPECT_THAT(refused("rules: {truncate: off}\n").message, HasSubstr("without a reason"));
  EXPECT_THAT(refused("rules: {truncate: {severity: off, reason: ' '}}\n").hint, HasSubstr("severity: off"));
  EXPECT_THAT(refused("rule: {}\n").to_string(), HasSubstr("rules"));
  EXPECT_THAT(refused("rules: {truncate: {severity: off, reasn: x}}\n").to_string(), HasSubstr("reason"));
  EXPECT_THAT(refused("rules: [truncate]\n").message, HasSubstr("rules"));
  EXPECT_EQ(refused("in_transaction: perhaps\n").where->line, 1);
  EXPECT_THAT(refused("ignore: legacy\n").hint, HasSubstr("legacy/**"));
  EXPECT_FALSE(parse_settings("rules: {truncate: error, truncate: error}\n", "l.yaml"));
}

TEST(LintConfig, MatchesPaths) {
  EXPECT_TRUE(path_matches("legacy/**", "legacy/a/b.sql"));
  EXPECT_TRUE(path_matches("legacy", "legacy/a/b.sql"));
  EXPECT_TRUE(path_matches("./db/legacy/", "db/legacy/a.sql"));
  EXPECT_TRUE(path_matches("*.seed.sql", "db/x.seed.sql"));
  EXPECT_TRUE(path_matches("**/old/*.sql", "a/b/old/c.sql"));
  EXPECT_TRUE(path_matches("db/V?__*.sql", "db/V1__a.sql"));
  EXPECT_FALSE(path_matches("db/*.sql", "db/a/b.sql"));
  EXPECT_FALSE(path_matches("db/V?__*.sql", "db/V10__a.sql"));
  EXPECT_FALSE(path_matches("legacy/**", "mylegacy/a.sql"));
  EXPECT_FALSE(path_matches("", "a.sql"));
  EXPECT_FALSE(path_matches("/", "a.sql"));
  EXPECT_FALSE(path_matches(std::string(500, '*') + "b", std::string(2'000, 'a')));
}

}  // namespace
}  // namespace poundlock::lint
