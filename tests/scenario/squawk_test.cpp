// Another linter, squawk-cli, on an example of what each of its rules refuses and lets pass, beside ours: the
// verdicts agree wherever docs/rules/compared.md does not say why they differ.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <set>

#include "../reference/squawk_cases.h"
#include "lint/lint.h"
#include "support/packages.h"

namespace poundlock::scenario {
namespace {

namespace bj = boost::json;
using reference::kSquawkCases;
using reference::SquawkCase;

bool fires(std::string_view rule, std::string_view sql) {
  const lint::Report report = lint::lint(sql, "example.sql");
  return std::ranges::find(report.findings, std::string(rule), &lint::Finding::rule) != report.findings.end();
}

class SquawkTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto packages =
        python_packages("squawk", std::string(POUNDLOCK_SOURCE_DIR) + "/tests/clients/squawk");
    if (!packages) GTEST_SKIP() << packages.error();
    program_ = *packages + "/bin/squawk";
    file_ = fmt::format("{}/squawk-{}.sql", testing::TempDir(), getpid());
  }
  void TearDown() override { std::remove(file_.c_str()); }

  // The names of its rules that fire, with `rule` switched on (some are off by default), as for the newest
  // server that it knows.
  std::set<std::string> squawk(std::string_view rule, std::string_view sql) const {
    std::ofstream(file_) << sql;
    const std::string command = fmt::format(
        "'{}' --pg-version=19.0 --include={} --reporter=json '{}' 2>/dev/null", program_, rule, file_);
    std::string out;
    FILE* pipe = popen(command.c_str(), "r");
    char buffer[4096];
    while (const std::size_t got = fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, got);
    pclose(pipe);
    std::set<std::string> rules;
    boost::system::error_code error;
    const bj::value report = bj::parse(out, error);
    if (error || !report.is_array()) {
      ADD_FAILURE() << "no report from: " << command << "\n" << out;
      return rules;
    }
    for (const bj::value& finding : report.as_array())
      rules.emplace(finding.at("rule_name").as_string().c_str());
    return rules;
  }

  std::string program_;
  std::string file_;
};

TEST_F(SquawkTest, JudgesItsExamplesAsWritten) {
  for (const SquawkCase& one : kSquawkCases) {
    const std::string rule(one.rule);
    EXPECT_TRUE(squawk(rule, one.bad).contains(rule)) << one.bad;
    EXPECT_FALSE(squawk(rule, one.good).contains(rule)) << one.good;
  }
}

// Whatever else it says about the examples is a rule that the comparison knows.
TEST_F(SquawkTest, HasNoRuleThatIsNotCompared) {
  std::set<std::string> known;
  for (const SquawkCase& one : kSquawkCases) known.emplace(one.rule);
  for (const SquawkCase& one : kSquawkCases)
    for (const std::string& rule : squawk(one.rule, one.bad)) EXPECT_TRUE(known.contains(rule)) << rule;
}

// Needs no squawk: the other half of the comparison.
TEST(Compared, VerdictsAgreeWhereNoReasonIsGiven) {
  for (const SquawkCase& one : kSquawkCases) {
    if (one.ours.empty()) {
      EXPECT_FALSE(one.why.empty()) << one.rule;
      continue;
    }
    ASSERT_NE(lint::find_rule(one.ours), nullptr) << one.ours;
    const bool same = fires(one.ours, one.bad) && !fires(one.ours, one.good);
    EXPECT_EQ(same, one.why.empty()) << one.rule << " and " << one.ours << ": " << one.bad;
  }
}

}  // namespace
}  // namespace poundlock::scenario
