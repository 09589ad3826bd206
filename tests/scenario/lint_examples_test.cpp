// What the lint rules say of PostgreSQL, on a server: each good example runs, each rewrite of a bad one runs
// in its place, what a rule calls refused is refused with that SQLSTATE, and where a rule stays silent
// because the catalog shows a change to be free, the server's own debug messages agree.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "lint/in_place_for_test.h"
#include "postgres/catalog_loader.h"
#include "schema/sql.h"
#include "schema/tree.h"
#include "support/pg_cluster.h"

namespace poundlock::scenario {
namespace {

using lint::Finding;
using lint::Rule;
using ports::Session;

// The objects that the examples speak of, with rows, in a schema of their own.
constexpr std::string_view kWorld = R"sql(
DROP SCHEMA IF EXISTS shop CASCADE; DROP SCHEMA IF EXISTS app CASCADE; DROP SCHEMA IF EXISTS archive CASCADE;
CREATE SCHEMA shop; CREATE SCHEMA app; CREATE SCHEMA archive;
SET search_path = shop, pg_catalog;
CREATE TYPE mood AS ENUM ('sad', 'calm');
CREATE DOMAIN amount AS numeric;
ALTER DOMAIN amount ADD CONSTRAINT amount_check CHECK (VALUE IS DISTINCT FROM 13);
CREATE TABLE customers (id bigint PRIMARY KEY, name text);
INSERT INTO customers SELECT i, 'c' || i FROM generate_series(1, 20) i;
CREATE TABLE orders (id bigint NOT NULL, status text DEFAULT 'new', code text, customer bigint, total numeric,
  price numeric, amount numeric, a int, legacy_status text, new_status text, note text, old boolean,
  tags text[],
  cost shop.amount);
INSERT INTO orders (id, status, code, customer, total, price, amount, note)
  SELECT i, 'paid', 'x' || i, 1 + i % 20, i, i, 2, 'n' FROM generate_series(1001, 1500) i;
CREATE UNIQUE INDEX orders_pkey ON orders (id);
CREATE UNIQUE INDEX orders_code_key ON orders (code);
CREATE INDEX orders_status ON orders (status);
ALTER TABLE orders ADD CONSTRAINT orders_price_positive CHECK (price > 0) NOT VALID;
CREATE TABLE people (id bigint, feels mood);
CREATE TABLE tags (id bigint PRIMARY KEY, name text);
CREATE TABLE bookings (during tstzrange);
CREATE TABLE events (id bigint, at date) PARTITION BY RANGE (at);
CREATE TABLE events_2020 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE events_2026 (id bigint, at date NOT NULL);
INSERT INTO events_2026 SELECT i, '2026-05-01' FROM generate_series(1, 50) i;
CREATE TABLE "Old Events" (id bigint, at date);
CREATE MATERIALIZED VIEW totals AS SELECT id AS customer FROM customers;
CREATE UNIQUE INDEX totals_customer ON totals (customer);
CREATE MATERIALIZED VIEW app."Monthly Totals" AS SELECT 1 AS month;
CREATE UNIQUE INDEX monthly ON app."Monthly Totals" (month);
CREATE TABLE scratch (id bigint);
CREATE TABLE documents (id bigint);
)sql";

class LintExamplesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = PgCluster::start();
    ASSERT_TRUE(started) << started.error().to_string();
    cluster_ = std::move(*started);
  }
  static void TearDownTestSuite() { cluster_.reset(); }

  // A session in a world made anew; statements that an example makes itself are taken out of it first.
  std::unique_ptr<Session> world(const schema::Script& script) {
    auto session = cluster_->database("postgres")->connect();
    EXPECT_TRUE(session) << session.error().to_string();
    if (!session) return nullptr;
    run(**session, *schema::parse_script(kWorld), "the world");
    for (const schema::Statement& statement : script.statements) {
      for (const std::string& sql : undone(statement)) {
        const auto done = (*session)->run(sql);
        EXPECT_TRUE(done) << sql << ": " << done.error().to_string();
      }
    }
    return std::move(*session);
  }

  // What has to be gone for the statement to succeed.
  static std::vector<std::string> undone(const schema::Statement& statement) {
    std::vector<std::string> sql;
    lint::each_action(statement, [&](const lint::Action& action) {
      const auto* column = schema::as<PgQuery__ColumnDef>(action.command.def);
      if (action.command.subtype == PG_QUERY__ALTER_TABLE_TYPE__AT_AddColumn && column != nullptr)
        sql.push_back(fmt::format("ALTER TABLE IF EXISTS {} DROP COLUMN IF EXISTS {} CASCADE",
                                  action.table.to_sql(), schema::quote_identifier(column->colname)));
      const auto* added = schema::as<PgQuery__Constraint>(action.command.def);
      if (added != nullptr && added->contype == PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE &&
          schema::text_of(added->indexname).empty() && *added->conname != '\0')
        sql.push_back("DROP INDEX IF EXISTS " + schema::quote_identifier(added->conname));
    });
    const PgQuery__Node* node = statement.node();
    if (const auto* index = schema::as<PgQuery__IndexStmt>(node); index != nullptr && *index->idxname != '\0')
      sql.push_back("DROP INDEX IF EXISTS " + schema::quote_identifier(index->idxname));
    if (const auto* table = schema::as<PgQuery__CreateStmt>(node))
      sql.push_back("DROP TABLE IF EXISTS " + schema::name_of(*table->relation).to_sql() + " CASCADE");
    if (const auto* view = schema::as<PgQuery__ViewStmt>(node);
        view != nullptr && view->view->relname == std::string("totals"))
      sql.push_back("DROP MATERIALIZED VIEW IF EXISTS totals CASCADE");
    if (const auto* drop = schema::as<PgQuery__DropStmt>(node);
        drop != nullptr && drop->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_VIEW)
      sql.push_back("DROP MATERIALIZED VIEW IF EXISTS totals CASCADE");
    else if (drop != nullptr && drop->remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_TYPE)
      sql.push_back("DROP TABLE people");
    // What a person has to fill is taken as filled.
    if (statement.text().find("ADD CONSTRAINT orders_status_not_null") != std::string::npos ||
        statement.text().find("ADD CONSTRAINT orders_b_not_null") != std::string::npos)
      sql.push_back("TRUNCATE orders");
    return sql;
  }

  static void run(Session& session, const schema::Script& script, std::string_view what) {
    EXPECT_TRUE(script.errors.empty()) << what;
    for (const schema::Statement& statement : script.statements) {
      const auto done = session.run(statement.text());
      EXPECT_TRUE(done) << what << "\n" << statement.text() << "\n" << done.error().to_string();
      if (!done) return;
    }
  }

  // Needs what this machine may not have: a publisher to connect to, an extension's files.
  static bool runs_here(std::string_view sql) {
    return sql.find("SUBSCRIPTION") == std::string_view::npos &&
           sql.find("EXTENSION") == std::string_view::npos;
  }

  static std::unique_ptr<PgCluster> cluster_;
};
std::unique_ptr<PgCluster> LintExamplesTest::cluster_;

