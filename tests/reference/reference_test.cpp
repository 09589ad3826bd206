// The reference pages are made from what the gates, rules, operations and operators say of themselves, and
// this fails when a page says something else. `./dev golden reference` writes them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
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
TEST(Reference, ARuleHasItsPage) {
  for (const lint::Rule* rule : lint::all_rules())
    expect_page(fmt::format("../rules/{}.md", rule->id), lint_rule_page(*rule));
  expect_page("../rules/compared.md", compared_page());
}
TEST(Reference, APageHasItsRule) {
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(POUNDLOCK_SOURCE_DIR) + "/docs/rules")) {
    const std::string name = entry.path().stem().string();
    EXPECT_TRUE(name == "compared" || lint::find_rule(name) != nullptr) << "no such rule: " << entry.path();
  }
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
