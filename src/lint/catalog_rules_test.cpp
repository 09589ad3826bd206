// What the rules make of a known database: silent or milder where a change is harmless, and no rewrite where
// PostgreSQL would refuse it.
#include <gmock/gmock.h>

#include <algorithm>

#include "lint/lint.h"

namespace poundlock::lint {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

schema::Catalog catalog() {
  schema::Catalog catalog;
  schema::Table orders;
  orders.schema = "public";
  orders.name = "orders";
  orders.estimated_rows = 5e6;
  orders.bytes = std::int64_t{1} << 30;
  orders.columns = {{.attnum = 1, .name = "id", .type = "bigint", .not_null = true},
                    {.attnum = 2, .name = "status", .type = "text"},
                    {.attnum = 3, .name = "Customer Id", .type = "bigint"}};
  orders.indexes = {{.name = "orders_pkey", .columns = {"id"}, .unique = true, .primary = true},
                    {.name = "orders_customer", .columns = {"Customer Id", "id"}},
                    {.name = "broken", .columns = {"status"}, .valid = false},
                    {.name = "by_status", .columns = {"status"}, .unique = true}};
  orders.constraints = {{.name = "orders_fkey", .kind = 'f', .columns = {"Customer Id"}},
                        {.name = "checked",
                         .kind = 'c',
                         .definition = "CHECK (((status IS NOT NULL) AND (id > 0)))",
                         .columns = {"status", "id"}}};
  schema::Table small = orders;
  small.name = "small";
  small.estimated_rows = 12;
  small.bytes = 8192;
  small.constraints = {};
  schema::Table events = orders;
  events.name = "events";
  events.kind = 'p';
  events.partition_key = "RANGE (\"At\")";
  schema::Table old = orders;
  old.name = "Old Events";
  old.constraints = {{.name = "fits",
                      .kind = 'c',
                      .definition = "CHECK (((\"At\" IS NOT NULL) AND (\"At\" < '2020-01-01'::date)))",
                      .columns = {"At"}}};
  schema::Table totals;
  totals.schema = "public";
  totals.name = "totals";
  totals.kind = 'm';
  catalog.tables = {orders, small, events, old, totals};
  return catalog;
}

class CatalogRules : public testing::Test {
 protected:
  Report judge(std::string_view sql) const {
    return lint(sql, "t.sql", {.timeouts_supplied = true, .catalog = &catalog_});
  }
  std::vector<std::string> rules(std::string_view sql) const {
    std::vector<std::string> names;
    for (const Finding& finding : judge(sql).findings) names.push_back(finding.rule);
    return names;
  }
  Finding only(std::string_view sql) const {
    const Report report = judge(sql);
    EXPECT_EQ(report.findings.size(), 1U) << sql;
    return report.findings.empty() ? Finding{} : report.findings.front();
  }
  const schema::Catalog catalog_ = catalog();
};

TEST_F(CatalogRules, BelieveAValidatedCheckUntilItIsDropped) {
  EXPECT_THAT(rules("ALTER TABLE orders ALTER status SET NOT NULL"), IsEmpty());
  EXPECT_THAT(rules("ALTER TABLE orders ALTER id SET NOT NULL"), IsEmpty());
  EXPECT_THAT(
      rules("ALTER TABLE orders DROP CONSTRAINT checked; ALTER TABLE orders ALTER status SET NOT NULL"),
      Contains("set_not_null"));
  EXPECT_THAT(rules("ALTER TABLE orders ALTER \"Customer Id\" SET NOT NULL"), Contains("set_not_null"));
}

TEST_F(CatalogRules, TakeNoNameThatIsTaken) {
  EXPECT_THAT(only("ALTER TABLE orders ADD FOREIGN KEY (\"Customer Id\") REFERENCES small (id)").rewrite,
              HasSubstr("ADD CONSTRAINT \"orders_Customer Id_fkey\" FOREIGN"));
  EXPECT_THAT(only("ALTER TABLE \"Old Events\" ADD CONSTRAINT fits CHECK (id > 0)").rewrite,
              HasSubstr("ADD CONSTRAINT fits"));
  EXPECT_THAT(only("ALTER TABLE orders ADD CONSTRAINT orders_id_check CHECK (id > 1) NOT VALID;"
                   "ALTER TABLE orders ADD CHECK (id > 0)")
                  .rewrite,
              HasSubstr("ADD CONSTRAINT orders_id_check_2 CHECK"));
}

TEST_F(CatalogRules, WarnOnlyOfSmallTables) {
  for (const char* sql :
       {"ALTER TABLE small ALTER status SET NOT NULL", "ALTER TABLE small ADD CONSTRAINT c CHECK (id > 0)",
        "ALTER TABLE small ADD UNIQUE (status)", "CREATE INDEX i ON small (status)",
        "ALTER TABLE small ALTER status TYPE int USING status::int", "DELETE FROM small"})
    EXPECT_EQ(only(sql).severity, Severity::kWarning) << sql;
  EXPECT_EQ(only("CREATE INDEX i ON orders (status)").severity, Severity::kError);
  EXPECT_THAT(rules("UPDATE small SET status = 'a' WHERE status IS NULL"), IsEmpty());
  // Data that are dropped are gone, however few.
  EXPECT_EQ(only("DROP TABLE small").severity, Severity::kError);
}

TEST_F(CatalogRules, UseTheIndexesThatThereAre) {
  const std::string add = "ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY ";
  EXPECT_THAT(rules(add + "(\"Customer Id\") REFERENCES small (id) NOT VALID"), IsEmpty());
  EXPECT_THAT(rules(add + "(status) REFERENCES small (status) NOT VALID"), IsEmpty());
  EXPECT_THAT(rules(add + "(id, status) REFERENCES small (id, status) NOT VALID"),
              Contains("foreign_key_without_index"));
  EXPECT_THAT(rules("UPDATE orders SET status = 'x' WHERE id < 100"), IsEmpty());
  EXPECT_THAT(rules("UPDATE orders SET status = 'x' WHERE total = 3"), Contains("update_many_rows"));
  const Finding broken = only("CREATE INDEX CONCURRENTLY IF NOT EXISTS broken ON orders (status)");
  EXPECT_EQ(broken.rule, "index_if_not_exists");
  EXPECT_THAT(broken.rewrite, HasSubstr("DROP INDEX CONCURRENTLY IF EXISTS broken;"));
  EXPECT_THAT(rules("CREATE INDEX CONCURRENTLY IF NOT EXISTS by_status ON orders (status)"), IsEmpty());
  EXPECT_THAT(only("REFRESH MATERIALIZED VIEW totals").rewrite, IsEmpty());
}

TEST_F(CatalogRules, PrimaryKeysTakeTheirColumnsNullsIntoAccount) {
  EXPECT_THAT(rules("ALTER TABLE orders ADD CONSTRAINT k PRIMARY KEY USING INDEX by_status"), IsEmpty());
  const Finding key = only("ALTER TABLE small ADD CONSTRAINT k PRIMARY KEY USING INDEX by_status");
  EXPECT_THAT(key.rewrite, HasSubstr("CHECK (status IS NOT NULL) NOT VALID"));
  EXPECT_THAT(key.rewrite, HasSubstr("PRIMARY KEY USING INDEX by_status;"));
  EXPECT_THAT(only("ALTER TABLE orders ADD PRIMARY KEY (id)").rewrite, Not(HasSubstr("SET NOT NULL")));
}

TEST_F(CatalogRules, OfferNothingThatAPartitionedTableRefuses) {
  EXPECT_THAT(only("CREATE INDEX i ON events (status)").rewrite, IsEmpty());
  EXPECT_THAT(rules("CREATE INDEX i ON ONLY events (status)"), IsEmpty());
  EXPECT_THAT(only("ALTER TABLE events ADD UNIQUE (id)").rewrite, IsEmpty());
}

TEST_F(CatalogRules, AttachByTheKeyOfTheParent) {
  EXPECT_THAT(rules("ALTER TABLE events ATTACH PARTITION \"Old Events\" FOR VALUES FROM (MINVALUE) TO "
                    "('2020-01-01')"),
              IsEmpty());
  EXPECT_EQ(
      only("ALTER TABLE events ATTACH PARTITION orders FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)").rewrite,
      "ALTER TABLE orders ADD CONSTRAINT orders_bound_check CHECK (\"At\" IS NOT NULL AND \"At\" >= "
      "'2020-01-01') NOT VALID;\nALTER TABLE orders VALIDATE CONSTRAINT orders_bound_check;\n"
      "ALTER TABLE events ATTACH PARTITION orders FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);\n"
      "ALTER TABLE orders DROP CONSTRAINT orders_bound_check;");
}

TEST_F(CatalogRules, KnowWhatAConstraintIs) {
  EXPECT_THAT(only("ALTER TABLE orders DROP CONSTRAINT orders_fkey").detail, HasSubstr("foreign key"));
  EXPECT_THAT(rules("ALTER TABLE orders DROP CONSTRAINT checked"), IsEmpty());
  EXPECT_THAT(rules("ALTER TABLE orders ALTER status DROP NOT NULL"), IsEmpty());
}

TEST(RulesWithOptions, TheRunnersTransactionIsOne) {
  const auto rules = [](std::string_view sql) {
    std::vector<std::string> names;
    for (const Finding& finding :
         lint(sql, "V1.sql", {.in_transaction = true, .timeouts_supplied = true}).findings)
      names.push_back(finding.rule);
    return names;
  };
  EXPECT_THAT(rules("BEGIN; ALTER TABLE t ADD a int; COMMIT"), Contains("nested_transaction"));
  EXPECT_THAT(rules("ALTER TABLE t ADD a int; ALTER TABLE u ADD a int"), Contains("work_under_lock"));
  EXPECT_THAT(rules("ALTER TABLE t ADD a int"), IsEmpty());
}

TEST(RulesWithOptions, TheApplicationsStatementsAreKnown) {
  const auto sent = schema::parse_script("SELECT * FROM shop.orders WHERE id = $1");
  ASSERT_TRUE(sent);
  const Options options{.timeouts_supplied = true, .application = sent->statements};
  const auto fires = [&](std::string_view sql) { return !lint(sql, "t.sql", options).findings.empty(); };
  EXPECT_TRUE(fires("ALTER TABLE shop.orders ADD COLUMN a text"));
  EXPECT_FALSE(fires("ALTER TABLE app.orders ADD COLUMN a text"));
  EXPECT_FALSE(fires("ALTER TABLE shop.orders ALTER a SET DEFAULT 'x'"));
}

TEST(Rewrites, KeepTheOtherActionsAndQuoteNames) {
  const Report report = lint("ALTER TABLE shop.\"Order Items\" ADD a int, ALTER \"Zip\" SET NOT NULL, DROP b",
                             "t.sql", {.timeouts_supplied = true});
  const auto found = std::ranges::find(report.findings, std::string("set_not_null"), &Finding::rule);
  ASSERT_NE(found, report.findings.end());
  EXPECT_EQ(
      found->rewrite,
      "ALTER TABLE shop.\"Order Items\" ADD a int;\n"
      "ALTER TABLE shop.\"Order Items\" ADD CONSTRAINT \"Order Items_Zip_not_null\" CHECK (\"Zip\" IS NOT "
      "NULL) NOT VALID;\n"
      "ALTER TABLE shop.\"Order Items\" VALIDATE CONSTRAINT \"Order Items_Zip_not_null\";\n"
      "ALTER TABLE shop.\"Order Items\" ALTER COLUMN \"Zip\" SET NOT NULL;\n"
      "ALTER TABLE shop.\"Order Items\" DROP CONSTRAINT \"Order Items_Zip_not_null\";\n"
      "ALTER TABLE shop.\"Order Items\" DROP b;");
}

}  // namespace
}  // namespace poundlock::lint
