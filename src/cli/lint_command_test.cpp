// lint as a person or a pipeline calls it: files, tools, settings, formats, and everything that is no SQL.
#include <gmock/gmock.h>

#include <boost/json.hpp>
#include <iostream>
#include <set>

#include "cli/run_for_test.h"
#include "lint/framework.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
using testing::HasSubstr;
using testing::Not;

class LintCommandTest : public CommandLineTest {
 protected:
  bj::array found(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "lint");
    arguments.insert(arguments.end(), {"--output", "json"});
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.err, "");
    const auto answer = bj::parse(ran.out).as_array();
    bool errors = false;
    for (const auto& one : answer) errors = errors || one.at("severity").as_string() == "error";
    EXPECT_EQ(ran.code, errors ? 1 : 0);
    return answer;
  }
  std::set<std::string> rules(const std::vector<std::string>& arguments) {
    std::set<std::string> out;
    for (const auto& one : found(arguments)) out.emplace(one.at("rule").as_string());
    return out;
  }
  using Rules = std::set<std::string>;
};

constexpr const char* kTimeouts = "SET lock_timeout = '50ms'; SET statement_timeout = '5s';\n";

TEST_F(LintCommandTest, EachFindingHasWhatOthersRelyOn) {
  write("m/V1__a.sql", "TRUNCATE orders;\n");
  const auto findings = found({"m"});
  ASSERT_FALSE(findings.empty());
  for (const auto& one : findings)
    for (const char* key : {"file", "line", "column", "rule", "severity", "message", "fix"})
      EXPECT_TRUE(one.as_object().contains(key)) << key;
  EXPECT_EQ(findings[0].at("file").as_string(), "m/V1__a.sql");
}

TEST_F(LintCommandTest, AFolderOfFlywayFilesIsReadAsFlywayDoes) {
  const std::string index = "CREATE INDEX CONCURRENTLY i ON t (a);\nSELECT 1;\n";
  write("m/V1__a.sql", index);
  write("m/V2__b.sql", index);
  write("m/V2__b.sql.conf", "executeInTransaction=false\n");
  auto findings = found({"m"});
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].at("rule").as_string(), "concurrently_in_transaction");
  EXPECT_EQ(findings[0].at("file").as_string(), "m/V1__a.sql");
  write("m/sub/V02__c.sql", "SELECT 1;");
  EXPECT_EQ(rules({"m"}), (Rules{"concurrently_in_transaction", "same_version"}));
  write("m/V2__b.sql.conf", "executeInTransaction=no\n");
  EXPECT_EQ(rules({"m/V2__b.sql"}), Rules{"migration_file"});
}

TEST_F(LintCommandTest, AlembicIsReadOnStandardInput) {
  std::istringstream in(
      "BEGIN;\n\n-- Running upgrade  -> 1975ea83b712\n\nCREATE INDEX CONCURRENTLY i ON t (a);\n\nCOMMIT;\n");
  auto* const before = std::cin.rdbuf(in.rdbuf());
  const auto findings = found({"-"});
  std::cin.rdbuf(before);
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings[0].at("file").as_string(), "<stdin>");
  EXPECT_EQ(findings[0].at("rule").as_string(), "concurrently_in_transaction");
  EXPECT_EQ(findings[0].at("line").as_int64(), 5);
}

TEST_F(LintCommandTest, SettingsAreFoundUpwardAndRefusedWithTheirPlace) {
  write("a.sql", "TRUNCATE t;");
  EXPECT_EQ(rules({"a.sql"}), (Rules{"missing_timeouts", "truncate"}));
  write("poundlock.yaml", "lint: {timeouts_supplied: true}\n");  // lint needs no environments
  EXPECT_EQ(rules({"a.sql"}), Rules{"truncate"});
  write(".poundlock-lint.yaml", "rules: {truncate: {severity: off, reason: scratch}}\nignore: [old]\n");
  EXPECT_EQ(rules({"a.sql"}), Rules{"missing_timeouts"});
  write("old/b.sql", "TRUNCATE t;");
  EXPECT_EQ(rules({"old/b.sql", "a.sql"}), Rules{"missing_timeouts"});
  EXPECT_EQ(run({"lint", "old"}).code, 0);
  EXPECT_THAT(run({"lint", "."}).out, HasSubstr("1 file left out"));
  const Ran nothing = run({"lint", "old/b.sql", "--output", "json"});
  EXPECT_EQ(nothing.out, "[]\n");
  EXPECT_THAT(nothing.err, HasSubstr("nothing was linted"));
  EXPECT_THAT(run({"lint", "old/b.sql", "a.sql", "--output", "json"}).err, testing::IsEmpty());
  EXPECT_EQ(rules({"a.sql", "--severity", "truncate=warning"}), (Rules{"missing_timeouts", "truncate"}));
  EXPECT_EQ(run({"lint", "a.sql", "--disable", "missing_timeouts"}).code, 0);
  write(".poundlock-lint.yaml", "rules:\n  trunkate: error\n");
  const Ran broken = run({"lint", "a.sql"});
  EXPECT_EQ(broken.code, 2);
  EXPECT_THAT(broken.err, HasSubstr(".poundlock-lint.yaml:2:3"));
  EXPECT_THAT(broken.err, HasSubstr("did you mean truncate?"));
}

