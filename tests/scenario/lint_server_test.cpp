// lint against a real server: the catalog makes it silent where a change is safe and tells seconds where it
// is not; the server's own parser is asked about what the grammar here cannot read, and nothing of it runs.
#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "cli/run_for_test.h"
#include "support/pg_cluster.h"

namespace poundlock::scenario {
namespace {

namespace bj = boost::json;
using testing::HasSubstr;

class LintOnAServer : public cli::CommandLineTest {
 protected:
  static void SetUpTestSuite() {
    auto started = PgCluster::start();
    ASSERT_TRUE(started) << started.error().to_string();
    cluster_ = started->release();
    must(
        "CREATE TABLE public.\"Order Items\" (id bigint PRIMARY KEY, status varchar(32), total int, note "
        "text)");
    must(
        "INSERT INTO public.\"Order Items\" SELECT i, 'st', i, repeat('x', 200) FROM generate_series(1, "
        "20000) i");
    must("ALTER TABLE public.\"Order Items\" ADD CONSTRAINT total_there CHECK (total IS NOT NULL)");
    must("ANALYZE public.\"Order Items\"");
  }
  static void TearDownTestSuite() {
    delete cluster_;
    cluster_ = nullptr;
  }
  static ports::Rows must(const std::string& sql) {
    auto session = cluster_->database()->connect();
    EXPECT_TRUE(session) << session.error().to_string();
    auto done = session ? (*session)->run(sql, {}) : Result<ports::Rows>(fail(session.error()));
    EXPECT_TRUE(done) << sql << ": " << done.error().to_string();
    return done ? std::move(*done) : ports::Rows{};
  }

  bj::array lint(const std::string& sql, const std::vector<std::string>& more = {"--database-url"}) {
    write("a.sql", sql);
    std::vector<std::string> arguments{"lint", "a.sql", "--disable", "missing_timeouts", "--output", "json"};
    for (const auto& one : more) {
      arguments.push_back(one);
      if (one == "--database-url" || one == "--shadow") arguments.push_back(url());
    }
    const cli::Ran ran = run(arguments);
    EXPECT_LE(ran.code, 1) << ran.err;
    return ran.code <= 1 ? bj::parse(ran.out).as_array() : bj::array{};
  }
  // The finding of that rule.
  std::optional<bj::object> of(const std::string& rule, const std::string& sql,
                               const std::vector<std::string>& more = {"--database-url"}) {
    for (const auto& one : lint(sql, more))
      if (one.at("rule").as_string() == rule) return one.as_object();
    return std::nullopt;
  }
  static std::string url() {
    return "postgresql://app@127.0.0.1:" + std::to_string(cluster_->port()) + "/app";
  }