TEST_F(LintExamplesTest, GoodExamplesRun) {
  for (const Rule* rule : lint::all_rules()) {
    for (const std::string_view sql : rule->good) {
      if (!runs_here(sql)) continue;
      const auto script = schema::parse_script(sql);
      ASSERT_TRUE(script);
      if (auto session = world(*script)) run(*session, *script, fmt::format("{}: {}", rule->id, sql));
    }
  }
}

TEST_F(LintExamplesTest, RewritesRunInPlaceOfWhatTheyReplace) {
  std::size_t rewrites = 0;
  for (const Rule* rule : lint::all_rules()) {
    for (const std::string_view sql : rule->bad) {
      const auto script = schema::parse_script(sql);
      ASSERT_TRUE(script);
      for (const Finding& finding : lint::lint(sql, "example.sql", rule->examples).findings) {
        if (finding.rule != rule->id || finding.rewrite.empty() || !runs_here(finding.rewrite)) continue;
        ++rewrites;
        const auto whole = schema::parse_script(lint::in_place(*script, finding));
        ASSERT_TRUE(whole);
        if (auto session = world(*whole)) run(*session, *whole, fmt::format("{}: {}", rule->id, sql));
      }
    }
  }
  EXPECT_GT(rewrites, 30U);
}

TEST_F(LintExamplesTest, WhatIsCalledRefusedIsRefused) {
  for (const auto& [id, sqlstate] :
       {std::pair{"concurrently_in_transaction", "25001"}, std::pair{"vacuum_in_transaction", "25001"},
        std::pair{"enum_value_in_transaction", "55P04"}, std::pair{"duplicate_set", "42601"},
        std::pair{"prepared_select_star", "0A000"}, std::pair{"unknown_name", "42P01"}}) {
    const Rule& rule = *lint::find_rule(id);
    std::string sql(rule.bad.front());
    if (rule.id == "prepared_select_star") sql += "EXECUTE all_orders(1);";
    const auto script = schema::parse_script(sql);
    auto session = world(*script);
    ASSERT_NE(session, nullptr);
    if (rule.id == "prepared_select_star") {
      // The plan has to be made before the change.
      ASSERT_TRUE(session->run(script->statements[0].text()));
      ASSERT_TRUE(session->run("EXECUTE all_orders(1)"));
    }
    std::string met;
    for (const schema::Statement& statement : script->statements) {
      const auto done = session->run(statement.text());
      if (!done && met.empty() && done.error().sqlstate != "42P05") met = done.error().sqlstate;
    }
    EXPECT_EQ(met, sqlstate) << sql;
  }
}