TEST_F(LintCommandTest, WhatIsNoSqlIsToldAndHarmless) {
  using namespace std::string_literals;
  write("latin.sql", "SELECT 1;\n-- caf\xE9\n");
  write("utf16.sql", "\xFF\xFES\0E\0L\0"s);
  write("nul.sql", "SELECT '\0';"s);
  write("binary.sql", "\x7f\x45LF\x02\x01\x01\0\xff\xfe\x80"s);
  write("bom.sql", "\xEF\xBB\xBFTRUNCATE t;");
  write("crlf.sql", "SELECT 1;\r\nTRUNCATE t;\r\n");
  write("sum.sql", [] {
    std::string sum = "SELECT 1";
    while (sum.size() < 60'000) sum += "+1";
    return sum;
  }());
  write("psql.sql", "\\set x 1\nSELECT :x;\n\\.\n");
  write("copy.sql", "COPY t FROM stdin;\na\tTRUNCATE;'\n\\.\nSELECT 1;\n");
  write("open.sql", "SELECT 'open");
  write("words.sql", "this is no SQL at all");
  write("empty.sql", "");
  for (const char* name : {"latin", "utf16", "nul", "binary"}) {
    const auto findings = found({name + ".sql"s});
    ASSERT_EQ(findings.size(), 1U) << name;
    EXPECT_EQ(findings[0].at("rule").as_string(), "encoding") << name;
    EXPECT_EQ(run({"lint", name + ".sql"s}).code, 1);
  }
  const auto bom = found({"bom.sql", "--disable", "missing_timeouts"});
  ASSERT_EQ(bom.size(), 1U);
  EXPECT_EQ(bom[0].at("column").as_int64(), 10);
  EXPECT_EQ(found({"crlf.sql", "--disable", "missing_timeouts"}).at(0).at("line").as_int64(), 2);
  EXPECT_EQ(rules({"sum.sql"}), Rules{"too_large"});
  EXPECT_EQ(rules({"psql.sql"}), Rules{"psql_command"});
  EXPECT_EQ(rules({"copy.sql"}), Rules{});
  EXPECT_EQ(rules({"open.sql"}), Rules{"syntax"});
  EXPECT_EQ(rules({"words.sql"}), Rules{"syntax"});
  EXPECT_EQ(rules({"empty.sql"}), Rules{});
  for (const char* format : {"text", "sarif", "junit", "github"}) {
    const Ran all = run({"lint", ".", "--output", format});
    EXPECT_EQ(all.code, 1) << format;
    EXPECT_THAT(all.out, Not(HasSubstr("\x7f"))) << format;
  }
}

TEST_F(LintCommandTest, AFileOfFiftyMegabytesIsReadOrRefusedInWords) {
  // Data is not looked at; statements beyond the limit are a finding; a file beyond the other is an error.
  std::string data = std::string(kTimeouts) + "COPY t FROM stdin;\n";
  while (data.size() < (50U << 20)) data += "1\tTRUNCATE t;'\n";
  write("data.sql", data + "\\.\nTRUNCATE t;\n");
  EXPECT_EQ(rules({"data.sql"}), Rules{"truncate"});
  std::string inserts;
  while (inserts.size() < (50U << 20)) inserts += "INSERT INTO t VALUES (1, 'abcdefghijklmnopqrstuvwxyz');\n";
  write("inserts.sql", inserts);
  EXPECT_EQ(rules({"inserts.sql"}), Rules{"too_large"});
  write("huge.sql", std::string((64U << 20) + 1, ' '));
  const Ran huge = run({"lint", "huge.sql"});
  EXPECT_EQ(huge.code, 2);
  EXPECT_THAT(huge.err, HasSubstr("larger than 64 MiB"));
}

TEST_F(LintCommandTest, ListsAndExplainsItsRules) {
  const Ran list = run({"lint", "--list-rules"});
  EXPECT_EQ(list.code, 0);
  for (const auto* rule : lint::all_rules()) EXPECT_THAT(list.out, HasSubstr(std::string(rule->id)));
  for (const auto& rule : lint::framework_rules()) EXPECT_THAT(list.out, HasSubstr(std::string(rule.id)));
  const Ran one = run({"lint", "--explain", "truncate"});
  EXPECT_EQ(one.code, 0);
  EXPECT_THAT(one.out, HasSubstr("Instead: "));
  EXPECT_THAT(one.out, HasSubstr("Refused:"));
  const Ran none = run({"lint", "--explain", "truncat"});
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.err, HasSubstr("did you mean truncate?"));
}

