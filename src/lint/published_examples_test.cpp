// Five examples from published guides that break a database or silently lose data. Each has to be refused,
// with what to do instead.
#include <gmock/gmock.h>

#include <algorithm>

#include "lint/lint.h"

namespace poundlock::lint {
namespace {

using testing::HasSubstr;

// The finding of that rule, which must exist, be an error and say what to do.
Finding refused(std::string_view sql, std::string_view rule) {
  const Report report = lint(sql, "guide.sql");
  const auto found = std::ranges::find(report.findings, std::string(rule), &Finding::rule);
  EXPECT_NE(found, report.findings.end()) << rule << " is silent on: " << sql;
  if (found == report.findings.end()) return {};
  EXPECT_EQ(found->severity, Severity::kError);
  EXPECT_GT(report.errors(), 0U);
  EXPECT_FALSE(found->reason.empty());
  EXPECT_FALSE(found->fix.empty());
  return *found;
}

TEST(PublishedExamples, IndexConcurrentlyInsideTheExpandTransaction) {
  const Finding finding = refused(
      "BEGIN;\n"
      "ALTER TABLE orders ADD COLUMN new_status VARCHAR(32) DEFAULT 'pending';\n"
      "CREATE INDEX CONCURRENTLY idx_orders_new_status ON orders (new_status);\n"
      "COMMIT;\n",
      "concurrently_in_transaction");
  EXPECT_EQ(finding.line, 3);
  EXPECT_EQ(finding.text, "CONCURRENTLY");
  EXPECT_THAT(finding.fix, HasSubstr("step of its own"));
  EXPECT_EQ(finding.rewrite,
            "COMMIT;\nCREATE INDEX CONCURRENTLY idx_orders_new_status ON orders (new_status);");
}

TEST(PublishedExamples, DefaultThatHidesTheBackfill) {
  const Finding finding = refused("ALTER TABLE orders ADD COLUMN new_status VARCHAR(32) DEFAULT 'pending';",
                                  "expand_column_with_default");
  EXPECT_EQ(finding.text, "DEFAULT 'pending'");
  EXPECT_EQ(finding.rewrite,
            "ALTER TABLE orders ADD COLUMN new_status VARCHAR(32);\n"
            "-- sync trigger and backfill; when the backfill has ended:\n"
            "ALTER TABLE orders ALTER COLUMN new_status SET DEFAULT 'pending';");
}

TEST(PublishedExamples, DualWriteThatDoesNothing) {
  const Finding finding = refused(
      "BEGIN;\n"
      "INSERT INTO orders (id, legacy_status) VALUES ($1, $2);\n"
      "INSERT INTO orders (id, new_status) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING;\n"
      "COMMIT;\n",
      "double_insert");
  EXPECT_EQ(finding.line, 3);
  EXPECT_THAT(finding.fix, HasSubstr("one INSERT"));
  EXPECT_THAT(finding.fix, HasSubstr("sync trigger"));
}

TEST(PublishedExamples, VacuumFullInsideTheContractTransaction) {
  const std::string_view sql =
      "BEGIN;\n"
      "ALTER TABLE orders DROP COLUMN legacy_status;\n"
      "VACUUM FULL ANALYZE orders;\n"
      "COMMIT;\n";
  EXPECT_EQ(refused(sql, "vacuum_in_transaction").line, 3);
  const Finding full = refused(sql, "vacuum_full");
  EXPECT_EQ(full.rewrite, "VACUUM (ANALYZE) orders;");
  EXPECT_THAT(full.fix, HasSubstr("pg_repack"));
  EXPECT_EQ(refused(sql, "drop_column_or_table").line, 2);
}

TEST(PublishedExamples, StatisticsViewAsACommand) {
  const Finding finding = refused("SELECT 1;\npg_stat_activity --filter=\"state = 'active'\"\n", "syntax");
  EXPECT_EQ(finding.line, 2);
  EXPECT_EQ(finding.text, "pg_stat_activity");
  EXPECT_THAT(finding.fix, HasSubstr("pg_blocking_pids"));
  EXPECT_THAT(finding.rewrite, HasSubstr("FROM pg_stat_activity"));
  EXPECT_EQ(lint(finding.rewrite, "fix.sql").errors(), 0U);
}

}  // namespace
}  // namespace poundlock::lint
