#include "schema/identifier.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <iterator>

#include "schema/keywords.h"
#include "schema/scan.h"

namespace poundlock::schema {
namespace {

QualifiedName parsed(std::string_view text) {
  auto name = parse_qualified_name(text);
  EXPECT_TRUE(name) << text << ": " << (name ? "" : name.error().message);
  return name.value_or(QualifiedName{});
}

TEST(QuoteIdentifier, LeavesPlainNamesAndQuotesTheRest) {
  EXPECT_EQ(quote_identifier("orders"), "orders");
  EXPECT_EQ(quote_identifier("_x9"), "_x9");
  EXPECT_EQ(quote_identifier("Order Items"), "\"Order Items\"");
  EXPECT_EQ(quote_identifier("user"), "\"user\"");
  EXPECT_EQ(quote_identifier("name"), "name");
  EXPECT_EQ(quote_identifier("9lives"), "\"9lives\"");
  EXPECT_EQ(quote_identifier("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(quote_identifier("größe"), "\"größe\"");
  EXPECT_EQ(quote_identifier("camelCase"), "\"camelCase\"");
  EXPECT_EQ(quote_identifier("x; DROP TABLE y"), "\"x; DROP TABLE y\"");
}

TEST(QuoteIdentifier, KeywordTableAgreesWithTheScanner) {
  EXPECT_TRUE(std::ranges::is_sorted(kQuotedKeywords));
  for (const std::string_view word : {"select", "user", "table", "like", "between", "values", "timestamp"})
    EXPECT_TRUE(std::ranges::binary_search(kQuotedKeywords, word)) << word;
  // Every keyword of the linked grammar that has no bare use everywhere is in the table, and no other is.
  int quoted = 0;
  for (const std::string_view word : kQuotedKeywords) {
    const auto tokens = scan(word);
    ASSERT_TRUE(tokens) << word;
    ASSERT_EQ(tokens->size(), 1U) << word;
    if ((*tokens)[0].keyword == KeywordClass::kNone || (*tokens)[0].keyword == KeywordClass::kUnreserved)
      continue;  // became a keyword after PostgreSQL 15
    ++quoted;
  }
  EXPECT_EQ(quoted, 51 + 23 + 77);  // col_name, type_func_name and reserved words of PostgreSQL 15
}

TEST(QuoteLiteral, DoublesQuotesAndEscapesBackslashes) {
  EXPECT_EQ(quote_literal("pending"), "'pending'");
  EXPECT_EQ(quote_literal("it's"), "'it''s'");
  EXPECT_EQ(quote_literal("a\\b'c"), "E'a\\\\b''c'");
  EXPECT_EQ(quote_literal(""), "''");
}

TEST(ParseQualifiedName, ReadsWhatPostgresReads) {
  EXPECT_EQ(parsed("orders"), (QualifiedName{"", "orders"}));
  EXPECT_EQ(parsed("App.Orders"), (QualifiedName{"app", "orders"}));
  EXPECT_EQ(parsed("app.\"orders\""), (QualifiedName{"app", "orders"}));
  EXPECT_EQ(parsed("\"Order Items\""), (QualifiedName{"", "Order Items"}));
  EXPECT_EQ(parsed("\"a\"\"b\".c"), (QualifiedName{"a\"b", "c"}));
  EXPECT_EQ(parsed("\"a.b\".\"c.d\""), (QualifiedName{"a.b", "c.d"}));
  EXPECT_EQ(parsed("  orders "), (QualifiedName{"", "orders"}));
}

TEST(ParseQualifiedName, RefusesWhatHasNoName) {
  using namespace std::string_view_literals;
  for (const std::string_view text :
       {""sv, "  "sv, "."sv, "a."sv, ".a"sv, "a.b.c"sv, "\"a"sv, "\"\""sv, "a b"sv, "a;b"sv, "1a"sv,
        "\"a\"b"sv, "a\0b"sv, "\"a\0b\""sv, "\xff"sv, "a--b"sv, "a.b("sv}) {
    const auto name = parse_qualified_name(text);
    ASSERT_FALSE(name) << text;
    EXPECT_EQ(name.error().code, "schema.bad_name");
    EXPECT_FALSE(name.error().hint.empty());
  }
  EXPECT_TRUE(parse_qualified_name(std::string(63, 'a')));
  const auto too_long = parse_qualified_name(std::string(64, 'a'));
  ASSERT_FALSE(too_long);
  EXPECT_THAT(too_long.error().message, testing::HasSubstr("64 bytes"));
  EXPECT_FALSE(parse_identifier("a.b"));
  EXPECT_EQ(parse_identifier("\"a.b\"").value_or(""), "a.b");
}

TEST(QualifiedName, RendersSoThatItReadsBack) {
  for (const QualifiedName& name : {QualifiedName{"", "orders"}, QualifiedName{"App", "Order Items"},
                                    QualifiedName{"a\"b", "c.d"}, QualifiedName{"user", "select"}})
    EXPECT_EQ(parsed(name.to_sql()), name);
  EXPECT_EQ((QualifiedName{"app", "Order Items"}).to_sql(), "app.\"Order Items\"");
}

TEST(DeriveName, StaysUniqueAndShort) {
  EXPECT_EQ(derive_name("orders", "new_status", "sync"), "orders_new_status_sync");
  const std::string table(60, 't');
  const std::string a = derive_name(table, "column_a", "sync");
  const std::string b = derive_name(table, "column_b", "sync");
  EXPECT_EQ(a.size(), kIdentifierBytesMax);
  EXPECT_NE(a, b);
  EXPECT_EQ(a, derive_name(table, "column_a", "sync"));
  // Parts that join to the same text are different objects once the text no longer shows the parts.
  EXPECT_NE(derive_name({table, "b_c"}), derive_name({table + "_b", "c"}));
  std::string umlauts;
  while (umlauts.size() < 80) umlauts += "ü";
  EXPECT_TRUE(check_identifier(derive_name({"x", umlauts})));  // cut between characters
}

}  // namespace
}  // namespace poundlock::schema