TEST_F(LintCommandTest, WrongArgumentsAreToldWithWhatToTry) {
  EXPECT_EQ(run({"lint"}).code, 2);
  EXPECT_THAT(run({"lint"}).err, HasSubstr("poundlock lint migrations/"));
  EXPECT_EQ(run({"lint", "nowhere.sql"}).code, 2);
  write("a.sql", "SELECT 1;");
  EXPECT_THAT(run({"lint", "a.sql", "--severity", "truncate=fatal"}).err, HasSubstr("off, warning or error"));
  EXPECT_EQ(run({"lint", "a.sql", "--database-url", "postgres://127.0.0.1:1/x"}).code, 3);
  EXPECT_EQ(run({"lint", "a.sql", "--database", "app"}).code, 2);
}

// What the schema of SARIF 2.1.0 (OASIS) requires of each object, and what GitHub's upload reads.
TEST_F(LintCommandTest, SarifHasTheShapeOfItsStandard) {
  write("m/a b.sql",
        "-- poundlock: ignore truncate scratch\nTRUNCATE t;\nSELECT 'ü'; TRUNCATE \"ü\";\nNONSENSE\n");
  const auto sarif = bj::parse(run({"lint", "m", "--output", "sarif"}).out).as_object();
  EXPECT_EQ(sarif.at("version").as_string(), "2.1.0");
  EXPECT_THAT(std::string(sarif.at("$schema").as_string()), HasSubstr("sarif-2.1.0"));
  ASSERT_EQ(sarif.at("runs").as_array().size(), 1U);
  const auto& one = sarif.at("runs").at(0).as_object();
  const auto& driver = one.at("tool").at("driver").as_object();
  EXPECT_EQ(driver.at("name").as_string(), "poundlock");
  EXPECT_EQ(one.at("columnKind").as_string(), "unicodeCodePoints");
  std::set<std::string> ids;
  for (const auto& rule : driver.at("rules").as_array()) {
    EXPECT_TRUE(ids.emplace(rule.at("id").as_string()).second);
    EXPECT_FALSE(rule.at("shortDescription").at("text").as_string().empty());
    EXPECT_FALSE(rule.at("fullDescription").at("text").as_string().empty());
  }
  const std::set<std::string> levels{"none", "note", "warning", "error"};
  ASSERT_EQ(one.at("results").as_array().size(), 4U);
  std::size_t suppressed = 0;
  for (const auto& result : one.at("results").as_array()) {
    EXPECT_TRUE(ids.contains(std::string(result.at("ruleId").as_string())));
    EXPECT_TRUE(levels.contains(std::string(result.at("level").as_string())));
    EXPECT_FALSE(result.at("message").at("text").as_string().empty());
    const auto& place = result.at("locations").at(0).at("physicalLocation");
    EXPECT_EQ(place.at("artifactLocation").at("uri").as_string(), "m/a%20b.sql");
    const auto& region = place.at("region").as_object();
    const auto of = [&](const char* key) { return region.at(key).as_int64(); };
    EXPECT_GE(of("startLine"), 1);
    EXPECT_GE(of("startColumn"), 1);
    EXPECT_GE(std::pair(of("endLine"), of("endColumn")), std::pair(of("startLine"), of("startColumn")));
    const auto* suppressions = result.as_object().if_contains("suppressions");
    if (suppressions == nullptr) continue;
    ++suppressed;
    EXPECT_EQ(suppressions->at(0).at("kind").as_string(), "inSource");
    EXPECT_EQ(suppressions->at(0).at("justification").as_string(), "scratch");
  }
  EXPECT_EQ(suppressed, 1U);
}

TEST_F(LintCommandTest, AFileCannotWriteToTheTerminalOrIntoTheWorkflow) {
  write("a.sql", "TRUNCATE \"x\x1b[2J\n::error::y\r\";\n\\echo \x1b[2J\n");
  for (const char* format : {"text", "json", "sarif", "junit", "github"}) {
    const Ran ran = run({"lint", "a.sql", "--output", format});
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.out, Not(HasSubstr("\x1b"))) << format;
    EXPECT_THAT(ran.out, Not(HasSubstr("\n::error::y"))) << format;
  }
}

}  // namespace
}  // namespace poundlock::cli
