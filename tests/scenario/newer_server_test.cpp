// Tests of other programs once more, against a newer PostgreSQL than the system's: reading the catalog, the
// plan of plain SQL carried out, the dry run's trace and its queue. lock_table_test asks it for each lock
// itself.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

#include "support/packages.h"

namespace poundlock::scenario {
namespace {

constexpr int kLimit_s = 120;

// What a test program says with its private servers made of the newer programs; "" when it passed.
std::string failure_of(const std::string& programs, const std::string& test, const std::string& filter) {
  const std::string program = fmt::format("{}/tests/{}", POUNDLOCK_BINARY_DIR, test);
  if (!std::filesystem::exists(program)) return program + " is not built";
  const std::string command =
      fmt::format("POUNDLOCK_PG_BIN='{}' timeout {} '{}' --gtest_filter='{}' 2>&1 </dev/null", programs,
                  kLimit_s, program, filter);
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return "popen failed";
  std::string output;
  std::array<char, 4096> buffer{};
  while (const auto got = std::fread(buffer.data(), 1, buffer.size(), pipe))
    output.append(buffer.data(), got);
  const bool passed = ::pclose(pipe) == 0 && output.find("[  PASSED  ]") != std::string::npos &&
                      output.find("Running 0 tests") == std::string::npos;
  return passed ? "" : output;
}

class NewerServerTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto programs = newer_postgres();
    if (!programs) GTEST_SKIP() << programs.error();
    programs_ = *programs;
  }
  std::string programs_;
};

TEST_F(NewerServerTest, TheCatalogIsRead) {
  EXPECT_EQ(failure_of(programs_, "catalog_loader_test", "*"), "");
}

TEST_F(NewerServerTest, PlansOfPlainSqlAreCarriedOut) {
  EXPECT_EQ(failure_of(programs_, "sql_plan_test",
                       "SqlPlanTest.*:*/SqlPlanTest.*/4:*/SqlPlanTest.*/5:*/SqlPlanTest.*/7"),
            "");
}

TEST_F(NewerServerTest, ADryRunTracesAndMeasures) {
  EXPECT_EQ(failure_of(programs_, "dry_run_test",
                       "*.ShowsLocks*:*.MeasuresTheLockQueue*:*.AStatementThatFails*:*.WritesJunit*"),
            "");
}

}  // namespace
}  // namespace poundlock::scenario