  static inline PgCluster* cluster_ = nullptr;
};

TEST_F(LintOnAServer, TheCatalogDecidesWhatIsSafe) {
  const std::string growth = "ALTER TABLE \"Order Items\" ALTER status TYPE varchar(64);";
  EXPECT_FALSE(of("unsafe_type_change", growth));
  EXPECT_TRUE(of("unsafe_type_change", growth, {}));
  EXPECT_TRUE(of("unsafe_type_change", "ALTER TABLE \"Order Items\" ALTER total TYPE bigint;"));
}

TEST_F(LintOnAServer, SecondsUnderTheLockComeFromTheSize) {
  const std::string sql = "ALTER TABLE \"Order Items\" ALTER total TYPE bigint;";
  const auto found = of("unsafe_type_change", sql);
  ASSERT_TRUE(found);
  EXPECT_GT(found->at("seconds").as_double(), 0.05);
  EXPECT_LT(found->at("seconds").as_double(), 5);
  EXPECT_THAT(std::string(found->at("basis").as_string()), HasSubstr("public.\"Order Items\""));
  EXPECT_FALSE(of("unsafe_type_change", sql, {}).value().contains("seconds"));
}

// What the server would say when it is too late; what an extension, another file or psql may make is known.
TEST_F(LintOnAServer, ANameThatTheDatabaseDoesNotHaveIsTold) {
  must("CREATE EXTENSION IF NOT EXISTS pg_stat_statements WITH SCHEMA public");
  const auto message = [&](const std::string& sql) {
    const auto found = of("unknown_name", sql);
    return found ? std::string(found->at("message").as_string()) : std::string();
  };
  const auto typo = of("unknown_name", "SELECT 1;\nUPDATE \"Order Items\" SET statsu = '' WHERE id = 1;");
  ASSERT_TRUE(typo);
  EXPECT_EQ(typo->at("line").as_int64(), 2);
  EXPECT_EQ(typo->at("column").as_int64(), 26);
  EXPECT_THAT(std::string(typo->at("message").as_string()), HasSubstr("did you mean status?"));
  EXPECT_THAT(message("TRUNCATE \"Order items\";"), HasSubstr("did you mean \"Order Items\"?"));
  EXPECT_FALSE(of("unknown_name", "TRUNCATE \"Order items\";", {}));
  for (const char* silent :
       {"SELECT queryid FROM pg_stat_statements;", "SELECT relname FROM pg_catalog.pg_class;",
        "DROP INDEX CONCURRENTLY \"Order Items_pkey\";", "\\i other.sql\nTRUNCATE fresh;",
        "TRUNCATE ${schema}.fresh;", "CREATE TABLE fresh (id int); TRUNCATE fresh;"})
    EXPECT_EQ(message(silent), "") << silent;
  write("m/V1__make.sql", "CREATE TABLE fresh (id int);");
  write("m/V2__use.sql", "ALTER TABLE fresh ADD COLUMN a int;");
  write("m/V3__wrong.sql", "ALTER TABLE frsh ADD COLUMN a int;");
  const cli::Ran ran = run({"lint", "m", "--database-url", url(), "--output", "json"});
  std::vector<std::string> files;
  const bj::value findings = bj::parse(ran.out);
  for (const auto& one : findings.as_array())
    if (one.at("rule").as_string() == "unknown_name") files.emplace_back(one.at("file").as_string());
  EXPECT_THAT(files, testing::ElementsAre(HasSubstr("V3__wrong.sql")));
  write("c.sql",
        "--liquibase formatted sql\n--changeset a:1\nCREATE TABLE fresh (id int);\n"
        "--changeset a:2\nALTER TABLE fresh ADD COLUMN a int;\n");
  EXPECT_THAT(run({"lint", "c.sql", "--database-url", url()}).out, testing::Not(HasSubstr("unknown_name")));
}

// What nests deeper than the parser here allows is read by the server, as is syntax of a newer version.
TEST_F(LintOnAServer, TheServersParserIsAskedAndNothingRuns) {
  std::string sum = "SELECT 1";
  while (sum.size() < 8'000) sum += "+1";
  const auto first = [&](const std::string& sql, const std::vector<std::string>& more) {
    const auto found = lint(sql, more);
    EXPECT_EQ(found.size(), 1U) << sql.substr(0, 80);
    return found.empty() ? std::string() : std::string(found[0].at("rule").as_string());
  };
  EXPECT_EQ(first(sum, {}), "too_large");
  EXPECT_EQ(first(sum, {"--database-url"}), "newer_syntax");
  EXPECT_EQ(first(sum, {"--shadow"}), "newer_syntax");
  const auto refused = lint("DROP TABEL \"Order Items\";");
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_EQ(refused[0].at("rule").as_string(), "syntax");
  EXPECT_THAT(std::string(refused[0].at("message").as_string()), HasSubstr("refuses it, too"));
  // Statements that change or end something, made unreadable here by their depth alone.
  std::string deep = sum.substr(7);
  for (const std::string& sql :
       {"CREATE TABLE made AS SELECT " + deep, "INSERT INTO \"Order Items\" (id) SELECT -(" + deep + ")",
        "UPDATE \"Order Items\" SET total = " + deep + " WHERE id = 1",
        "DO LANGUAGE plpgsql $$ BEGIN DELETE FROM \"Order Items\"; END $$; COMMIT; SELECT " + deep})
    lint(sql);
  EXPECT_EQ(must("SELECT count(*) FROM pg_class WHERE relname = 'made'").rows[0][0], "0");
  EXPECT_EQ(must("SELECT count(*) FROM public.\"Order Items\"").rows[0][0], "20000");
  EXPECT_EQ(must("SELECT total FROM public.\"Order Items\" WHERE id = 1").rows[0][0], "1");
}

}  // namespace
}  // namespace poundlock::scenario