struct Free {
  const char* before;  // makes the table t
  const char* change;
};

constexpr Free kChanges[] = {
    {"CREATE TABLE t (c varchar(10))", "ALTER c TYPE varchar(20)"},
    {"CREATE TABLE t (c varchar(10))", "ALTER c TYPE varchar(5)"},
    {"CREATE TABLE t (c varchar(10)); CREATE INDEX ON t (c)", "ALTER c TYPE text"},
    {"CREATE TABLE t (c varchar(10)); CREATE INDEX ON t (lower(c))", "ALTER c TYPE text"},
    {"CREATE TABLE t (c varchar(10), d int); CREATE INDEX ON t (d) WHERE c <> ''", "ALTER c TYPE text"},
    {"CREATE TABLE t (c varchar(10) CHECK (c <> 'x'))", "ALTER c TYPE varchar(20)"},
    {"CREATE TABLE t (c varchar(10)); ALTER TABLE t ADD CHECK (c <> 'x') NOT VALID", "ALTER c TYPE text"},
    {"CREATE TABLE t (c text)", "ALTER c TYPE varchar"},
    {"CREATE TABLE t (c text)", "ALTER c TYPE varchar(10)"},
    {"CREATE TABLE t (c text)", "ALTER c TYPE text COLLATE \"C\""},
    {"CREATE TABLE t (c text); CREATE INDEX ON t (c)", "ALTER c TYPE text COLLATE \"C\""},
    {"CREATE TABLE t (c numeric(10, 2)); CREATE INDEX ON t (c)", "ALTER c TYPE numeric(12, 2)"},
    {"CREATE TABLE t (c numeric(10, 2))", "ALTER c TYPE numeric"},
    {"CREATE TABLE t (c numeric(10, 2))", "ALTER c TYPE numeric(12, 3)"},
    {"CREATE TABLE t (c timestamp(3))", "ALTER c TYPE timestamp(6)"},
    {"CREATE TABLE t (c timestamp(6))", "ALTER c TYPE timestamp(3)"},
    {"CREATE TABLE t (c timestamp)", "ALTER c TYPE timestamptz"},
    {"CREATE TABLE t (c timestamp); CREATE INDEX ON t (c)", "ALTER c TYPE timestamptz"},
    {"CREATE TABLE t (c varbit(8))", "ALTER c TYPE varbit(16)"},
    {"CREATE TABLE t (c cidr); CREATE INDEX ON t (c)", "ALTER c TYPE inet"},
    {"CREATE TABLE t (c int)", "ALTER c TYPE bigint"},
    {"CREATE TABLE t (c int)", "ALTER c TYPE int USING c + 0"},
    {"CREATE TABLE t (c char(5))", "ALTER c TYPE char(9)"},
    {"CREATE TABLE t (c varchar(5)[])", "ALTER c TYPE text[]"},
    {"CREATE TABLE t (c int)", "ALTER c SET NOT NULL"},
    {"CREATE TABLE t (c int NOT NULL)", "ALTER c SET NOT NULL"},
    {"CREATE TABLE t (c int CHECK (c IS NOT NULL))", "ALTER c SET NOT NULL"},
    {"CREATE TABLE t (c int CHECK (c IS NOT NULL AND c > 0))", "ALTER c SET NOT NULL"},
    {"CREATE TABLE t (c int CHECK (c > 0))", "ALTER c SET NOT NULL"},
    {"CREATE TABLE t (c int CHECK (c IS NOT NULL OR c > 0))", "ALTER c SET NOT NULL"},
    {"CREATE TABLE t (c int); ALTER TABLE t ADD CHECK (c IS NOT NULL) NOT VALID", "ALTER c SET NOT NULL"},
    {"CREATE TABLE t (c int); CREATE UNIQUE INDEX i ON t (c)", "ADD CONSTRAINT k PRIMARY KEY USING INDEX i"},
    {"CREATE TABLE t (c int NOT NULL); CREATE UNIQUE INDEX i ON t (c)",
     "ADD CONSTRAINT k PRIMARY KEY USING INDEX i"},
    {"CREATE TABLE t (c int); CREATE UNIQUE INDEX i ON t (c)", "ADD CONSTRAINT k UNIQUE USING INDEX i"},
    {"CREATE TABLE t (c int); CREATE DOMAIN d AS int CHECK (VALUE > 0)", "ADD COLUMN n shop.d"},
    {"CREATE TABLE t (c int); CREATE DOMAIN d AS int", "ADD COLUMN n shop.d"},
    {"CREATE TABLE t (c int); CREATE DOMAIN d AS int NOT NULL DEFAULT 1", "ADD COLUMN n shop.d"},
};

