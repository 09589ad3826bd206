// What a hostile or an unlucky name, value or table must not make of a written file.
#include <gmock/gmock.h>

#include "migration/plan_for_test.h"
#include "migration/write.h"
#include "schema/sql.h"

namespace poundlock::migration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

SqlPlan plan_of(std::string sql, const schema::Catalog* catalog = nullptr) {
  return planned(std::move(sql), catalog, false);
}

std::string written(const SqlPlan& plan, Format format = Format::kSql) {
  const std::string version = format == Format::kRails ? "20261122210000" : "7";
  const auto files = write_plan(plan, format, {.name = "m", .version = version});
  EXPECT_TRUE(files) << files.error().to_string();
  std::string out;
  if (files)
    for (const auto& file : *files) out += file.name.ends_with(".conf") ? "" : file.text;
  return out;
}

// Lines of psql's own, which nothing of an author's may stand in.
std::string without_psql(std::string text) {
  for (const char* command : {"\\set ON_ERROR_STOP on\n", "\\if :poundlock_done\n",
                              "\\echo this is there already\n", "\\else\n", "\\endif\n", "\\gset\n"}) {
    const std::string_view word = command;
    const std::string in_place = word == "\\gset\n" ? ";    \n" : std::string(word.size() - 1, ' ') + "\n";
    for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1))
      text.replace(at, word.size(), in_place);
  }
  return text;
}

// PostgreSQL ends a comment at a carriage return too: only in quotes may one stand.
TEST(WriteSafety, EndsNoCommentByACarriageReturnInAName) {
  const auto plan = plan_of("ALTER TABLE orders ADD COLUMN \"z\rDROP TABLE child; --\" int DEFAULT 3;");
  for (const auto format : {Format::kSql, Format::kFlyway, Format::kLiquibase}) {
    const std::string text = written(plan, format);
    const auto script = schema::parse_script(without_psql(text));
    ASSERT_TRUE(script);
    EXPECT_THAT(script->errors, IsEmpty()) << text;
    for (const auto& statement : script->statements)
      EXPECT_NE(statement.kind(), schema::StatementKind::kDrop) << text;
    for (const auto& comment : script->comments)
      EXPECT_EQ(text.substr(comment.range.begin, comment.range.size()).find('\r'), text.npos);
  }
  // Java reads a carriage return as the end of a line: a rollback would be that of another name.
  EXPECT_THAT(written(plan, Format::kLiquibase), Not(HasSubstr("--rollback ALTER")));
}

TEST(WriteSafety, LeavesNoControlCharacterInAProgram) {
  const auto plan = plan_of("ALTER TABLE orders ADD COLUMN \"z\r\x01\\\"\"\"\"\"\"x\" int DEFAULT 3;");
  for (const auto format : {Format::kAlembic, Format::kRails}) {
    const std::string text = written(plan, format);
    for (const char c : text) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << text;
    EXPECT_THAT(text, HasSubstr("\\r\\x01"));
  }
  const std::string python = written(plan, Format::kAlembic);
  EXPECT_THAT(python.substr(3, python.find('\n') - 6), AllOf(Not(HasSubstr("\"")), Not(HasSubstr("\\"))));
}

TEST(WriteSafety, KeepsTheNameOfAPlanInItsChangeset) {
  const auto files = write_plan(plan_of("ALTER TABLE orders ADD COLUMN a int;"), Format::kLiquibase,
                                {.name = "m\n--changeset x:1"});
  ASSERT_TRUE(files);
  EXPECT_THAT(files->front().text, Not(HasSubstr("\n--changeset x:1")));
}

TEST(WriteSafety, QuotesBlocksByATagThatTheirTextDoesNotHold) {
  const std::string text =
      written(plan_of("UPDATE \"a%b\" SET note = '$poundlock$; DROP TABLE child; --' WHERE note IS NULL;"));
  EXPECT_THAT(text, AllOf(HasSubstr("DO $poundlock2$"), HasSubstr("END $poundlock2$;"),
                          HasSubstr("RAISE EXCEPTION USING MESSAGE = '"), Not(HasSubstr("EXCEPTION 'rows")),
                          HasSubstr("IF changed > 0 AND are_left >= were_left THEN")));
}

}  // namespace
}  // namespace poundlock::migration
