#include "engine/traffic_script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "ports/cells.h"

namespace poundlock::engine {
namespace {

using testing::HasSubstr;

Result<std::vector<ports::TrafficStatement>> read(const std::string& text, std::int64_t scale = 1) {
  Jitter random(7);
  const TrafficScript script{text, "t.sql"};
  return parse_traffic({&script, 1}, scale, random);
}
// The value that \set gives, as text.
std::string computed(const std::string& expression) {
  const auto made = read("\\set two 2\n\\set x " + expression + "\nSELECT :x;\n");
  return made ? *(*made)[0].samples.at(0).at(0) : made.error().message;
}
// "LINE:COLUMN message"
std::string refused(const std::string& text) {
  const auto made = read(text);
  if (made || !made.error().where) return "read";
  return std::to_string(made.error().where->line) + ":" + std::to_string(made.error().where->column) + " " +
         made.error().message;
}

TEST(TrafficScript, ReadsPgbenchsOwnScript) {
  const auto made = read(
      "\\set aid random(1, 100000 * :scale)\n\\set bid random(1, 1 * :scale)\n\\set delta random(-5000, "
      "5000)\n"
      "BEGIN;\nUPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;\n"
      "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\nINSERT INTO pgbench_history (tid, bid, aid, "
      "delta, mtime) VALUES (:aid, :bid, :aid, :delta, CURRENT_TIMESTAMP);\nEND;\n",
      10);
  ASSERT_TRUE(made) << made.error().to_string();
  ASSERT_EQ(made->size(), 5U);
  EXPECT_EQ((*made)[0].sql, "BEGIN");
  EXPECT_EQ((*made)[1].sql, "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2");
  EXPECT_EQ((*made)[3].sql,
            "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $1, $3, "
            "CURRENT_TIMESTAMP)");
  // The player counts statements on; one run's values belong together.
  std::set<std::string> keys;
  const std::size_t size = (*made)[1].samples.size();
  for (std::size_t run = 0; run < size / 5; ++run) {
    const auto& update = (*made)[1].samples[(run * 5 + 1) % size];
    const auto& select = (*made)[2].samples[(run * 5 + 2) % size];
    const auto& insert = (*made)[3].samples[(run * 5 + 3) % size];
    EXPECT_EQ(update[1], select[0]);
    EXPECT_EQ(update[1], insert[0]);
    EXPECT_EQ(update[0], insert[2]);
    keys.insert(*update[1]);
    EXPECT_GE(ports::to_int(update[1]), 1);
    EXPECT_LE(ports::to_int(update[1]), 1'000'000);
  }
  EXPECT_GT(keys.size(), 30U);
}

TEST(TrafficScript, ComputesExpressions) {
  EXPECT_EQ(computed("1 + 2 * 3"), "7");
  EXPECT_EQ(computed("(1 + 2) * -3"), "-9");
  EXPECT_EQ(computed("-7 / 2"), "-3");
  EXPECT_EQ(computed("-7 % 3"), "-1");
  EXPECT_EQ(computed("7 / 2.0"), "3.5");
  EXPECT_EQ(computed(":two * :two - 1"), "3");
  EXPECT_EQ(computed("greatest(1, :two, least(9, 5)) + abs(-4) + int(2.6) + mod(9, 4)"), "13");
  EXPECT_EQ(computed("sqrt(16.0) + double(1)"), "5");
  EXPECT_EQ(computed("\\\n  1 + \\\n  1"), "2");
  for (const char* draw : {"random(10, 12)", "random_gaussian(10, 12, 2.5)", "random_exponential(10, 12, 3)",
                           "random_zipfian(10, 12, 1.5)"}) {
    const auto made = read(std::string("\\set x ") + draw + "\nSELECT :x;\n");
    ASSERT_TRUE(made) << made.error().to_string();
    std::set<std::string> seen;
    for (const auto& row : (*made)[0].samples) seen.insert(*row[0]);
    EXPECT_EQ(seen, (std::set<std::string>{"10", "11", "12"})) << draw;
  }
}

TEST(TrafficScript, RefusesByPlace) {
  EXPECT_THAT(refused("SELECT 1;\n\\if :x > 1\nSELECT 2;\n\\endif\n"), HasSubstr("2:1 \\if is not"));
  EXPECT_THAT(refused("SELECT 1;\n  SELECT a FROM b \\gset\n"), HasSubstr("2:19 \\gset is not"));
  EXPECT_THAT(refused("\\setshell x echo 1\n"), HasSubstr("1:1 \\setshell"));
  EXPECT_THAT(refused("\\set x 1 +\nSELECT :x;"), HasSubstr("1:11 a number is missing"));
  EXPECT_THAT(refused("\\set x 1 + nothing(2)\nSELECT :x;"), HasSubstr("1:12 the function nothing()"));
  EXPECT_THAT(refused("\\set x CASE WHEN true THEN 1 END\nSELECT :x;"), HasSubstr("1:8 \"CASE\""));
  EXPECT_THAT(refused("\\set x 1 / 0\nSELECT :x;"), HasSubstr("division by zero"));
  EXPECT_THAT(refused("\\set x 9223372036854775807 + 1\nSELECT :x;"), HasSubstr("out of range"));
  EXPECT_THAT(refused("\\set x random(2, 1)\nSELECT :x;"), HasSubstr("1:8 the range is empty"));
  EXPECT_THAT(refused("SELECT 1,\n  :unknown;\n"), HasSubstr("2:3 the variable unknown is not set"));
  EXPECT_THAT(refused("\\set a 1\nSELECT ':a';\n"), HasSubstr("2:9 pgbench puts :a into the text"));
  EXPECT_THAT(refused("SELECT 'x"), HasSubstr("1:8 the quote does not end"));
  EXPECT_THAT(refused("\\set a 1\n"), HasSubstr("no statement"));
  EXPECT_THAT(refused("\\set a " + std::string(500, '(') + "\nSELECT 1;"), HasSubstr("too deeply"));
}

TEST(TrafficScript, LeavesAloneWhatIsNoVariable) {
  const auto made = read(
      "\\set n 3\nSELECT a[1:2], b::int, '12:30', $$ :n $ $$ /* :n ; */ FROM \":n\" -- ; :n\nWHERE c = :n ;");
  EXPECT_FALSE(made);  // a variable within dollar quotes
  const auto fine = read(
      "\\set n 3\nSELECT a[1:2], b::int, '12:30', $q$ ; $q$ /* :n ; */ FROM \":n\" -- ; :n\nWHERE c = :n ;");
  ASSERT_TRUE(fine) << fine.error().to_string();
  ASSERT_EQ(fine->size(), 1U);
  EXPECT_EQ((*fine)[0].sql, "SELECT a[1:2], b::int, '12:30', $q$ ; $q$   FROM \":n\"  \nWHERE c = $1");
}

TEST(TrafficScript, SeveralArePlayedByTheirWeights) {
  Jitter random(7);
  const std::vector<TrafficScript> scripts{
      {"SELECT 1;", "a.sql", 10}, {"SELECT 2;", "b.sql", 30}, {"SELECT 3;", "c.sql", 0}};
  const auto made = parse_traffic(scripts, 1, random);
  ASSERT_TRUE(made) << made.error().to_string();
  std::string order;
  for (const auto& one : *made) order += one.sql.substr(7);
  EXPECT_EQ(order, "2122");
  EXPECT_EQ(parse_traffic_name("dir/x.sql@5")->weight, 5);
  EXPECT_EQ(parse_traffic_name("dir/x.sql@5")->file, "dir/x.sql");
  EXPECT_EQ(parse_traffic_name("dir/x.sql")->weight, 1);
  EXPECT_EQ(parse_traffic_name("x.sql@many").error().code, "traffic.weight");
}

}  // namespace
}  // namespace poundlock::engine
