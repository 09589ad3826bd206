#include "engine/checks/path_shape.h"

#include <gmock/gmock.h>

namespace poundlock::engine {
namespace {

using testing::ElementsAre;

PathShape shape(std::string_view sql) {
  auto out = shape_of(sql, {{"public", "orders"}, {"public", "Order Items"}});
  EXPECT_TRUE(out) << sql << ": " << (out ? "" : out.error().message);
  return out ? std::move(*out) : PathShape{};
}

// "1=status 2?amount": = compared, @ any, : set, + inserted, ^ limit, > offset.
std::string parameters(std::string_view sql) {
  std::string out;
  for (const auto& [number, use] : shape(sql).parameters)
    out +=
        (out.empty() ? "" : " ") + std::to_string(number) + "=@:+^>"[static_cast<int>(use.kind)] + use.column;
  return out;
}

TEST(PathShape, ParametersStandForColumns) {
  const std::pair<const char*, const char*> cases[] = {
      {"SELECT 1 FROM orders WHERE status = $1 AND o.\"Total Sum\" >= $2", "1=status 2=Total Sum"},
      {"SELECT 1 FROM orders WHERE $1 = lower(status)", "1=status"},
      {"SELECT 1 FROM orders WHERE status = lower($1::text)", "1=status"},
      {"SELECT 1 FROM orders WHERE status = ANY ($1)", "1@status"},
      {"SELECT 1 FROM orders WHERE id IN ($1, $2) AND at BETWEEN $3 AND $4", "1=id 2=id 3=at 4=at"},
      {"SELECT 1 FROM orders WHERE status LIKE $1 || '%' LIMIT $2 OFFSET $3", "1=status 2^ 3>"},
      {"UPDATE orders SET status = $1, n = n + $2 WHERE id = $3", "1:status 2:n 3=id"},
      {"INSERT INTO orders (id, status) VALUES ($1, upper($2)) ON CONFLICT (id) DO UPDATE SET n = $3",
       "1+id 2+status 3:n"},
      {"DELETE FROM orders WHERE id = $1", "1=id"},
      {"SELECT f($1)", ""},
      {"SELECT '$1' FROM orders", ""},
  };
  for (const auto& [sql, wanted] : cases) EXPECT_EQ(parameters(sql), wanted) << sql;
  EXPECT_EQ(shape("SELECT f($3), $1::int").highest, 3);
}

TEST(PathShape, WhatItOrdersByIsFoundAmongItsOutputs) {
  EXPECT_THAT(shape("SELECT id, legacy AS status FROM orders ORDER BY status, 1").order_outputs,
              ElementsAre(1U, 0U));
  EXPECT_THAT(shape("SELECT id, legacy AS status FROM orders ORDER BY legacy DESC").order_outputs,
              ElementsAre(1U));
  EXPECT_THAT(shape("SELECT a FROM x UNION SELECT b FROM y ORDER BY a").order_outputs, ElementsAre(0U));
  const auto hidden = shape("SELECT id FROM orders ORDER BY at LIMIT 5");
  EXPECT_TRUE(hidden.ordered && hidden.limited);
  EXPECT_FALSE(hidden.order_is_output);
  EXPECT_FALSE(shape("SELECT id FROM orders WHERE id IN (SELECT 1 ORDER BY 1)").ordered);
}

TEST(PathShape, OutputsThatChangeByThemselves) {
  EXPECT_THAT(shape("SELECT id, now() AS at, status FROM orders").by_itself, ElementsAre(1U));
  EXPECT_THAT(shape("SELECT CURRENT_TIMESTAMP, id, (random() * 3)::int FROM orders").by_itself,
              ElementsAre(0U, 2U));
  EXPECT_THAT(shape("SELECT id, lower(status) FROM orders ORDER BY random() LIMIT 1").by_itself,
              ElementsAre());
  EXPECT_THAT(shape("SELECT *, now() FROM orders").by_itself, ElementsAre());
  EXPECT_THAT(shape("SELECT now() UNION SELECT at FROM orders").by_itself, ElementsAre());
}

TEST(PathShape, FormsThatTakeColumnsByPositionOrAllOfThem) {
  EXPECT_THAT(shape("SELECT * FROM orders").star, ElementsAre("orders"));
  EXPECT_THAT(shape("SELECT * FROM customers").star, ElementsAre());
  EXPECT_THAT(shape("SELECT count(*) FROM orders").star, ElementsAre());
  EXPECT_THAT(shape("UPDATE \"Order Items\" SET a = 1 RETURNING *").star, ElementsAre("\"Order Items\""));
  EXPECT_THAT(shape("SELECT row_to_json(o) FROM orders o").whole_row, ElementsAre("orders"));
  EXPECT_THAT(shape("INSERT INTO orders VALUES ($1)").unlisted, ElementsAre("orders"));
  EXPECT_TRUE(shape("WITH x AS (DELETE FROM orders RETURNING id) SELECT * FROM x").writes);
}

// A text with as many NULLs as that would be made for it.
TEST(PathShape, ANumberThatNoParameterHasIsRefused) {
  const auto shape = shape_of("SELECT 1 FROM orders WHERE id = $200000000", {});
  ASSERT_FALSE(shape);
  EXPECT_EQ(shape.error().code, "path.parameters");
  EXPECT_TRUE(shape_of("SELECT 1 FROM orders WHERE id = $65535", {}));
}

}  // namespace
}  // namespace poundlock::engine
