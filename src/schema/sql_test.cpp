#include "schema/sql.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "schema/tree.h"

namespace poundlock::schema {
namespace {

using testing::ElementsAre;

Script parsed(std::string_view text) {
  auto script = parse_script(text);
  EXPECT_TRUE(script) << (script ? "" : script.error().message);
  return script ? *std::move(script) : Script{};
}

std::vector<std::string> texts(const Script& script) {
  std::vector<std::string> found;
  for (const Statement& statement : script.statements) found.push_back(statement.text());
  return found;
}

// The scanner of the library loses where these end.
TEST(Sql, EscapedNamesAndTextsEndWhereTheyEnd) {
  for (const char* sql :
       {R"(ALTER TABLE t DROP COLUMN U&"d\0061t")", R"(DROP TABLE u&"a""b\0061")", R"(SELECT U&'d\0061t''s')",
        "SELECT U&'a' \n 'b'", R"(SELECT U&"a" "b")", R"(SELECT U&'a!0061' UESCAPE '!')"}) {
    const auto script = parse_script(std::string(sql) + " ; SELECT 1");
    ASSERT_TRUE(script);
    ASSERT_EQ(script->statements.size(), 2U) << sql;
    EXPECT_EQ(script->statements[0].text(), sql);
  }
  const auto drop = parse_statement(R"(DROP TABLE U&"d\0061t")");
  ASSERT_TRUE(drop);
  const auto* list = as<PgQuery__List>(as<PgQuery__DropStmt>(drop->node())->objects[0]);
  EXPECT_EQ(name_of(list->items, list->n_items).name, "dat");
}

TEST(ParseScript, SplitsAtTheSemicolonsThatEndStatements) {
  const Script script = parsed(
      "-- head\nSELECT ';' ; ; /* x; */ CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC\n"
      "SELECT CASE WHEN true THEN 1 END; SELECT 2; END;\n"
      "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); DO $$ BEGIN; END $$");
  EXPECT_TRUE(script.errors.empty());
  ASSERT_EQ(script.statements.size(), 4U);
  EXPECT_EQ(script.statements[0].text(), "SELECT ';'");
  EXPECT_EQ(script.statements[1].kind(), StatementKind::kCreateFunction);
  EXPECT_THAT(script.statements[1].text(), testing::EndsWith("SELECT 2; END"));
  EXPECT_EQ(script.statements[3].kind(), StatementKind::kDo);
  EXPECT_EQ(script.comments.size(), 2U);
  EXPECT_EQ(script.comments[0].line, 1);
}

TEST(ParseScript, PositionsCountCharactersNotBytes) {
  const Script script = parsed("SELECT 'größe', 'ß'; SELECT 1;\n  /* ü */ UPDATE t\nSET é = 1");
  ASSERT_EQ(script.statements.size(), 3U);
  EXPECT_EQ(script.statements[1].position(), (LineColumn{1, 22}));
  EXPECT_EQ(script.statements[2].position(), (LineColumn{2, 11}));
  EXPECT_EQ(script.statements[2].position(script.statements[2].text().find("= 1")), (LineColumn{3, 7}));
}

TEST(ParseScript, KeepsTheGoodStatementsAndPlacesTheErrors) {
  const Script script = parsed("SELECT 1;\nSELECT 'ääää' FRM x y z;\nSELECT 2;");
  EXPECT_THAT(texts(script), ElementsAre("SELECT 1", "SELECT 2"));
  ASSERT_EQ(script.errors.size(), 1U);
  EXPECT_EQ(script.errors[0].code, "schema.syntax");
  ASSERT_TRUE(script.errors[0].where);
  EXPECT_EQ(script.errors[0].where->line, 2);
  EXPECT_EQ(script.errors[0].where->column, 19);  // at x, counted in characters
}

TEST(ParseScript, AnOpenStringIsAnErrorWithItsPlace) {
  const Script script = parsed("SELECT 1;\nSELECT 'äbc");
  ASSERT_EQ(script.errors.size(), 1U);
  EXPECT_EQ(script.errors[0].where->line, 2);
  EXPECT_EQ(script.errors[0].where->column, 8);
}

// What cannot be read hides none of the statements beside it.
TEST(ParseScript, KeepsTheStatementsAroundWhatCannotBeRead) {
  for (const char* open : {"SELECT 'x;\nTRUNCATE b;", "SELECT \"x;\nTRUNCATE b;", "SELECT $$x;\nTRUNCATE b;",
                           "/* x;\nTRUNCATE b;", "SELECT U&'x;\nTRUNCATE b", "SELECT (X'1;\nTRUNCATE b;"}) {
    const Script script = parsed(std::string("TRUNCATE a;\n") + open);
    EXPECT_THAT(texts(script), ElementsAre("TRUNCATE a")) << open;
    ASSERT_EQ(script.errors.size(), 1U) << open;
    EXPECT_THAT(script.errors[0].message, testing::StartsWith("unterminated")) << open;
    EXPECT_EQ(script.errors[0].where->line, 2) << open;
    ASSERT_EQ(script.failed.size(), 1U);
    EXPECT_EQ(script.failed[0].end, script.text.size());
  }
  // A word that is none: of one statement alone, and at its place.
  for (const auto& [bad, column] : {std::pair{"SELECT 1a;", 8},
                                    {"SELECT \"\";", 8},
                                    {"SELECT 1_000, 0x1F;", 8},
                                    {"SELECT $1a;", 8},
                                    {"SELECT 'ä', E'a;\\'\\u12;', 2;", 19},
                                    {"SELECT (1;", 10},
                                    {"SELECT );", 8},
                                    {"SELECT 'é' \"\" 'b;';", 12}}) {
    const Script script = parsed(std::string("TRUNCATE a;\n") + bad + "\nTRUNCATE b; TRUNCATE c;");
    EXPECT_THAT(texts(script), ElementsAre("TRUNCATE a", "TRUNCATE b", "TRUNCATE c")) << bad;
    ASSERT_EQ(script.errors.size(), 1U) << bad;
    EXPECT_EQ(script.errors[0].where->line, 2) << bad;
    EXPECT_EQ(script.errors[0].where->column, column) << bad << script.errors[0].message;
    ASSERT_EQ(script.failed.size(), 1U);
    const std::string_view text = bad;
    EXPECT_EQ(script.text.substr(script.failed[0].begin, script.failed[0].size()),
              text.substr(0, text.size() - 1));
  }
  EXPECT_THAT(texts(parsed("SELECT (1; TRUNCATE a; SELECT ((2; TRUNCATE b; SELECT 'x")),
              ElementsAre("TRUNCATE a", "TRUNCATE b"));
  std::string many;
  for (int i = 0; i < 3'000; ++i) many += "SELECT (1a;\n";
  EXPECT_THAT(texts(parsed("TRUNCATE a;" + many)), ElementsAre("TRUNCATE a"));
}

TEST(ParseScript, ReadsAByteOrderMarkAsWhiteSpace) {
  EXPECT_THAT(texts(parsed("\xEF\xBB\xBFSELECT 1")), ElementsAre("SELECT 1"));
}

TEST(ParseStatement, RefusesWhatIsNotOneStatement) {
  using namespace std::string_view_literals;
  EXPECT_EQ(parse_statement("").error().code, "schema.one_statement");
  EXPECT_EQ(parse_statement("SELECT 1; SELECT 2").error().code, "schema.one_statement");
  EXPECT_EQ(parse_statement("SELECT FROM WHERE").error().code, "schema.syntax");
  EXPECT_EQ(parse_statement("SELECT '\0'"sv).error().code, "schema.bad_text");
  EXPECT_EQ(parse_statement("SELECT '\xff'").error().code, "schema.bad_text");
  const std::string long_number(kStatementBytesMax, '1');
  EXPECT_EQ(parse_statement("SELECT " + long_number).error().code, "schema.too_large");
}

TEST(ParseStatement, SurvivesDeepNesting) {
  std::string sum = "SELECT 1";
  while (sum.size() < 30'000) sum += "+1";
  EXPECT_EQ(parse_statement(sum).error().code, "schema.too_deep");
  std::string parentheses = "SELECT " + std::string(40'000, '(') + "1" + std::string(40'000, ')');
  EXPECT_EQ(parse_statement(parentheses).error().code, "schema.syntax");
  std::string terms = "SELECT 1 WHERE a = 0";
  for (int i = 0; i < 3'000; ++i) terms += " OR a = 1";  // flat in the tree: legitimate, however long
  EXPECT_TRUE(parse_statement(terms));
}

TEST(ParseStatement, KnowsKinds) {
  const std::pair<const char*, StatementKind> cases[] = {
      {"BEGIN", StatementKind::kBegin},
      {"START TRANSACTION", StatementKind::kBegin},
      {"END", StatementKind::kCommit},
      {"ROLLBACK TO s", StatementKind::kSavepoint},
      {"SET lock_timeout = '1s'", StatementKind::kSet},
      {"RESET ALL", StatementKind::kReset},
      {"VACUUM FULL t", StatementKind::kVacuum},
      {"ANALYZE t", StatementKind::kAnalyze},
      {"SELECT 1 INTO t", StatementKind::kCreateTableAs},
      {"ALTER TABLE t RENAME a TO b", StatementKind::kRename},
      {"ALTER TYPE e ADD VALUE 'x'", StatementKind::kAlterType},
      {"CREATE INDEX CONCURRENTLY i ON t (a)", StatementKind::kCreateIndex},
  };
  for (const auto& [sql, kind] : cases) {
    const auto statement = parse_statement(sql);
    ASSERT_TRUE(statement) << sql;
    EXPECT_STREQ(to_string(statement->kind()), to_string(kind)) << sql;
  }
}

TEST(Statement, FindsActionsAndWords) {
  const auto statement = parse_statement(
      "ALTER TABLE app.\"Order Items\" * ADD COLUMN a numeric(10, 2) DEFAULT f(1, 2), "
      "ALTER b /* c */ SET not null, ADD c int[] DEFAULT ARRAY[1, 2]");
  ASSERT_TRUE(statement);
  std::vector<std::string_view> found;
  for (const ByteRange action : statement->actions()) found.push_back(statement->slice(action));
  EXPECT_THAT(found, ElementsAre("ADD COLUMN a numeric(10, 2) DEFAULT f(1, 2)",
                                 "ALTER b /* c */ SET not null", "ADD c int[] DEFAULT ARRAY[1, 2]"));
  EXPECT_EQ(statement->slice(statement->words({"SET", "NOT", "NULL"})), "SET not null");
  EXPECT_EQ(statement->slice(statement->words({"absent"})), statement->text());
  EXPECT_EQ(statement->slice(statement->name_at(statement->text().find("app"))), "app.\"Order Items\"");
}

TEST(ParseScript, RunsOnSeveralThreadsAtOnce) {
  std::atomic<int> parsed_statements = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int round = 0; round < 50; ++round) {
        const auto script = parse_script("SELECT " + std::to_string(i) + "; UPDATE t SET a = 1; SELEC;");
        if (!script || script->errors.size() != 1) continue;
        parsed_statements += static_cast<int>(script->statements.size());
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(parsed_statements, 4 * 50 * 2);
}

TEST(StatementFingerprint, IgnoresConstantsAndSpace) {
  const auto a = statement_fingerprint("SELECT * FROM t WHERE a = 1 AND b IN (1, 2)");
  const auto b = statement_fingerprint("select *\nfrom t where a = $1 and b in ($2, $3, $4)");
  ASSERT_TRUE(a && b);
  EXPECT_EQ(*a, *b);
  EXPECT_NE(*a, statement_fingerprint("SELECT * FROM t WHERE a = 1").value_or(""));
  EXPECT_EQ(statement_fingerprint("SELEC").error().code, "schema.syntax");
}

TEST(NormaliseStatement, ReplacesConstants) {
  EXPECT_EQ(normalise_statement("SELECT a FROM t WHERE b = 'x' AND c = 3").value_or(""),
            "SELECT a FROM t WHERE b = $1 AND c = $2");
}

}  // namespace
}  // namespace poundlock::schema
