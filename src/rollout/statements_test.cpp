#include "rollout/statements.h"

#include <gmock/gmock.h>

#include "rollout/gates/gate_test_support.h"
#include "rollout/question_text.h"

namespace poundlock::rollout {
namespace {

using Row = std::vector<std::optional<std::string>>;

StatementUse use_of(const std::string& text) {
  return uses_of({text}, GateBench().plan).at(0);
}

Row row(std::optional<std::string> query, const char* own, const char* calls, const char* rows) {
  return {"0", "500", "1000.5", std::move(query), own, calls, rows, "4000", "0", "20"};
}

TEST(StatementUse, TellsReadingFromWritingByTheTree) {
  EXPECT_TRUE(use_of("SELECT id FROM orders WHERE legacy_status = $1").legacy);
  EXPECT_FALSE(use_of("SELECT id FROM orders WHERE legacy_status = $1").fresh);
  EXPECT_TRUE(use_of("UPDATE orders SET new_status = $1 WHERE id = $2").fresh);
  EXPECT_FALSE(use_of("UPDATE orders SET new_status = $1 WHERE id = $2").fresh_read);
  EXPECT_TRUE(use_of("UPDATE orders SET new_status = $1 WHERE id = $2").writes);
  EXPECT_TRUE(use_of("SELECT o.new_status FROM orders o").fresh_read);
  EXPECT_FALSE(use_of("SELECT legacy_status FROM invoices").legacy);
  EXPECT_FALSE(use_of("SELECT 'orders legacy_status'").touches_tables);
}

TEST(StatementUse, CountsStarsAndUnlistedInsertsForADropOnly) {
  const StatementUse star = use_of("SELECT * FROM orders WHERE id = $1");
  EXPECT_TRUE(star.star && star.legacy && star.fresh);
  EXPECT_FALSE(star.fresh_read);
  EXPECT_TRUE(use_of("INSERT INTO orders VALUES ($1, $2)").legacy);
  EXPECT_TRUE(use_of("DELETE FROM orders WHERE id = $1 RETURNING *").star);
  EXPECT_FALSE(use_of("SELECT count(*) FROM orders").star);
}

TEST(StatementUse, TakesADumpForWhatItIs) {
  const StatementUse dump = use_of("COPY public.orders (id, legacy_status, new_status, note) TO stdout;");
  EXPECT_TRUE(dump.star);
  EXPECT_FALSE(dump.legacy || dump.fresh || dump.fresh_read);
  // Whoever chose the columns refers to them, and who loads them does.
  EXPECT_TRUE(use_of("COPY orders (id, legacy_status) TO STDOUT").legacy);
  EXPECT_TRUE(use_of("COPY orders (id, new_status) TO STDOUT").fresh_read);
  EXPECT_TRUE(use_of("COPY orders (id, legacy_status, new_status) FROM STDIN").legacy);
}

TEST(StatementUse, JudgesWhatDoesNotParseByItsWordsAndSparesItsNeighbours) {
  const auto uses =
      uses_of({"SELECT id FROM orders", "FROB orders legacy_status 'open", "SELECT 'it''s' FROM orders"},
              GateBench().plan);
  EXPECT_FALSE(uses[0].legacy);
  EXPECT_TRUE(uses[1].legacy);
  EXPECT_FALSE(uses[2].legacy);
  EXPECT_TRUE(uses[2].touches_tables);
}

TEST(StatementsDigest, SeparatesOurRowsFromTheApplications) {
  const GateBench bench;
  const Question question = statements_question(bench.plan);
  EXPECT_EQ(question.params, (std::vector<std::optional<std::string>>{"{\"public\"}", "{\"orders\"}"}));
  const auto seen = question.digest(
      {row("UPDATE orders SET legacy_status = $1 WHERE id = $2", "f", "70", "69"),
       row("UPDATE orders SET new_status = legacy_status", "t", "3", "9000"),
       row("SELECT new_status FROM orders", "t", "9", "9"), row("SELECT * FROM orders", "f", "4", "4")},
      bench.plan);
  const auto at = [&](const char* name) { return seen.at(name).value; };
  EXPECT_EQ(at("write_calls"), 70);
  EXPECT_EQ(at("write_rows"), 69);
  EXPECT_EQ(at("own_rows"), 9000);
  EXPECT_EQ(at("versions"), 500);
  EXPECT_EQ(at("wal_bytes"), 4000);
  EXPECT_EQ(at("legacy_refs"), 74);
  EXPECT_EQ(at("fresh_refs"), 4);
  EXPECT_EQ(at("fresh_reads"), 0);
  EXPECT_EQ(at("star"), 1);
  EXPECT_THAT(seen.at("star").detail, testing::HasSubstr("SELECT * FROM orders"));
}

TEST(StatementsDigest, LeavesEverythingOutWhereTextsAreHidden) {
  const GateBench bench;
  const auto seen =
      statements_question(bench.plan).digest({row("<insufficient privilege>", "f", "1", "1")}, bench.plan);
  EXPECT_EQ(seen.at("unreadable").value, 1);
  EXPECT_FALSE(seen.contains("legacy_refs"));
  const auto empty = statements_question(bench.plan)
                         .digest({{"0", "5", "1.5", std::nullopt, std::nullopt, std::nullopt, std::nullopt,
                                   std::nullopt, std::nullopt, std::nullopt}},
                                 bench.plan);
  EXPECT_EQ(empty.at("unreadable").value, 0);
  EXPECT_EQ(empty.at("legacy_refs").value, 0);
}

TEST(QuestionText, QuotesArraysAndReadsNumbers) {
  EXPECT_EQ(text_array({"a", "b \"c\" \\d", "{,}"}), R"({"a","b \"c\" \\d","{,}"})");
  EXPECT_EQ(text_array({}), "{}");
  EXPECT_EQ(number_in("12.5"), 12.5);
  EXPECT_EQ(number_in("t"), 1);
  EXPECT_EQ(number_in(std::nullopt), std::nullopt);
  EXPECT_EQ(number_in("NaN"), std::nullopt);
  EXPECT_EQ(number_in("12 kB"), std::nullopt);
  EXPECT_EQ(name_list({"a", "b", "c"}, 2), "a, b and 1 more");
}

}  // namespace
}  // namespace poundlock::rollout
