#include "schema/references.h"

#include <gmock/gmock.h>

namespace poundlock::schema {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

References of(std::string_view sql) {
  const auto statement = parse_statement(sql);
  EXPECT_TRUE(statement) << sql << ": " << (statement ? "" : statement.error().message);
  return statement ? references(*statement) : References{};
}

// How the statement touches orders.status: "r", "w", "*" in that order.
std::string touch(std::string_view sql) {
  const Touch touch = touches(of(sql), {"public", "orders"}, "status");
  return std::string(touch.reads ? "r" : "") + (touch.writes ? "w" : "") + (touch.all_columns ? "*" : "");
}

TEST(Touches, ReadsAndWrites) {
  const std::pair<const char*, const char*> cases[] = {
      {"SELECT id FROM orders", ""},
      {"SELECT status FROM orders", "r"},
      {"SELECT o.status FROM public.orders o", "r"},
      {"SELECT id FROM orders WHERE status = $1", "r"},
      {"SELECT 'status' FROM orders", ""},
      {"SELECT status FROM customers", ""},
      {"SELECT status FROM app.orders", ""},
      {"SELECT c.status FROM orders o JOIN customers c USING (id)", ""},
      {"SELECT status FROM orders o JOIN customers c ON true", "r"},  // could be either: possible
      {"SELECT id FROM orders JOIN customers USING (status)", "r"},
      {"SELECT id FROM orders NATURAL JOIN customers", "*"},
      {"SELECT * FROM orders", "*"},
      {"SELECT count(*) FROM orders", ""},
      {"SELECT o.* FROM orders o, customers c", "*"},
      {"SELECT c.* FROM orders o, customers c", ""},
      {"SELECT o FROM orders o", "*"},
      {"SELECT row_to_json(orders) FROM orders", "*"},
      {"SELECT (o).status FROM orders o", "r"},
      {"SELECT legacy AS status FROM orders ORDER BY status", ""},
      {"SELECT legacy FROM orders ORDER BY status", "r"},
      {"INSERT INTO orders (id, status) VALUES (1, 'x')", "w"},
      {"INSERT INTO orders (id) VALUES (1)", ""},
      {"INSERT INTO orders VALUES (1, 'x')", "*"},
      {"INSERT INTO orders DEFAULT VALUES", ""},
      {"INSERT INTO orders (id) VALUES (1) RETURNING *", "*"},
      {"INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET status = excluded.status", "rw"},
      {"INSERT INTO orders (id) SELECT status FROM customers", ""},
      {"UPDATE orders SET status = 'x' WHERE id = 1", "w"},
      {"UPDATE orders SET (a, status) = (1, 2)", "w"},
      {"UPDATE orders SET a = status", "r"},
      {"DELETE FROM orders WHERE status = 'x'", "r"},
      {"MERGE INTO orders o USING src s ON o.id = s.id WHEN MATCHED THEN UPDATE SET status = s.x", "w"},
      {"COPY orders (id, status) FROM STDIN", "w"},
      {"COPY orders TO STDOUT", "*"},
      {"WITH c AS (SELECT id FROM orders) SELECT status FROM c", ""},
      {"WITH c AS (SELECT status FROM orders) SELECT 1 FROM c", "r"},
      {"WITH w AS (UPDATE orders SET status = 'x' RETURNING id) SELECT * FROM w", "w"},
      {"WITH orders AS (SELECT 1 AS status) SELECT status FROM orders", ""},
      {"SELECT 1 FROM c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.id = c.id AND status = 'x')", "r"},
      {"SELECT status FROM orders UNION SELECT a FROM b", "r"},
      {"SELECT id FROM orders FOR UPDATE OF orders", ""},
      {"EXPLAIN SELECT status FROM orders", "r"},
      {"CREATE VIEW v AS SELECT status FROM orders", "r"},
      {"PREPARE p AS SELECT status FROM orders", "r"},
      {"SELECT \"Status\" FROM orders", ""},
      {"SELECT sum(x) FILTER (WHERE status = 'a') OVER (PARTITION BY status) FROM orders", "r"},
      {"SELECT id FROM orders TABLESAMPLE system (1) WHERE status = 'a'", "r"},
      {"SELECT x FROM orders, LATERAL (SELECT status AS x) l", "r"},
  };
  for (const auto& [sql, expected] : cases) EXPECT_EQ(touch(sql), expected) << sql;
}

TEST(References, RelationsAndWriting) {
  const References update = of("UPDATE a SET x = 1 FROM app.b AS bb WHERE a.id = bb.id");
  EXPECT_THAT(update.relations,
              ElementsAre(RelationUse{{"", "a"}, "", true}, RelationUse{{"app", "b"}, "bb", false}));
  EXPECT_TRUE(update.writes);
  EXPECT_FALSE(of("SELECT 1 FROM a").writes);
  EXPECT_TRUE(of("WITH d AS (DELETE FROM a RETURNING 1) SELECT * FROM d").writes);
  EXPECT_TRUE(of("TRUNCATE a").writes);
  EXPECT_TRUE(uses_relation(of("ALTER TABLE orders ADD COLUMN x int"), {"public", "orders"}));
  EXPECT_FALSE(uses_relation(of("WITH a AS (SELECT 1) SELECT * FROM a"), {"", "a"}));
}

TEST(References, GivesTheirPlaces) {
  const std::string_view sql = "SELECT 'é', o . \"Status\" FROM orders o";
  const References found = of(sql);
  ASSERT_EQ(found.columns.size(), 1U);
  EXPECT_EQ(sql.substr(found.columns[0].range.begin, found.columns[0].range.size()), "o . \"Status\"");
  EXPECT_THAT(found.columns[0].relations, ElementsAre(QualifiedName{"", "orders"}));
}

}  // namespace
}  // namespace poundlock::schema
