// The catalog as it is loaded from a real server, by an ordinary owner.
#include "postgres/catalog_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/pg_cluster.h"

namespace poundlock::scenario {
namespace {

using testing::ElementsAre;

class CatalogLoaderTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = PgCluster::start();
    ASSERT_TRUE(started) << started.error().to_string();
    cluster_ = started->release();
  }
  static void TearDownTestSuite() { delete cluster_; }
  void SetUp() override {
    session_ = std::move(*cluster_->database()->connect());
    must("DROP SCHEMA IF EXISTS shop CASCADE");
    must("CREATE SCHEMA shop");
  }
  void must(const std::string& sql) {
    auto done = session_->run(sql);
    ASSERT_TRUE(done) << sql << ": " << done.error().to_string();
  }
  schema::Catalog load(const postgres::CatalogFilter& filter = {}) {
    auto catalog = postgres::load_catalog(*session_, filter);
    EXPECT_TRUE(catalog) << catalog.error().to_string();
    return catalog ? std::move(*catalog) : schema::Catalog{};
  }
  static PgCluster* cluster_;
  std::unique_ptr<ports::Session> session_;
};
PgCluster* CatalogLoaderTest::cluster_ = nullptr;

TEST_F(CatalogLoaderTest, ReadsEveryPartOfATable) {
  must("CREATE TYPE shop.state AS ENUM ('new', 'it''s paid')");
  must("CREATE TABLE shop.customers (id bigint PRIMARY KEY)");
  must(
      "CREATE TABLE shop.\"Order Items\" (tenant int, \"Id\" bigint GENERATED ALWAYS AS IDENTITY, status "
      "text "
      "COLLATE \"C\" DEFAULT 'pending' NOT NULL, code varchar(32), st shop.state, total numeric(10,2) CHECK "
      "(total "
      "> 0), doubled numeric GENERATED ALWAYS AS (total * 2) STORED, customer bigint REFERENCES "
      "shop.customers, "
      "PRIMARY KEY (\"Id\", tenant)) WITH (fillfactor = 90)");
  must("CREATE INDEX items_code ON shop.\"Order Items\" (code, lower(status)) WHERE code IS NOT NULL");
  must("CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'");
  must(
      "CREATE TRIGGER touch BEFORE UPDATE ON shop.\"Order Items\" FOR EACH ROW EXECUTE FUNCTION "
      "shop.touch()");
  const auto catalog = load();
  EXPECT_EQ(catalog.database, "app");
  EXPECT_GE(catalog.server_version_num, 150000);
  const auto* table = catalog.table({"shop", "Order Items"});
  ASSERT_NE(table, nullptr);
  EXPECT_EQ(table->kind, 'r');
  EXPECT_EQ(table->owner, "app");
  EXPECT_THAT(table->primary_key, ElementsAre("Id", "tenant"));
  EXPECT_THAT(table->options, ElementsAre("fillfactor=90"));
  ASSERT_EQ(table->columns.size(), 8u);
  EXPECT_EQ(table->column("Id")->identity, "a");
  EXPECT_EQ(table->column("status")->default_expr, "'pending'::text");
  EXPECT_EQ(table->column("status")->collation, "pg_catalog.\"C\"");
  EXPECT_TRUE(table->column("status")->not_null);
  EXPECT_EQ(table->column("code")->type, "character varying(32)");
  EXPECT_EQ(table->column("st")->type, "shop.state");
  EXPECT_EQ(table->column("doubled")->generated, "s");
  EXPECT_THAT(table->index("items_code")->columns, ElementsAre("code", ""));
  EXPECT_EQ(table->index("items_code")->predicate, "(code IS NOT NULL)");
  EXPECT_TRUE(table->index("Order Items_pkey")->primary);
  EXPECT_EQ(table->constraint("Order Items_customer_fkey")->references, "shop.customers");
  EXPECT_EQ(table->constraint("Order Items_total_check")->kind, 'c');
  EXPECT_EQ(table->trigger("touch")->function, "shop.touch");
  ASSERT_EQ(catalog.types.size(), 1u);
  EXPECT_EQ(catalog.types[0].definition, "'new', 'it''s paid'");
  EXPECT_EQ(catalog.functions.size(), 1u);
}

TEST_F(CatalogLoaderTest, LeavesOutWhatExtensionsOwn) {
  for (const auto& table : load().tables)
    EXPECT_THAT(table.name, testing::Not(testing::StartsWith("pg_stat")));
  EXPECT_THAT(load().extensions,
              testing::Contains(testing::Field(&schema::Extension::name, "pg_stat_statements")));
}

TEST_F(CatalogLoaderTest, SeesItsOwnOpenTransactionAndFilters) {
  must("CREATE TABLE shop.a (x int)");
  must("CREATE TABLE shop.b (x int)");
  must("BEGIN");
  must("ALTER TABLE shop.a ADD y int");
  const auto catalog = load({.schemas = {"shop"}, .tables = {{"shop", "a"}}});
  must("ROLLBACK");
  ASSERT_EQ(catalog.tables.size(), 1u);
  EXPECT_EQ(catalog.tables[0].columns.size(), 2u);
  EXPECT_EQ(load({.schemas = {"shop"}}).table({"shop", "a"})->columns.size(), 1u);
}

TEST_F(CatalogLoaderTest, TellsInvalidIndexesAndPartitions) {
  must("CREATE TABLE shop.u (x int)");
  must("INSERT INTO shop.u VALUES (1), (1)");
  EXPECT_FALSE(session_->run("CREATE UNIQUE INDEX CONCURRENTLY u_x ON shop.u (x)"));
  must("CREATE TABLE shop.p (x int) PARTITION BY RANGE (x)");
  must("CREATE TABLE shop.p1 PARTITION OF shop.p FOR VALUES FROM (0) TO (9)");
  const auto catalog = load();
  EXPECT_FALSE(catalog.table({"shop", "u"})->index("u_x")->valid);
  EXPECT_EQ(catalog.table({"shop", "p"})->partition_key, "RANGE (x)");
  EXPECT_TRUE(catalog.table({"shop", "p1"})->is_partition);
}

}  // namespace
}  // namespace poundlock::scenario
