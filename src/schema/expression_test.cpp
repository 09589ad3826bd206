#include "schema/expression.h"

#include <gmock/gmock.h>

namespace poundlock::schema {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ParseExpression, ListsColumnsFunctionsAndTypes) {
  const auto parsed = parse_expression(
      "  CASE WHEN \"Legacy Status\" = 'legacy_status' THEN upper(orders.x) ELSE app.f(x)::varchar(32) END ");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_THAT(parsed->column_names, ElementsAre("Legacy Status", "x"));
  EXPECT_EQ(parsed->columns.size(), 3U);
  EXPECT_EQ(parsed->columns[1].qualifier, "orders");
  EXPECT_THAT(parsed->functions, ElementsAre(QualifiedName{"", "upper"}, QualifiedName{"app", "f"}));
  EXPECT_THAT(parsed->types, ElementsAre("pg_catalog.\"varchar\""));
}

TEST(ParseExpression, RefusesWhatIsNotOneExpression) {
  for (const char* text : {"", "a, b", "a FROM t", "a AS b", "a b", "a; DROP TABLE orders", "a;", "a -- note",
                           "a /* note */", "a WHERE true", "a UNION SELECT 1", "a ORDER BY 1", "a INTO t"}) {
    const auto parsed = parse_expression(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, "schema.not_one_expression") << text;
    EXPECT_FALSE(parsed.error().hint.empty());
  }
  for (const char* text : {"a) + (b", "(a", "a +", "SELECT 1", "'open"})
    EXPECT_EQ(parse_expression(text).error().code, "schema.syntax") << text;
}

TEST(ParseExpression, RefusesWhatOneRowCannotGive) {
  for (const char* text :
       {"(SELECT 1)", "a IN (SELECT b FROM t)", "EXISTS (SELECT 1)", "max(a)", "count(*)", "f(DISTINCT a)",
        "f(a) FILTER (WHERE b)", "rank() OVER ()", "unnest(a)", "$1", "*", "t.*", "pg_catalog.sum(a)"}) {
    const auto parsed = parse_expression(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, "schema.not_row_expression") << text;
  }
  for (const char* text : {"now()", "random() + a", "current_timestamp", "a || current_user", "nextval('s')",
                           "gen_random_uuid()", "current_setting('x')"})
    EXPECT_EQ(parse_expression(text).error().code, "schema.not_deterministic") << text;
  EXPECT_TRUE(parse_expression("app.max(a)"));  // a function of the user's that happens to be called so
}

TEST(ParseExpression, PlacesErrorsInsideTheExpression) {
  const auto row = parse_expression("coalesce('ää', max(a))");
  ASSERT_TRUE(row.error().where);
  EXPECT_EQ(row.error().where->line, 1);
  EXPECT_EQ(row.error().where->column, 16);
  const auto syntax = parse_expression("a +\n  b b b");
  ASSERT_TRUE(syntax.error().where);
  EXPECT_EQ(syntax.error().where->line, 2);
  EXPECT_EQ(syntax.error().where->column, 7);
}

TEST(QualifyColumns, FollowsTheTreeNotTheText) {
  const std::pair<const char*, const char*> cases[] = {
      {"legacy_status || 'x'", "NEW.\"legacy_status\" || 'x'"},
      {"legacy_status || 'legacy_status'", "NEW.\"legacy_status\" || 'legacy_status'"},
      {"LEGACY_status", "NEW.\"legacy_status\""},
      {"\"legacyStatus\" || \"a\"\"b\"", "NEW.\"legacyStatus\" || NEW.\"a\"\"b\""},
      {"orders.status", "NEW.\"status\""},
      {"public . orders . status + 1", "NEW.\"status\" + 1"},
      {"upper(upper)", "upper(NEW.\"upper\")"},
      {"status::status", "NEW.\"status\"::status"},
      {"'ä' || größe || $q$größe$q$", "'ä' || NEW.\"größe\" || $q$größe$q$"},
      {"tags[i] + (item).price", "NEW.\"tags\"[NEW.\"i\"] + (NEW.\"item\").price"},
      {"CASE status WHEN 'a' THEN 1 END", "CASE NEW.\"status\" WHEN 'a' THEN 1 END"},
      {"f(status => status)", "f(status => NEW.\"status\")"},
  };
  for (const auto& [text, expected] : cases)
    EXPECT_EQ(qualify_columns(text, "NEW").value_or("error"), expected);
}

TEST(RenameColumns, LeavesWhatIsNotAsked) {
  const auto renamed = rename_columns("a + b + a", [](const ExpressionColumn& column) {
    return column.name == "a" ? std::optional<std::string>("c") : std::nullopt;
  });
  EXPECT_EQ(renamed.value_or("error"), "c + b + c");
}

}  // namespace
}  // namespace poundlock::schema