// The rules that judge by the catalog: silent exactly where the server reads, rewrites and builds nothing.
TEST_F(LintExamplesTest, SilentWhereTheServerDoesNothing) {
  for (const Free& one : kChanges) {
    auto session = cluster_->database("postgres")->connect();
    ASSERT_TRUE(session);
    const std::string before = fmt::format(
        "DROP SCHEMA IF EXISTS shop CASCADE; CREATE SCHEMA shop; SET search_path = shop, pg_catalog; {};\n"
        "SET TimeZone = 'UTC'",
        one.before);
    run(**session, *schema::parse_script(before), one.before);
    ASSERT_TRUE((*session)->run("SET search_path = pg_catalog"));
    const auto catalog = postgres::load_catalog(**session, {});
    ASSERT_TRUE(catalog) << catalog.error().to_string();

    const std::string change = fmt::format("ALTER TABLE shop.t {}", one.change);
    const lint::Report report = lint::lint("SET TimeZone = 'UTC'; " + change, "t.sql",
                                           {.timeouts_supplied = true, .catalog = &*catalog});
    const bool silent = std::ranges::none_of(report.findings, [](const Finding& finding) {
      return finding.rule == "unsafe_type_change" || finding.rule == "set_not_null" ||
             finding.rule == "add_unique_or_primary_key" || finding.rule == "volatile_default";
    });
    ASSERT_TRUE((*session)->run("SET client_min_messages = debug1"));
    (*session)->take_notices();
    const auto done = (*session)->run(change);
    ASSERT_TRUE(done) << change << done.error().to_string();
    std::string work;
    for (const std::string& notice : (*session)->take_notices())
      for (const char* sign : {"rewriting table", "verifying table", "building index"})
        // The system's own tables of toasted values are rebuilt without reading a row of ours.
        if (notice.find(sign) != std::string::npos && notice.find("pg_toast") == std::string::npos)
          work += notice + "\n";
    EXPECT_EQ(silent, work.empty()) << one.before << "; " << change << "\n" << work;
  }
}

}  // namespace
}  // namespace poundlock::scenario
