// What a safe form must not do: anything but the author's SQL. What it cannot say it leaves to a person.
#include "migration/safe_form.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "migration/plan_for_test.h"

namespace poundlock::migration {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

SqlPlan plan_of(std::string sql, const schema::Catalog* catalog = nullptr) {
  return planned(std::move(sql), catalog, true);
}

void refuses(const std::string& sql, const schema::Catalog* catalog = nullptr) {
  const auto plan = plan_of(sql, catalog);
  EXPECT_THAT(plan.decisions, SizeIs(1)) << sql;
  EXPECT_THAT(sql_of(plan), IsEmpty()) << sql;
}

schema::Catalog shop() {
  schema::Table orders;
  orders.schema = "public";
  orders.name = "orders";
  orders.columns = {{1, "id", "bigint", true, {}, "", "", ""},
                    {2, "amount", "numeric(10,2)", false, {}, "", "", ""},
                    {3, "code", "text", false, {}, "", "", ""},
                    {4, "extra", "json", false, {}, "", "", ""}};
  orders.primary_key = {"id"};
  orders.constraints = {{.name = "orders_pkey", .kind = 'p', .columns = {"id"}},
                        {.name = "orders_code_key", .kind = 'u', .columns = {"code"}}};
  schema::Catalog catalog;
  catalog.server_version_num = 150000;
  catalog.tables = {orders};
  return catalog;
}

TEST(SafeForm, MergesTwoInsertsOnlyWhereAKeySaysThatTheyAreOneRow) {
  const auto two = [](const std::string& first, const std::string& second) {
    return "INSERT INTO " + first + "; INSERT INTO " + second + ";";
  };
  const auto merges = [](const std::string& sql, const schema::Catalog* catalog) {
    return plan_of(sql, catalog).decisions.empty();
  };
  const auto catalog = shop();
  const std::string kv = "kv (tenant, k) VALUES (1, 'a')";
  EXPECT_FALSE(merges(two(kv, "kv (tenant, v) VALUES (1, 'b') ON CONFLICT DO NOTHING"), nullptr));
  EXPECT_TRUE(merges(two(kv, "kv (tenant, v) VALUES (1, 'b') ON CONFLICT (tenant) DO NOTHING"), nullptr));
  EXPECT_FALSE(merges(two(kv, "kv (tenant, v) VALUES (1, 'b') ON CONFLICT (tenant, k) DO NOTHING"), nullptr));
  EXPECT_FALSE(merges(
      two("kv (id, k) VALUES (DEFAULT, 'a')", "kv (id, v) VALUES (DEFAULT, 'b') ON CONFLICT DO NOTHING"),
      nullptr))
      << "two numbers of a sequence";
  const std::string order = "orders (amount, code) VALUES (1, 'a')";
  EXPECT_FALSE(
      merges(two(order, "orders (amount, extra) VALUES (1, '{}') ON CONFLICT DO NOTHING"), &catalog));
  EXPECT_TRUE(merges(two(order, "orders (code, extra) VALUES ('a', '{}') ON CONFLICT DO NOTHING"), &catalog));
}

// What is half done goes on; what says something else is another's.
TEST(SafeForm, TakesNoConstraintOfOtherWordsForItsOwn) {
  auto catalog = shop();
  auto& orders = catalog.tables.front();
  orders.constraints.push_back(
      {.name = "c", .definition = "CHECK ((amount > (0)::numeric)) NOT VALID", .columns = {"amount"}});
  orders.constraints.push_back({.name = "f",
                                .kind = 'f',
                                .definition = "FOREIGN KEY (code) REFERENCES codes(code) ON DELETE CASCADE",
                                .columns = {"code"}});
  const auto add = [](const std::string& what) { return "ALTER TABLE orders ADD CONSTRAINT " + what + ";"; };
  EXPECT_THAT(sql_of(plan_of(add("c CHECK (amount > 0)"), &catalog)), SizeIs(2));
  EXPECT_THAT(sql_of(plan_of(add("f FOREIGN KEY (code) REFERENCES codes ON DELETE CASCADE"), &catalog)),
              SizeIs(2));
  refuses(add("c CHECK (amount >= 0)"), &catalog);
  refuses(add("c CHECK (amount > 0) NO INHERIT"), &catalog);
  refuses(add("f FOREIGN KEY (code) REFERENCES codes"), &catalog);
  refuses(add("f FOREIGN KEY (code) REFERENCES other ON DELETE CASCADE"), &catalog);
  refuses(add("f FOREIGN KEY (id) REFERENCES codes ON DELETE CASCADE"), &catalog);
}

TEST(SafeForm, DropsNoConstraintOfAnAddedColumn) {
  refuses("ALTER TABLE orders ADD COLUMN n int CHECK (n > 0) CHECK (n < 9);");
  refuses("ALTER TABLE orders ADD COLUMN n int REFERENCES a (id) REFERENCES b (id);");
  refuses("ALTER TABLE orders ADD COLUMN n int UNIQUE REFERENCES a (id) DEFERRABLE;");
}

TEST(SafeForm, AddsAColumnThatMayBeThereOnlyWhereTheCatalogTells) {
  const auto catalog = shop();
  refuses("ALTER TABLE orders ADD COLUMN IF NOT EXISTS code text DEFAULT 'x' NOT NULL;");
  const std::string there = "ALTER TABLE orders ADD COLUMN IF NOT EXISTS code text DEFAULT 'x' NOT NULL;";
  EXPECT_THAT(sql_of(plan_of(there, &catalog)), ElementsAre(there));
  const auto absent =
      plan_of("ALTER TABLE orders ADD COLUMN IF NOT EXISTS fresh text DEFAULT 'x';", &catalog);
  EXPECT_THAT(sql_of(absent), SizeIs(1));
}

TEST(SafeForm, LosesNeitherOnlyNorIfExists) {
  const auto catalog = shop();
  for (const auto* known : {static_cast<const schema::Catalog*>(nullptr), &catalog}) {
    refuses("UPDATE ONLY orders SET code = 'x';", known);
    for (const std::string word : {"ONLY", "IF EXISTS"}) {
      refuses("ALTER TABLE " + word + " orders ALTER COLUMN code SET NOT NULL;", known);
      refuses("ALTER TABLE " + word + " orders ADD CONSTRAINT c CHECK (amount > 0);", known);
      refuses("ALTER TABLE " + word + " orders ADD COLUMN n float DEFAULT random();", known);
      const std::string plain = "ALTER TABLE " + word + " orders ADD COLUMN n int;";
      EXPECT_THAT(sql_of(plan_of(plain, known)), ElementsAre(plain));
    }
  }
}

TEST(SafeForm, FillsWithNothingThatStaysNull) {
  EXPECT_THAT(sql_of(plan_of("ALTER TABLE orders ADD COLUMN n text DEFAULT NULL::varchar::text;")),
              ElementsAre("ALTER TABLE orders ADD COLUMN n text;"));
}

TEST(SafeForm, MissesNoIndexOfAForeignKeyThatTheScriptMakes) {
  const auto catalog = shop();
  const std::string key = "ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (amount) REFERENCES a (b);";
  const auto notes = [&](const std::string& sql) { return plan_of(sql, &catalog).plan.notes; };
  EXPECT_THAT(notes(key), Contains(HasSubstr("no index of orders begins with amount")));
  EXPECT_THAT(notes(key + "CREATE INDEX ON orders (code, amount);"),
              Contains(HasSubstr("no index of orders")));
  for (const char* index : {"CREATE INDEX ON public.orders (amount, code);",
                            "ALTER TABLE orders ADD CONSTRAINT u UNIQUE (amount);"}) {
    EXPECT_THAT(notes(key + index), Not(Contains(HasSubstr("no index of orders")))) << index;
    EXPECT_THAT(notes(index + key), Not(Contains(HasSubstr("no index of orders")))) << index;
  }
}

TEST(SafeForm, TakesTheLocksOfTheServerThatItIsFor) {
  auto catalog = shop();
  const std::string grant = "GRANT SELECT ON orders TO app;";
  const auto modes = [&] {
    const auto plan = plan_of(grant, &catalog);
    return std::pair(plan.steps.at(0).step.lock_mode, seen(plan.steps.at(0).step, &catalog).blocks);
  };
  const auto old = modes();
  catalog.server_version_num = 180000;
  EXPECT_NE(old.first, modes().first);
  EXPECT_EQ(plan_of(grant).steps.at(0).step.lock_mode, old.first);
}

// Planned anew over what an interrupted run has left, it goes on with that.
TEST(SafeForm, GoesOnWithWhatIsHalfDone) {
  auto catalog = shop();
  auto& orders = catalog.tables.front();
  orders.columns.push_back({5, "n", "integer", false, {}, "", "", ""});
  orders.constraints.push_back(
      {.name = "orders_n_check", .definition = "CHECK ((n > 0)) NOT VALID", .columns = {"n"}});
  orders.constraints.push_back(
      {.name = "poundlock_orders_n_not_null", .definition = "CHECK ((n IS NOT NULL))", .columns = {"n"}});
  const auto sql = sql_of(
      plan_of("ALTER TABLE orders ADD COLUMN n int DEFAULT app.one() CHECK (n > 0) NOT NULL", &catalog));
  EXPECT_THAT(sql, Contains("ALTER TABLE orders VALIDATE CONSTRAINT orders_n_check;"));
  EXPECT_THAT(sql, Contains("ALTER TABLE orders DROP CONSTRAINT IF EXISTS poundlock_orders_n_not_null;"));
  EXPECT_THAT(sql_of(plan_of("ALTER TABLE orders ALTER COLUMN n SET NOT NULL", &catalog)),
              AllOf(SizeIs(4), Contains(HasSubstr("DROP CONSTRAINT IF EXISTS poundlock_orders_n_not_null"))));
  EXPECT_THAT(sql_of(plan_of("ALTER TABLE orders ADD COLUMN n int CHECK (n > 1)", &catalog)),
              Contains("ALTER TABLE orders VALIDATE CONSTRAINT orders_n_check1;"));
}

TEST(SafeForm, NamesAnIndexBehindACopyThatBringsNoNames) {
  const auto left = [](const std::string& how) {
    return plan_of("CREATE TABLE n (LIKE orders " + how + "); CREATE INDEX ON orders (code);")
        .decisions.size();
  };
  EXPECT_EQ(left(""), 0U);
  EXPECT_EQ(left("INCLUDING DEFAULTS INCLUDING COMMENTS INCLUDING GENERATED"), 0U);
  for (const char* how : {"INDEXES", "CONSTRAINTS", "IDENTITY", "ALL"})
    EXPECT_EQ(left(std::string("INCLUDING ") + how), 1U) << how;
}

TEST(SafeForm, KnowsTheTypeOfAColumnThatTheScriptHasAdded) {
  EXPECT_THAT(
      sql_of(plan_of("ALTER TABLE orders ADD COLUMN n numeric(10, 2); UPDATE orders SET n = amount;")),
      ElementsAre("ALTER TABLE orders ADD COLUMN n numeric(10, 2);",
                  HasSubstr("IS DISTINCT FROM CAST((amount) AS \"numeric\"(10,2))")));
  for (const char* type :
       {"varchar(5)", "text[]", "char(3)", "\"char\"", "timestamp(3) with time zone", "bit(3)"})
    EXPECT_THAT(
        sql_of(plan_of(fmt::format("ALTER TABLE orders ADD COLUMN n {}; UPDATE orders SET n = code;", type))),
        SizeIs(2))
        << type;
  EXPECT_THAT(plan_of("ALTER TABLE orders ADD COLUMN n json; UPDATE orders SET n = code;").decisions,
              SizeIs(1));
}

// A condition does not make an UPDATE one of few rows.
TEST(SafeForm, BringsManyRowsToTheirValueInBatchesWithAConditionToo) {
  auto catalog = shop();
  auto& orders = catalog.tables.front();
  orders.indexes = {{.name = "orders_pkey", .columns = {"id"}}};
  orders.estimated_rows = 5e6;
  orders.bytes = 1'000'000'000;
  const auto batched = plan_of("UPDATE orders SET code = 'x' WHERE amount > 0 OR code = '(WHERE'", &catalog);
  ASSERT_EQ(batched.steps.size(), 1U);
  EXPECT_EQ(batched.steps[0].step.kind, change::StepKind::kBackfill);
  EXPECT_EQ(batched.steps[0].step.in_step->out_of_step,
            "(( amount > 0 OR code = '(WHERE') AND ((\"code\" IS DISTINCT FROM CAST(('x') AS text))))");
  const auto few = plan_of("UPDATE orders SET code = 'x' WHERE id = 7;", &catalog);
  EXPECT_THAT(sql_of(few), ElementsAre("UPDATE orders SET code = 'x' WHERE id = 7;"));
  EXPECT_TRUE(few.steps[0].writes_rows);
  EXPECT_THAT(sql_of(plan_of("UPDATE orders SET code = upper(code) WHERE id BETWEEN 1 AND 9;", &catalog)),
              SizeIs(1));
  refuses("UPDATE orders SET code = upper(code) WHERE amount > 0;", &catalog);
  refuses("UPDATE orders SET code = 'x' WHERE amount > (SELECT max(total) FROM public.bills);", &catalog);
  refuses("UPDATE orders SET code = 'x' WHERE code < now()::text OR code IS NULL;", &catalog);
  refuses("DELETE FROM orders WHERE code IS NULL;", &catalog);
  EXPECT_EQ(plan_of("UPDATE orders SET code = 'x' WHERE code IS NULL;").steps[0].step.kind,
            change::StepKind::kBackfill);
  orders.estimated_rows = 100;
  orders.bytes = 8192;
  const auto small = plan_of("UPDATE orders SET code = upper(code) WHERE amount > 0;", &catalog);
  EXPECT_THAT(small.decisions, IsEmpty());
  EXPECT_TRUE(small.steps[0].writes_rows);
}

// Repeated until none differs they would take away what the application writes meanwhile.
TEST(SafeForm, GivesEachRowItsValueOnce) {
  auto catalog = shop();
  const auto plan = plan_of("UPDATE orders SET code = 'x';", &catalog);
  ASSERT_THAT(plan.steps, SizeIs(1));
  EXPECT_TRUE(plan.steps[0].once);
  EXPECT_THAT(plan.plan.notes, Contains(HasSubstr("gets its value once")));
  EXPECT_FALSE(plan_of("UPDATE orders SET code = 'x' WHERE code IS NULL AND amount > 1;").steps.at(0).once);
  EXPECT_FALSE(plan_of("ALTER TABLE orders ADD COLUMN n text; UPDATE orders SET n = code;", &catalog)
                   .steps.at(1)
                   .once);
  refuses("UPDATE orders SET code = 'x';");
  refuses("UPDATE orders SET id = 5;", &catalog);
  catalog.tables.front().triggers = {
      {.name = "touch",
       .definition = "CREATE TRIGGER touch BEFORE UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION f()",
       .function = "public.f"},
      {.name = "other",
       .definition =
           "CREATE TRIGGER other AFTER UPDATE OF amount ON public.orders FOR EACH ROW EXECUTE FUNCTION "
           "f()",
       .function = "public.f"}};
  EXPECT_THAT(plan_of("UPDATE orders SET code = 'x';", &catalog).plan.notes,
              Contains(HasSubstr("trigger touch fires for each row")));
  catalog.tables.front().primary_key.clear();
  refuses("UPDATE orders SET code = 'x';", &catalog);
}

// A condition on an index holds an UPDATE to few rows only where it binds them from both sides or by a key.
TEST(SafeForm, TellsManyRowsByWhatBindsThem) {
  auto catalog = shop();
  auto& orders = catalog.tables.front();
  orders.indexes = {{.name = "orders_pkey", .columns = {"id"}, .unique = true},
                    {.name = "orders_code", .columns = {"code"}}};
  orders.estimated_rows = 5e6;
  orders.bytes = 1'000'000'000;
  catalog.tables.push_back(orders);
  catalog.tables[1].name = "other";
  const auto kind = [&](const char* sql) { return plan_of(sql, &catalog).steps.at(0).step.kind; };
  EXPECT_EQ(kind("UPDATE orders SET amount = 1 WHERE id > 0;"), change::StepKind::kBackfill);
  EXPECT_EQ(kind("UPDATE orders SET amount = 1 WHERE id >= 1 AND id < 9;"), change::StepKind::kTransaction);
  const auto some = plan_of("UPDATE orders SET amount = 1 WHERE code IN ('a', 'b');", &catalog);
  EXPECT_THAT(some.plan.notes, Contains(HasSubstr("where very many rows")));
  EXPECT_THAT(plan_of("UPDATE orders SET amount = 1 WHERE id = 7;", &catalog).plan.notes, IsEmpty());
  refuses("DELETE FROM orders WHERE id > 0;", &catalog);
  refuses("INSERT INTO orders (id) SELECT id FROM other;", &catalog);
  refuses("MERGE INTO orders o USING other t ON t.id = o.id WHEN MATCHED THEN UPDATE SET amount = 1;",
          &catalog);
  refuses("UPDATE orders o SET code = t.code FROM other t WHERE t.id = o.id;", &catalog);
  const auto copies = Contains(HasSubstr("it copies what it finds in other"));
  EXPECT_THAT(plan_of("INSERT INTO orders (id) SELECT id FROM other;").plan.notes, copies);
  EXPECT_THAT(plan_of("INSERT INTO orders (id) VALUES (1);", &catalog).plan.notes, Not(copies));
}

// PostgreSQL itself writes no row for a default that is the same for all; a trigger would fire for each.
TEST(SafeForm, FillsNoRowsWhereATriggerWouldChangeThem) {
  auto catalog = shop();
  catalog.functions = {{.schema = "public",
                        .name = "f",
                        .definition =
                            "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                            "NEW.amount := 1; RETURN NEW; END $$"}};
  catalog.tables.front().triggers = {
      {.name = "touch",
       .definition = "CREATE TRIGGER touch BEFORE UPDATE ON public.orders FOR EACH ROW EXECUTE FUNCTION f()",
       .function = "public.f"}};
  EXPECT_THAT(sql_of(plan_of("ALTER TABLE orders ADD COLUMN n int NOT NULL DEFAULT 3;", &catalog)),
              SizeIs(1));
  refuses("ALTER TABLE orders ADD COLUMN n float NOT NULL DEFAULT random();", &catalog);
}

TEST(SafeForm, ComparesABackfillWithWhatTheColumnHolds) {
  const auto catalog = shop();
  EXPECT_THAT(sql_of(plan_of("UPDATE orders SET amount = 1.239;", &catalog)),
              ElementsAre(AllOf(HasSubstr("SET \"amount\" = (1.239)"),
                                HasSubstr("IS DISTINCT FROM CAST((1.239) AS numeric(10,2))"))));
  refuses("UPDATE orders SET extra = '{}';", &catalog);
  refuses("UPDATE orders SET amount = 1.239;");
  refuses("UPDATE orders SET amount = '1.239';");
  refuses("UPDATE orders SET code = upper(name);");
  EXPECT_THAT(sql_of(plan_of("UPDATE orders SET code = 'x', amount = 5;", &catalog)), SizeIs(1));
}

TEST(SafeForm, LeavesAnAssignmentOfARowToAPerson) {
  const auto catalog = shop();
  refuses("UPDATE orders SET (amount, code) = (1, 'y');", &catalog);
  refuses("UPDATE orders SET (amount, code) = ROW(1, 'y'), extra = NULL;", &catalog);
}

TEST(SafeForm, GivesEachConstraintANameOfItsOwn) {
  const std::string both = "ALTER TABLE orders ADD CHECK (amount > 0), ADD CHECK (amount < 100000);";
  EXPECT_THAT(sql_of(plan_of(both)),
              AllOf(Contains(HasSubstr("ADD CONSTRAINT orders_amount_check CHECK (amount > 0)")),
                    Contains(HasSubstr("ADD CONSTRAINT orders_amount_check1 CHECK (amount < 100000)"))));
  auto catalog = shop();
  catalog.tables[0].constraints.push_back({.name = "orders_amount_check"});
  EXPECT_THAT(sql_of(plan_of(both, &catalog)), Each(Not(HasSubstr("orders_amount_check "))));
}

TEST(SafeForm, DropsNoCheckButItsOwn) {
  auto catalog = shop();
  EXPECT_THAT(sql_of(plan_of("ALTER TABLE orders ADD CONSTRAINT orders_code_not_null CHECK (code <> '');"
                             "ALTER TABLE orders ALTER code SET NOT NULL;")),
              Each(Not(HasSubstr("DROP CONSTRAINT IF EXISTS orders_code_not_null"))));
  catalog.tables[0].constraints.push_back({.name = "poundlock_orders_code_not_null"});
  EXPECT_THAT(sql_of(plan_of("ALTER TABLE orders ALTER code SET NOT NULL;", &catalog)).back(),
              HasSubstr("DROP CONSTRAINT IF EXISTS poundlock_orders_code_not_null1"));
}

TEST(SafeForm, TakesOverNobodysSequence) {
  auto catalog = shop();
  catalog.sequences = {{.schema = "public", .name = "orders_n_seq"}};
  EXPECT_THAT(
      sql_of(plan_of("ALTER TABLE orders ADD COLUMN n serial;", &catalog)),
      AllOf(Contains(
                "CREATE SEQUENCE \"public\".\"orders_n_seq1\" AS integer OWNED BY \"public\".\"orders\".n;"),
            Each(Not(HasSubstr("orders_n_seq\"")))));
  refuses("ALTER TABLE orders ADD COLUMN n serial;");
}

// Under one name the second would never be built.
TEST(SafeForm, NamesWhatHasNoNameAsPostgresqlDoes) {
  const auto indexes =
      plan_of("CREATE INDEX ON t (a); CREATE INDEX ON t (a) WHERE b; CREATE INDEX ON s.t (a);");
  EXPECT_THAT(sql_of(indexes), ElementsAre("CREATE INDEX CONCURRENTLY t_a_idx ON t (a);",
                                           "CREATE INDEX CONCURRENTLY t_a_idx1 ON t (a) WHERE b;",
                                           "CREATE INDEX CONCURRENTLY t_a_idx ON s.t (a);"));
  const auto checks = plan_of("ALTER TABLE t ADD CHECK (a > 0); ALTER TABLE t ADD CHECK (a > 1);");
  EXPECT_THAT(sql_of(checks)[2], HasSubstr("CONSTRAINT t_a_check1 CHECK"));
  const auto catalog = shop();
  const auto unique = plan_of("ALTER TABLE orders ADD UNIQUE (code);", &catalog);
  EXPECT_THAT(sql_of(unique)[0], HasSubstr(" orders_code_key1 ON orders"));
  const std::string fifty(50, 'x');
  const auto cut = plan_of("CREATE INDEX ON " + fifty + " (" + fifty + ");");
  EXPECT_THAT(sql_of(cut)[0], HasSubstr(" " + fifty.substr(0, 29) + "_" + fifty.substr(0, 29) + "_idx ON"));
}

TEST(SafeForm, AsksForANameWhereNobodyKnowsWhichAreTaken) {
  for (const char* script : {"CREATE TABLE n (LIKE orders INCLUDING ALL); CREATE INDEX ON orders (code);",
                             "CREATE INDEX ON orders ((code || 'x')); ALTER TABLE orders DROP COLUMN code; "
                             "CREATE INDEX ON orders ((id + 1));"}) {
    const auto plan = plan_of(script);
    ASSERT_THAT(plan.decisions, SizeIs(1)) << script;
    EXPECT_THAT(plan.decisions[0].choices, ElementsAre("give it a name"));
  }
}

TEST(SafeForm, LeavesAnIndexOnOnlyAParentAsItIs) {
  auto catalog = shop();
  const std::string sql = "CREATE INDEX i ON ONLY orders (code);";
  EXPECT_THAT(sql_of(plan_of(sql)), ElementsAre(sql));
  EXPECT_THAT(sql_of(plan_of(sql, &catalog))[0], HasSubstr("CONCURRENTLY"));
  catalog.tables[0].kind = 'p';
  const auto plan = plan_of(sql, &catalog);
  EXPECT_THAT(sql_of(plan), ElementsAre(sql));
  EXPECT_THAT(plan.steps[0].step.probe, Not(HasSubstr("indisvalid")));
  refuses("CREATE INDEX CONCURRENTLY i ON ONLY orders (code);", &catalog);
}

TEST(SafeForm, HasNothingToFillWhereTheDefaultIsNull) {
  const auto plan = plan_of("ALTER TABLE t ADD COLUMN a text DEFAULT app.tenant();");
  EXPECT_THAT(sql_of(plan)[1], HasSubstr("IS NOT NULL)"));
  const auto numbered = plan_of("ALTER TABLE t ADD COLUMN a bigint DEFAULT nextval('s');");
  EXPECT_THAT(sql_of(numbered)[1], Not(HasSubstr("IS NOT NULL")));
}

// A table of another schema that has the name already is not the one that is made.
TEST(SafeForm, MakesANewTableWhereTheSearchPathPutsIt) {
  auto catalog = shop();
  catalog.tables[0].schema = "app";
  const auto plan = plan_of("CREATE TABLE orders (id int);", &catalog);
  EXPECT_THAT(plan.steps[0].step.probe, HasSubstr("n.nspname = 'public'"));
  EXPECT_THAT(plan.steps[0].step.undo, ElementsAre(HasSubstr("\"public\".\"orders\"")));
}

TEST(SafeForm, TellsOfATableThatTheDatabaseHasNot) {
  const auto catalog = shop();
  for (const char* script : {"ALTER TABLE orderz ADD COLUMN a int;", "CREATE INDEX i ON orderz (id);",
                             "UPDATE orderz SET code = 'x';", "INSERT INTO orderz (id) VALUES (1);"}) {
    const auto plan = plan_of(script, &catalog);
    ASSERT_THAT(plan.decisions, SizeIs(1)) << script;
    EXPECT_THAT(plan.decisions[0].why, HasSubstr("no table orderz"));
    EXPECT_THAT(plan.decisions[0].choices, ElementsAre("did you mean orders?"));
    EXPECT_THAT(plan.steps, IsEmpty());
  }
  EXPECT_THAT(plan_of("ALTER TABLE IF EXISTS orderz SET (fillfactor = 80);", &catalog).decisions, IsEmpty());
  EXPECT_THAT(plan_of("CREATE TABLE orderz (id int); CREATE INDEX ON orderz (id);", &catalog).decisions,
              IsEmpty());
}

TEST(SafeForm, RefusesAPlaceholderWithinAString) {
  const Source source{
      .file = "V1__a.sql", .tool = Tool::kFlyway, .sql = "SELECT 1;\nINSERT INTO t VALUES ('${tenant}');"};
  const auto plan = plan_sql(std::span(&source, 1), nullptr);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, "plan.placeholder");
  EXPECT_EQ(plan.error().where->line, 2);
  const Source plain{.file = "a.sql", .sql = source.sql};
  EXPECT_TRUE(plan_sql(std::span(&plain, 1), nullptr)) << "nobody but the tools replaces it";
}

TEST(SafeForm, LeavesAlembicsHistoryToAlembic) {
  const char* sql =
      "BEGIN;\n-- Running upgrade 1975ea83b712 -> ae1027a6acf\nALTER TABLE t ADD COLUMN b int;\n"
      "UPDATE alembic_version SET version_num='ae1027a6acf' WHERE alembic_version.version_num = "
      "'1975ea83b712';\nCOMMIT;";
  const Source source{.file = "-", .tool = Tool::kAlembic, .version = "ae1027a6acf", .sql = sql};
  const auto plan = plan_sql(std::span(&source, 1), nullptr);
  ASSERT_TRUE(plan) << plan.error().to_string();
  EXPECT_THAT(sql_of(*plan), ElementsAre("ALTER TABLE t ADD COLUMN b int;"));
  EXPECT_THAT(plan->plan.notes, ElementsAre(HasSubstr("alembic stamp ae1027a6acf")));
}

// The drop waits for the contract: rows without a list of columns would find the old columns before it.
TEST(SafeForm, KeepsRowsBehindTheDropOfAColumn) {
  const auto catalog = shop();
  for (const char* behind :
       {"INSERT INTO orders VALUES (1, 2);", "CREATE TABLE copy AS SELECT * FROM orders;",
        "CREATE VIEW v AS SELECT * FROM orders;", "ALTER TABLE orders ALTER COLUMN code TYPE text;"}) {
    const auto plan = plan_of(std::string("ALTER TABLE orders DROP COLUMN extra; ") + behind, &catalog);
    ASSERT_THAT(plan.steps, SizeIs(2)) << behind;
    EXPECT_THAT(sql_of(plan)[0], HasSubstr("DROP COLUMN")) << behind;
  }
}

}  // namespace
}  // namespace poundlock::migration
