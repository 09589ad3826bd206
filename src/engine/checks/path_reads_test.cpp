#include "engine/checks/path_reads.h"

#include <gmock/gmock.h>

namespace poundlock::engine {
namespace {

ports::Rows rows(std::vector<std::string> columns, std::vector<std::vector<ports::Cell>> cells) {
  return {std::move(columns), std::move(cells), 0};
}

PathShape shape(std::string_view sql) {
  return *shape_of(sql, {{"public", "orders"}});
}

// "kind" or "kind?" where it is no error.
std::string verdict(const ports::Rows& legacy, const ports::Rows& fresh, std::string_view sql) {
  const auto out = compare_rows(legacy, shape(sql), fresh, shape(sql));
  return out.kind + (out.kind.empty() || out.error ? "" : "?");
}

constexpr const char* kPlain = "SELECT id, s FROM orders";
constexpr const char* kOrdered = "SELECT id, s FROM orders ORDER BY s";
constexpr const char* kHidden = "SELECT id, s FROM orders ORDER BY at";
constexpr const char* kLimited = "SELECT id, s FROM orders ORDER BY s LIMIT 2";

TEST(CompareRows, AsMultisetsWhereNoOrderIsStated) {
  const auto a = rows({"id", "s"}, {{"1", "x"}, {"2", "x"}}), b = rows({"id", "s"}, {{"2", "x"}, {"1", "x"}});
  EXPECT_EQ(verdict(a, b, kPlain), "");
  EXPECT_EQ(verdict(a, rows({"id", "s"}, {{"1", "x"}, {"1", "x"}}), kPlain), "rows_differ");
  EXPECT_EQ(verdict(a, rows({"id", "s"}, {{"1", "x"}}), kPlain), "rows_differ");
  EXPECT_EQ(verdict(a, rows({"id", "t"}, {{"1", "x"}, {"2", "x"}}), kPlain), "columns_differ");
  EXPECT_EQ(verdict(rows({"id"}, {{std::nullopt}}), rows({"id"}, {{""}}), "SELECT id FROM orders"),
            "rows_differ");
}

TEST(CompareRows, InTheirOrderWhereOneIsStated) {
  const auto a = rows({"id", "s"}, {{"1", "x"}, {"2", "x"}, {"3", "y"}});
  EXPECT_EQ(verdict(a, rows({"id", "s"}, {{"2", "x"}, {"1", "x"}, {"3", "y"}}), kOrdered), "");
  const auto turned = rows({"id", "s"}, {{"3", "y"}, {"2", "x"}, {"1", "x"}});
  EXPECT_EQ(verdict(a, turned, kOrdered), "order_differs");
  EXPECT_EQ(verdict(a, turned, kHidden), "order_differs?");
  EXPECT_EQ(verdict(a, turned, kPlain), "");
}

TEST(CompareRows, ALimitMayKeepOtherRowsThatAreEqualInTheOrder) {
  const auto a = rows({"id", "s"}, {{"1", "x"}, {"2", "x"}});
  EXPECT_EQ(verdict(a, rows({"id", "s"}, {{"3", "x"}, {"4", "x"}}), kLimited), "rows_differ?");
  EXPECT_EQ(verdict(a, rows({"id", "s"}, {{"3", "x"}, {"4", "y"}}), kLimited), "rows_differ");
  EXPECT_EQ(verdict(a, rows({"id", "s"}, {{"1", "x"}}), kLimited), "rows_differ");
  const auto said =
      compare_rows(a, shape(kPlain), rows({"id", "s"}, {{"1", "x"}, {"3", "x"}}), shape(kPlain));
  EXPECT_THAT(said.message, testing::HasSubstr("only legacy gives (2, x)"));
}

}  // namespace
}  // namespace poundlock::engine
