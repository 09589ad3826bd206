// Plans of plain SQL carried out by the engine on a real server: every probe says no before its step and yes
// behind it, a second run changes nothing, and the schema ends as if the author's own SQL had run.
#include "migration/sql_plan.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/sql_plan_fixture.h"

namespace poundlock::scenario {
namespace {

using migration::SqlPlan;

constexpr const char* kShop =
    "CREATE TYPE state AS ENUM ('new', 'paid');"
    "CREATE TABLE customers (id bigint PRIMARY KEY, \"fullName\" text);"
    "CREATE TABLE \"Order Items\" (id bigint PRIMARY KEY, \"userId\" bigint, status varchar(32) DEFAULT "
    "'new',"
    " total int NOT NULL DEFAULT 0);"
    "CREATE TABLE heap (a int, b text);"
    "CREATE TABLE years (id int, at date) PARTITION BY RANGE (at);"
    "CREATE TABLE years_1 PARTITION OF years FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');"
    "CREATE INDEX items_total ON \"Order Items\" (total);"
    "CREATE VIEW totals AS SELECT sum(total) FROM \"Order Items\";"
    "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
    "CREATE TRIGGER touch BEFORE UPDATE ON \"Order Items\" FOR EACH ROW EXECUTE FUNCTION touch();"
    "INSERT INTO customers SELECT g, 'n' || g FROM generate_series(1, 50) g;"
    "INSERT INTO \"Order Items\" SELECT g, g % 50 + 1, 'paid', g FROM generate_series(1, 3000) g;"
    "INSERT INTO heap SELECT g, g::text FROM generate_series(1, 3000) g";

class SqlPlanTest : public SqlPlanFixture, public testing::WithParamInterface<const char*> {
 protected:
  using SqlPlanFixture::make;
  static void make(const std::string& name) { make(name, kShop); }
  void carry_out(const change::Step& step, engine::Direction direction) {
    const auto done = SqlPlanFixture::carry_out("planned", step, direction);
    EXPECT_TRUE(done) << step.title << ": " << done.error().to_string();
  }
};

TEST_P(SqlPlanTest, EndsAsTheAuthorMeantItAndGoesBack) {
  make("written");
  make("planned");
  make("untouched");
  run_all("written", GetParam());
  for (const bool with_catalog : {false, true}) {
    SCOPED_TRACE(with_catalog ? "with a catalog" : "without any database");
    if (with_catalog) make("planned");
    // Whose sequence it would be, and that a table is partitioned, only a database tells.
    const std::string_view script = GetParam();
    if (!with_catalog && script.find("bigserial") != script.npos) continue;
    if (!with_catalog && script.find("years ADD COLUMN") != script.npos) continue;
    // Nor does anything else tell the key, in whose order each row gets its value once.
    if (!with_catalog && script.find("SET status = '") != script.npos) continue;
    const auto catalog = load("planned");
    const migration::Source source{.file = "m.sql", .sql = GetParam()};
    const auto made = migration::plan_sql(std::span(&source, 1), with_catalog ? &catalog : nullptr);
    ASSERT_TRUE(made) << made.error().to_string();
    EXPECT_TRUE(made->decisions.empty()) << made->decisions.front().why;
    const auto steps = steps_of(*made);
    for (const auto* step : steps) {
      const bool tells = !step->probe.empty();
      EXPECT_FALSE(tells && says("planned", step->probe)) << "before " << step->title;
      carry_out(*step, engine::Direction::kForward);
      EXPECT_TRUE(!tells || says("planned", step->probe)) << "behind " << step->title;
    }
    EXPECT_THAT(drift("written", "planned"), testing::IsEmpty());
    for (const auto* step : steps) carry_out(*step, engine::Direction::kForward);
    EXPECT_THAT(drift("written", "planned"), testing::IsEmpty()) << "a second run";
    if (!with_catalog ||
        std::ranges::any_of(steps, [](const auto* one) { return one->undo.empty() && !one->in_step; }))
      continue;
    for (auto it = steps.rbegin(); it != steps.rend(); ++it)
      if (!(*it)->undo.empty()) carry_out(**it, engine::Direction::kUndo);
    EXPECT_THAT(drift("untouched", "planned"), testing::IsEmpty()) << "taken back";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Scripts, SqlPlanTest,
    testing::Values(
        "ALTER TABLE \"Order Items\" ADD COLUMN \"newStatus\" varchar(32) DEFAULT 'pend''ing';"
        "CREATE INDEX idx_new ON \"Order Items\" (\"newStatus\")",
        "ALTER TABLE heap ADD COLUMN n int NOT NULL DEFAULT 5, ADD COLUMN u uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE \"Order Items\" ADD CONSTRAINT positive CHECK (total >= 0),"
        " ADD CONSTRAINT customer FOREIGN KEY (\"userId\") REFERENCES customers (id) ON DELETE CASCADE",
        "ALTER TABLE \"Order Items\" ADD CHECK (total >= 0); ALTER TABLE \"Order Items\" ADD FOREIGN KEY "
        "(\"userId\")"
        " REFERENCES customers",
        "ALTER TABLE heap ALTER COLUMN a SET NOT NULL",
        "ALTER TABLE heap ADD CONSTRAINT heap_a UNIQUE (a); ALTER TABLE customers ADD UNIQUE (\"fullName\")",
        "ALTER TABLE heap ADD PRIMARY KEY (a)", "ALTER TABLE heap ADD COLUMN id bigserial",
        "ALTER TABLE heap ADD COLUMN c bigint REFERENCES customers (id) DEFERRABLE INITIALLY DEFERRED,"
        " ADD COLUMN k text CHECK (k <> 'x'), ADD COLUMN q text UNIQUE",
        "CREATE UNIQUE INDEX ON \"Order Items\" (id, \"userId\") WHERE total > 0; CREATE INDEX ON heap "
        "(lower(b))",
        // As many indexes and constraints as the author wrote, under PostgreSQL's own names.
        "CREATE INDEX ON heap (a); CREATE INDEX ON heap (a) WHERE b > ''; CREATE UNIQUE INDEX ON heap (a);"
        "CREATE INDEX ON heap ((a + 1), (a + 2), lower(b), (b::varchar(3))); CREATE INDEX ON heap (a) "
        "INCLUDE (b)",
        "ALTER TABLE heap ADD CHECK (a > 0); ALTER TABLE heap ADD CHECK (a > -1), ADD CHECK (a > -2);"
        "ALTER TABLE \"Order Items\" ADD UNIQUE (id, total); ALTER TABLE \"Order Items\" ADD UNIQUE (id, "
        "total)",
        "ALTER TABLE \"Order Items\" ADD FOREIGN KEY (\"userId\") REFERENCES customers;"
        "ALTER TABLE \"Order Items\" ADD FOREIGN KEY (\"userId\") REFERENCES customers ON DELETE CASCADE",
        "CREATE TABLE a_table_of_forty_characters_in_its_name_ (a_column_of_thirty_characters_ int, b int);"
        "CREATE INDEX ON a_table_of_forty_characters_in_its_name_ (a_column_of_thirty_characters_);"
        "CREATE INDEX ON a_table_of_forty_characters_in_its_name_ (a_column_of_thirty_characters_, b);"
        "ALTER TABLE a_table_of_forty_characters_in_its_name_ ADD CHECK (a_column_of_thirty_characters_ > 0)",
        "DROP INDEX items_total",
        "ALTER TABLE \"Order Items\" DROP COLUMN status; VACUUM FULL ANALYZE \"Order Items\"",
        "DROP VIEW totals; CREATE VIEW totals AS SELECT count(*) AS n FROM heap",
        "DROP VIEW totals; ALTER TABLE heap DROP COLUMN b; ALTER TABLE heap ADD COLUMN c int",
        "BEGIN; DROP TRIGGER touch ON \"Order Items\"; CREATE TRIGGER touch BEFORE INSERT ON \"Order Items\""
        " FOR EACH ROW EXECUTE FUNCTION touch(); COMMIT",
        "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.id = NEW.id; "
        "RETURN NEW; END'",
        "CREATE TABLE notes (id bigint PRIMARY KEY, item bigint REFERENCES \"Order Items\"); CREATE INDEX ON "
        "notes (item);"
        "CREATE TYPE colour AS ENUM ('red'); CREATE DOMAIN money2 AS numeric(12,2); CREATE SEQUENCE s;"
        "CREATE SCHEMA extra; CREATE TABLE extra.t (a colour); CREATE VIEW v AS SELECT 1 AS one",
        "ALTER TYPE state ADD VALUE 'gone'",
        "ALTER TABLE \"Order Items\" ALTER status SET DEFAULT 'x', ALTER total DROP DEFAULT; ALTER TABLE "
        "\"Order Items\""
        " ALTER total DROP NOT NULL",
        "ALTER TABLE \"Order Items\" DROP CONSTRAINT \"Order Items_pkey\"",
        "ALTER INDEX items_total RENAME TO items_sum; COMMENT ON TABLE heap IS 'x'; GRANT SELECT ON heap TO "
        "writer",
        "UPDATE \"Order Items\" SET status = 'all'",
        "ALTER TABLE heap ADD COLUMN n numeric(10,1), ADD COLUMN q char(5); UPDATE heap SET n = a / 7.0, q = "
        "b",
        "UPDATE \"Order Items\" SET status = 'some' WHERE status LIKE '%a%' AND total > 5", "DROP TABLE heap",
        "DROP TRIGGER IF EXISTS touch ON \"Order Items\"; CREATE TRIGGER touch BEFORE INSERT ON \"Order "
        "Items\" FOR EACH ROW EXECUTE FUNCTION touch()",
        "-- poundlock: ignore row_level_security nobody reads heap yet\n"
        "ALTER TABLE heap ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY mine ON heap USING (a > 0)",
        "CREATE RULE quiet AS ON DELETE TO heap DO ALSO NOTIFY gone;"
        "CREATE STATISTICS both_columns ON a, b FROM heap",
        "CREATE MATERIALIZED VIEW m AS SELECT a FROM heap; CREATE UNIQUE INDEX ON m (a)",
        "ALTER TABLE heap SET (fillfactor = 80); ALTER TABLE heap ALTER a SET STATISTICS 500",
        "CREATE INDEX years_at ON ONLY years (at); CREATE INDEX years_1_at ON years_1 (at);"
        "ALTER INDEX years_at ATTACH PARTITION years_1_at",
        // No foreign key of a partitioned table can be NOT VALID.
        "ALTER TABLE years ADD COLUMN c bigint DEFAULT 1 CONSTRAINT f REFERENCES customers (id) ON DELETE "
        "SET "
        "NULL DEFERRABLE, ADD COLUMN d bigint REFERENCES customers",
        "CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS 'SELECT 2';"
        "CREATE FUNCTION twice(a text) RETURNS int LANGUAGE sql AS 'SELECT 2'",
        "CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at);"
        "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"));

// The old one stands until the new one is whole; what is left to a person leaves nothing to carry out.
TEST_F(SqlPlanTest, PutsANewKeyAndIndexInThePlaceOfTheOldOnes) {
  const std::string script =
      "ALTER TABLE \"Order Items\" DROP CONSTRAINT \"Order Items_pkey\";"
      "ALTER TABLE \"Order Items\" ADD PRIMARY KEY (id, total);"
      "DROP INDEX items_total; CREATE INDEX items_total ON \"Order Items\" (total, status)";
  make("written");
  make("planned");
  run_all("written", script);
  const auto catalog = load("planned");
  const migration::Source source{.file = "m.sql", .sql = script};
  const auto made = migration::plan_sql(std::span(&source, 1), &catalog);
  ASSERT_TRUE(made && made->decisions.empty());
  const auto steps = steps_of(*made);
  ASSERT_EQ(steps.size(), 5U);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_FALSE(says("planned", steps[i]->probe)) << steps[i]->title;
    carry_out(*steps[i], engine::Direction::kForward);
    for (std::size_t k = 0; k <= i; ++k) EXPECT_TRUE(says("planned", steps[k]->probe)) << steps[k]->title;
    if (i + 1 < steps.size()) {
      EXPECT_TRUE(
          says("planned",
               "SELECT count(*) >= 2 FROM pg_index WHERE indrelid = 'public.\"Order Items\"'::regclass "
               "AND indisvalid"));
    }
  }
  EXPECT_THAT(drift("written", "planned"), testing::IsEmpty());
}

// A build that died half-way leaves an invalid index; the step's repair clears it away.
TEST_F(SqlPlanTest, BuildsAnIndexOverWhatAFailureLeft) {
  make("planned");
  {
    const auto session = open("planned");
    must(*session, "UPDATE heap SET a = 1 WHERE a = 2");
    EXPECT_FALSE(session->run("CREATE UNIQUE INDEX CONCURRENTLY once ON heap (a)"));
    must(*session, "DELETE FROM heap WHERE b = '2'");
  }
  const migration::Source source{.file = "m.sql", .sql = "CREATE UNIQUE INDEX once ON heap (a)"};
  const auto made = migration::plan_sql(std::span(&source, 1), nullptr);
  ASSERT_TRUE(made);
  const auto& step = *made->plan.items.at(0).step;
  EXPECT_FALSE(says("planned", step.probe));
  EXPECT_TRUE(says("planned", step.repair_when));
  carry_out(step, engine::Direction::kForward);
  EXPECT_TRUE(says("planned", step.probe));
}

// A detachment that was stopped cannot be begun again: the step finishes it.
TEST_F(SqlPlanTest, FinishesAPartitionThatIsHalfDetached) {
  make("planned");
  const auto catalog = load("planned");
  const migration::Source source{.file = "m.sql", .sql = "ALTER TABLE years DETACH PARTITION years_1"};
  const auto made = migration::plan_sql(std::span(&source, 1), &catalog);
  ASSERT_TRUE(made && made->decisions.empty());
  const auto steps = steps_of(*made);
  {
    const auto reader = open("planned");
    must(*reader, "BEGIN");
    must(*reader, "SELECT FROM years");
    const auto stopped = open("planned");
    must(*stopped, "SET statement_timeout = '300ms'");
    const auto half = stopped->run("ALTER TABLE years DETACH PARTITION years_1 CONCURRENTLY");
    ASSERT_FALSE(half);
    EXPECT_EQ(half.error().sqlstate, "57014") << half.error().to_string();
    must(*reader, "COMMIT");
  }
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_TRUE(says("planned", "SELECT count(*) = 1 FROM pg_inherits WHERE inhdetachpending"));
  EXPECT_TRUE(says("planned", steps.at(0)->repair_when));
  for (const auto* step : steps) carry_out(*step, engine::Direction::kForward);
  EXPECT_TRUE(says("planned", "SELECT count(*) = 0 FROM pg_inherits"));
  EXPECT_FALSE(says("planned", steps.at(0)->repair_when));
  make("written");
  run_all("written", source.sql);
  EXPECT_THAT(drift("written", "planned"), testing::IsEmpty());
}

// Made by somebody else between plan and run: the author's SQL fails there, and so does the step. Taken for
// done, the column would get its numbers from a sequence that is not its own.
TEST_F(SqlPlanTest, TakesNothingOfTheSameNameForItsOwn) {
  struct Case {
    const char* script;
    const char* meanwhile;
  };
  for (const Case& one :
       {Case{"ALTER TABLE heap ADD COLUMN id bigserial", "CREATE SEQUENCE heap_id_seq"},
        Case{"CREATE INDEX i ON heap (a)", "CREATE INDEX i ON heap (b)"},
        Case{"ALTER TABLE heap ADD CONSTRAINT c CHECK (a > 0)",
             "ALTER TABLE heap ADD CONSTRAINT c CHECK (a > -100)"},
        Case{"CREATE UNIQUE INDEX i ON heap (a)", "CREATE INDEX i ON heap (a)"},
        Case{"CREATE TABLE n (a int)", "CREATE VIEW n AS SELECT 1 AS a"},
        Case{"CREATE TYPE colour AS ENUM ('red')", "CREATE TYPE colour AS ENUM ('blue')"},
        Case{"ALTER TABLE heap ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES \"Order Items\"",
             "ALTER TABLE heap ADD CONSTRAINT c CHECK (a > 0)"},
        Case{"ALTER TABLE heap ADD COLUMN n state", "ALTER TABLE heap ADD COLUMN n text"}}) {
    make("planned");
    const auto catalog = load("planned");
    const migration::Source source{.file = "m.sql", .sql = one.script};
    const auto made = migration::plan_sql(std::span(&source, 1), &catalog);
    ASSERT_TRUE(made && made->decisions.empty()) << one.script;
    must(*open("planned"), one.meanwhile);
    bool failed = false;
    for (const auto* step : steps_of(*made)) {
      failed = failed || !SqlPlanFixture::carry_out("planned", *step, engine::Direction::kForward);
      if (failed) break;
    }
    EXPECT_TRUE(failed) << one.script;
  }
}

// PostgreSQL takes no column from a view: it is dropped and made again, with all that went along.
TEST_F(SqlPlanTest, TakesBackAViewThatGotColumns) {
  constexpr const char* kViews =
      "CREATE VIEW plain WITH (security_barrier=true) AS SELECT a, b FROM heap;"
      "CREATE VIEW \"Read\" AS SELECT a FROM heap; CREATE VIEW reader AS SELECT a FROM \"Read\";"
      "REVOKE ALL ON plain FROM writer; GRANT SELECT ON plain TO writer WITH GRANT OPTION;"
      "GRANT UPDATE (b) ON plain TO PUBLIC; COMMENT ON VIEW plain IS 'it''s';"
      "COMMENT ON COLUMN plain.b IS 'text'; ALTER VIEW plain ALTER b SET DEFAULT 'x';";
  make("planned");
  run_all("planned", kViews);
  const auto catalog = load("planned");
  const std::string state =
      "SELECT string_agg(concat_ws('|', c.relname, pg_get_viewdef(c.oid), c.reloptions, c.relowner::regrole, "
      "(SELECT string_agg(g::text, ',' ORDER BY g::text) FROM aclexplode(c.relacl) g WHERE g.grantee <> "
      "c.relowner), obj_description(c.oid), (SELECT string_agg(concat_ws(':', attname, attacl, atthasdef, "
      "col_description(c.oid, attnum)), ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid)), ';' "
      "ORDER BY relname) FROM pg_class c WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace";
  const auto state_now = [&] { return open("planned")->run(state)->rows.at(0).at(0); };
  const auto before = state_now();
  for (const char* select : {"SELECT a, b, a + 1 AS more FROM heap", "SELECT h.*, 1 AS more FROM heap h",
                             "SELECT h.* FROM heap h WHERE a > 0", "SELECT a, upper(b) AS b FROM heap"}) {
    SCOPED_TRACE(select);
    const migration::Source source{.file = "m.sql",
                                   .sql = fmt::format("CREATE OR REPLACE VIEW plain AS {}", select)};
    const auto made = migration::plan_sql(std::span(&source, 1), &catalog);
    ASSERT_TRUE(made && made->plan.items.size() == 1U);
    carry_out(*made->plan.items[0].step, engine::Direction::kForward);
    EXPECT_NE(state_now(), before);
    carry_out(*made->plan.items[0].step, engine::Direction::kUndo);
    EXPECT_EQ(state_now(), before);
  }
  const migration::Source read{.file = "m.sql", .sql = "CREATE OR REPLACE VIEW \"Read\" AS TABLE heap"};
  const auto made = migration::plan_sql(std::span(&read, 1), &catalog);
  ASSERT_TRUE(made && made->plan.items.size() == 1U);
  EXPECT_THAT(made->plan.items[0].step->undo, testing::IsEmpty());
}

constexpr const char* kColumns =
    "CREATE SCHEMA app; CREATE TYPE app.\"My T\" AS ENUM ('x', 'y'); CREATE FUNCTION app.fine(int) RETURNS "
    "boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';"
    "CREATE TABLE t (i int, b bigint, n numeric(10,2), x text, v varchar(10), ch char(3), e app.\"My T\", "
    "d "
    "date, at timestamptz, ok boolean, \"camelCase\" int, j jsonb, f float8, a int[], \"Odd \"\"q\" text, "
    "iv interval, by bytea, \"od::d\" int)";

// None says the same as the one before it.
constexpr const char* kSureChecks[] = {"i > 0",
                                       "i > 1",
                                       "i >= 0",
                                       "b > 0",
                                       "n > 0",
                                       "n > 0.5",
                                       "n>=0 AND i<5 AND b<>3",
                                       "i BETWEEN 1 AND 5",
                                       "i NOT BETWEEN 1 AND 5",
                                       "i BETWEEN 1 AND 5 AND b > 0",
                                       "x IN ('a', 'b')",
                                       "x IN ('a', 'c')",
                                       "v IN ('a', 'b')",
                                       "v NOT IN ('a', 'b')",
                                       "e IN ('x', 'y')",
                                       "e <> 'x'",
                                       "ch = 'ab'",
                                       "i IN (1, 2, 3)",
                                       "b IN (1, 2)",
                                       "i IN (7)",
                                       "x LIKE 'a'",
                                       "v NOT ILIKE 'a'",
                                       "ok",
                                       "NOT ok",
                                       "ok = true",
                                       "ok IS NOT FALSE",
                                       "i IS NOT NULL OR x IS NULL",
                                       "\"camelCase\" >= 1",
                                       "(i > 0 AND b > 0) OR f > 0",
                                       "length(x) > 3",
                                       "char_length(v) <= 10",
                                       "lower(x) = x",
                                       "i > -1",
                                       "i = - b",
                                       "n >= 1000.5",
                                       "app.fine(i)",
                                       "num_nonnulls(i, b) = 1",
                                       "i::text = x",
                                       "CAST(b AS text) = x",
                                       "j->>'a' = 'b'",
                                       "\"Odd \"\"q\" = 'a'",
                                       "x = ANY (ARRAY['a', 'd'])",
                                       "i % 2 = 0",
                                       "i IS DISTINCT FROM b",
                                       "i IS NOT DISTINCT FROM b",
                                       "i + 1 > b * 2",
                                       "v = x",
                                       "x = 'tree'",

                                       "ch IN ('ab', 'c')",
                                       "n IN (1, 2.5)",
                                       "b = 5000000000",
                                       "t.i < 9",
                                       "COALESCE(i, 0) > 0",
                                       "greatest(i, b) > 0",
                                       "NOT (i > 0 AND b > 0)",
                                       "a = ARRAY[1, 2]",
                                       "x ~ 'a'"};

// Of these a person is asked whether the one that is there says the same.
constexpr const char* kUnsureChecks[] = {"by = 'abc'",
                                         "d > '2020-01-01'",
                                         "d > '2020-1-2'",
                                         "x <> ''",
                                         "x = 'a b'",
                                         "x = 'yes'",
                                         "a[1] > 0",
                                         "(i, b) IS NOT NULL",
                                         "n >= 1e3",
                                         "iv > '36h'",
                                         "i IN (1, b)",
                                         "ok IS DISTINCT FROM NULL",
                                         "extract(year FROM d) > 2000",
                                         "length(trim(x)) > 0",
                                         "at > now()",
                                         "d < current_date",
                                         "text(i) = x",
                                         "CASE WHEN i > 0 THEN b > 0 END",
                                         "x SIMILAR TO 'a_'",
                                         "t IS NOT NULL",
                                         "\"od::d\" > 0",
                                         "x = 'x::y'",
                                         "x COLLATE \"C\" > 'a'"};

// What PostgreSQL prints of a CHECK is not what was written: a step that does not find its own would fail
// behind its commit, and one that takes another for its own would leave the rows unchecked.
TEST_F(SqlPlanTest, KnowsItsOwnChecksAndNoOthers) {
  make("world", "");
  run_all("world", kColumns);
  const auto planned = [](const char* check, const schema::Catalog& catalog) {
    const migration::Source source{.file = "m.sql",
                                   .sql = fmt::format("ALTER TABLE t ADD CONSTRAINT c CHECK ({})", check)};
    auto made = migration::plan_sql(std::span(&source, 1), &catalog);
    EXPECT_TRUE(made) << check;
    return made ? *std::move(made) : SqlPlan{};
  };
  const auto before = load("world");
  std::vector<const char*> checks(std::begin(kSureChecks), std::end(kSureChecks));
  checks.insert(checks.end(), std::begin(kUnsureChecks), std::end(kUnsureChecks));
  const char* last = nullptr;
  for (std::size_t i = 0; i < checks.size(); ++i) {
    const bool sure = i < std::size(kSureChecks);
    const char* check = checks[i];
    SCOPED_TRACE(check);
    must(*open("world"), "ALTER TABLE t DROP CONSTRAINT IF EXISTS c");
    const auto plan = planned(check, before);
    ASSERT_TRUE(plan.decisions.empty());
    for (const auto* step : steps_of(plan)) {
      EXPECT_FALSE(says("world", step->probe)) << step->title;
      EXPECT_TRUE(SqlPlanFixture::carry_out("world", *step, engine::Direction::kForward)) << step->title;
      EXPECT_TRUE(says("world", step->probe)) << step->title;
    }
    const auto behind = load("world");
    EXPECT_TRUE(!sure || planned(check, behind).decisions.empty());
    if (last != nullptr) {
      EXPECT_EQ(planned(last, behind).decisions.size(), 1U) << last;
      const auto other = planned(last, before);
      EXPECT_FALSE(sure && says("world", steps_of(other).front()->probe)) << last;
    }
    last = check;
  }
}

}  // namespace
}  // namespace poundlock::scenario
