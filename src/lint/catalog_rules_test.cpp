// What the rules make of a known database: silent or milder where a change is harmless, and no rewrite where
// PostgreSQL would refuse it.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

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

// That a key is not NULL says nothing of the bounds: PostgreSQL reads the table all the same.
TEST_F(CatalogRules, ACheckThatBoundsNoValueSparesNoPartitionItsReading) {
  auto changed = catalog();
  for (auto& table : changed.tables)
    if (table.name == "Old Events") table.constraints[0].definition = "CHECK ((\"At\" IS NOT NULL))";
  const auto report =
      lint("ALTER TABLE events ATTACH PARTITION \"Old Events\" FOR VALUES FROM (MINVALUE) TO ('2020-01-01')",
           "t.sql", {.timeouts_supplied = true, .catalog = &changed});
  ASSERT_THAT(report.findings, Not(IsEmpty()));
  EXPECT_EQ(report.findings[0].rule, "attach_partition");
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

// A name is unknown where neither the database nor the script has it, and nothing else can have made it.
TEST_F(CatalogRules, ANameThatNobodyHasIsTold) {
  std::set<std::string, std::less<>> relations{"orders",          "small",     "events",
                                               "Old Events",      "totals",    "orders_pkey",
                                               "orders_customer", "by_status", "ext_table"};
  const Options options{.timeouts_supplied = true, .catalog = &catalog_, .relations = &relations};
  const auto details = [&](std::string_view sql, bool incomplete = false) {
    Options own = options;
    own.incomplete = incomplete;
    std::vector<std::string> found;
    for (const Finding& finding : lint(sql, "t.sql", own).findings)
      if (finding.rule == "unknown_name")
        found.push_back(std::string(to_string(finding.severity)) + " " + finding.detail);
    return found;
  };
  const auto told = [](std::string_view text) { return testing::ElementsAre(HasSubstr(std::string(text))); };
  EXPECT_THAT(details("TRUNCATE ordres;"), told("error ordres; did you mean orders?"));
  EXPECT_THAT(details("TRUNCATE shop.orders;"), told("there is public.orders"));
  EXPECT_THAT(details("UPDATE \"Orders\" SET id = 1 WHERE id = 2;"),
              told("\"Orders\"; did you mean orders?"));
  EXPECT_THAT(details("UPDATE orders SET \"customer id\" = 1 WHERE id = 2;"),
              told("did you mean \"Customer Id\"?"));
  EXPECT_THAT(details("SELECT statsu FROM orders;"), told("column statsu of table orders"));
  EXPECT_THAT(details("ALTER TABLE orders VALIDATE CONSTRAINT cheked;"), told("did you mean checked?"));
  EXPECT_THAT(details("CREATE TABLE n (o bigint REFERENCES orders (ident));"), told("column ident"));
  EXPECT_THAT(
      details("BEGIN; ALTER TABLE orders ADD note text; ROLLBACK; COMMENT ON COLUMN orders.note IS '';"),
      told("column note"));
  // Perhaps it has run already.
  EXPECT_THAT(details("ALTER TABLE orders DROP COLUMN gone;"), told("warning"));
  EXPECT_THAT(details("ALTER TABLE orders RENAME COLUMN state TO status;"), told("warning"));
  EXPECT_THAT(details("ALTER TABLE orders RENAME COLUMN state TO stats;"), told("error"));
  for (const char* silent :
       {"SELECT a FROM ext_table", "SELECT count(*) FROM pg_class", "DROP TABLE IF EXISTS ordres",
        "ALTER TABLE orders DROP COLUMN IF EXISTS x", "SELECT ctid, orders FROM orders",
        "SELECT x FROM orders, (SELECT 1 AS x) s", "SELECT id AS n FROM orders ORDER BY n",
        "SELECT n FROM orders AS o(n)", "WITH w AS (SELECT 1 AS n) SELECT n FROM w, orders",
        "DO $$ BEGIN CREATE TABLE fresh (id int); END $$; TRUNCATE fresh",
        "DO $$ BEGIN EXECUTE 'CREATE TABLE ' || 'fresh'; END $$; TRUNCATE something",
        "CREATE EXTENSION x; TRUNCATE something", "CALL setup(); TRUNCATE something",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS '1'; SELECT f(); TRUNCATE something",
        "SELECT * FROM ONLY (orders); VACUUM WRONG SYNTAX; TRUNCATE something",
        "ALTER TABLE orders ADD UNIQUE (status); DROP INDEX orders_status_key",
        "ALTER TABLE orders RENAME TO sold; TRUNCATE sold; UPDATE sold SET status = '' WHERE id = 1",
        "CREATE TEMP TABLE t (n int); SET search_path = x; SELECT n FROM t; DROP TABLE t"})
    EXPECT_THAT(details(silent), IsEmpty()) << silent;
  EXPECT_THAT(details("TRUNCATE ordres;", true), IsEmpty());
}

// Several files of one run make each other's names.
TEST_F(CatalogRules, ANameOfAnotherFileIsKnown) {
  std::set<std::string, std::less<>> relations{"orders"};
  const Options options{.timeouts_supplied = true, .catalog = &catalog_, .relations = &relations};
  const auto left = [&](std::vector<std::string_view> files) {
    std::vector<Report> reports;
    for (const auto& sql : files) reports.push_back(lint(sql, "V1.sql", options));
    settle_names(reports);
    std::size_t count = 0;
    for (const Report& report : reports)
      count += static_cast<std::size_t>(std::ranges::count(report.findings, "unknown_name", &Finding::rule));
    return count;
  };
  EXPECT_EQ(left({"UPDATE orders SET note = '' WHERE id = 1;"}), 1U);
  EXPECT_EQ(left({"ALTER TABLE orders ADD note text;", "UPDATE orders SET note = '' WHERE id = 1;"}), 0U);
  EXPECT_EQ(left({"UPDATE orders SET note = '' WHERE id = 1;", "ALTER TABLE orders DROP COLUMN note;"}), 1U);
  EXPECT_EQ(left({"CALL setup();", "UPDATE orders SET note = '' WHERE id = 1;"}), 0U);
  EXPECT_EQ(left({"UPDATE orders SET note = '' WHERE id = 1;", "CALL setup();"}), 1U);
}

}  // namespace
}  // namespace poundlock::lint
