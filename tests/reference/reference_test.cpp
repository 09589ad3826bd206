// The reference pages are made from what the gates, rules, operations and operators say of themselves, and
// this fails when a page says something else. `./dev golden reference` writes them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "pages.h"

namespace poundlock::reference {
namespace {

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void expect_page(const std::string& name, const std::string& text) {
  const std::string path = std::string(POUNDLOCK_SOURCE_DIR) + "/docs/reference/" + name;
  if (std::getenv("POUNDLOCK_REWRITE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << text;
  }
  EXPECT_EQ(read(path), text) << name << " is out of date: ./dev golden reference";
}

TEST(Reference, Gates) {
  expect_page("gates.md", gates_page());
}
TEST(Reference, LintRules) {
  expect_page("lint-rules.md", lint_rules_page());
}
TEST(Reference, Operations) {
  expect_page("operations.md", operations_page());
}
TEST(Reference, FlagOperators) {
  expect_page("flag-operators.md", flag_operators_page());
}

TEST(Reference, KeepsCellsInTheirColumn) {
  EXPECT_EQ(cell("a | b\nc"), "a \\| b c");
}

}  // namespace
}  // namespace poundlock::reference
