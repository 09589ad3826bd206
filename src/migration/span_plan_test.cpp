// What a script takes off and puts back is never off between two steps.
#include "migration/span_plan.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "migration/plan_for_test.h"
#include "migration/sql_plan.h"

namespace poundlock::migration {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

SqlPlan plan_of(std::string sql, const schema::Catalog* catalog = nullptr, bool in_transaction = true) {
  return planned(std::move(sql), catalog, in_transaction);
}

schema::Catalog shop() {
  schema::Table orders;
  orders.schema = "public";
  orders.name = "orders";
  orders.columns = {{1, "id", "bigint", true, {}, "", "", ""},
                    {2, "code", "text", true, {}, "", "", ""},
                    {3, "total", "integer", false, {}, "", "", ""}};
  orders.primary_key = {"id"};
  orders.constraints = {
      {.name = "orders_pkey", .kind = 'p', .definition = "PRIMARY KEY (id)", .columns = {"id"}},
      {.name = "orders_code_key", .kind = 'u', .definition = "UNIQUE (code)", .columns = {"code"}},
      {.name = "positive", .kind = 'c', .definition = "CHECK ((total > 0))", .columns = {"total"}}};
  orders.indexes = {{.name = "orders_pkey", .columns = {"id"}, .unique = true, .primary = true},
                    {.name = "orders_total",
                     .definition = "CREATE INDEX orders_total ON public.orders USING btree (total)",
                     .columns = {"total"}}};
  orders.estimated_rows = 1e6;
  orders.bytes = 600'000'000;
  schema::Catalog catalog;
  catalog.server_version_num = 150000;
  catalog.tables = {orders};
  return catalog;
}

constexpr const char* kTrigger =
    "CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();";

// Written one after the other, live traffic would change rows without the trigger in between.
TEST(SpanPlan, LeavesRowsThatAreWrittenWithoutATriggerToAPerson) {
  const auto catalog = shop();
  for (const auto* known : {static_cast<const schema::Catalog*>(nullptr), &catalog})
    for (const bool in_transaction : {true, false})
      for (const std::string& script :
           {std::string("DROP TRIGGER t ON orders; UPDATE orders SET code = 'x' WHERE code = 'y';") +
                kTrigger,
            std::string("ALTER TABLE orders DISABLE TRIGGER t; UPDATE orders SET code = 'x' WHERE total IS "
                        "NULL; ALTER TABLE orders ENABLE TRIGGER t;"),
            std::string("ALTER TABLE orders DISABLE TRIGGER t; INSERT INTO orders SELECT * FROM old_orders; "
                        "ALTER TABLE orders ENABLE TRIGGER t;")}) {
        const auto plan = plan_of(script, known, in_transaction);
        EXPECT_THAT(sql_of(plan), IsEmpty()) << script;
        ASSERT_FALSE(plan.decisions.empty()) << script;
        EXPECT_THAT(plan.decisions[0].why, HasSubstr("trigger t of public.orders is taken off and put back"));
        EXPECT_THAT(plan.decisions[0].sql, AllOf(HasSubstr("TRIGGER t"), HasSubstr("orders S")));
      }
}

TEST(SpanPlan, KeepsWhatIsQuickInOneTransaction) {
  const auto catalog = shop();
  for (const bool in_transaction : {true, false}) {
    const auto few = plan_of(
        "ALTER TABLE orders DISABLE TRIGGER t; UPDATE orders SET code = 'x' WHERE id = 7;"
        "ALTER TABLE orders ENABLE TRIGGER t; COMMENT ON TABLE orders IS 'x';",
        &catalog, in_transaction);
    EXPECT_THAT(few.decisions, IsEmpty());
    ASSERT_THAT(few.steps, SizeIs(4));
    EXPECT_THAT(std::vector(few.steps.begin(), few.steps.begin() + 3),
                Each(testing::Field(&SqlStep::transaction_group, 1)));
    const auto again =
        plan_of(std::string("DROP TRIGGER IF EXISTS t ON orders; CREATE OR REPLACE FUNCTION touch() "
                            "RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';") +
                    kTrigger,
                &catalog, in_transaction);
    EXPECT_THAT(groups_of(again), ElementsAre(1, 1, 1));
    const auto check = plan_of(
        "ALTER TABLE orders DROP CONSTRAINT positive; ALTER TABLE orders ADD CONSTRAINT "
        "positive CHECK (total >= 0) NOT VALID;"
        "ALTER TABLE orders VALIDATE CONSTRAINT positive;",
        &catalog, in_transaction);
    EXPECT_THAT(groups_of(check), ElementsAre(1, 1, 2));
  }
  // A person's word for it keeps the author's transaction, too.
  const auto accepted = plan_of(
      "ALTER TABLE orders DISABLE TRIGGER t;\n-- poundlock: ignore update_without_where 900 rows\n"
      "UPDATE orders SET code = 'x';\nALTER TABLE orders ENABLE TRIGGER t;");
  EXPECT_THAT(groups_of(accepted), ElementsAre(1, 1, 1));
  const auto both =
      plan_of("ALTER TABLE orders DROP CONSTRAINT c, ADD CONSTRAINT c CHECK (total > 0) NOT VALID;");
  EXPECT_THAT(sql_of(both), SizeIs(1));
}

TEST(SpanPlan, LeavesAConstraintThatIsCheckedAnewToAPerson) {
  const auto catalog = shop();
  for (const char* script :
       {"ALTER TABLE orders DROP CONSTRAINT positive; ALTER TABLE orders ADD CONSTRAINT positive CHECK "
        "(total "
        "> 9);",
        "ALTER TABLE orders DROP CONSTRAINT positive, ADD CONSTRAINT positive CHECK (total > 9);",
        "ALTER TABLE orders DROP CONSTRAINT positive; UPDATE orders SET total = 1; ALTER TABLE orders ADD "
        "CONSTRAINT positive CHECK (total > 9) NOT VALID;",
        "ALTER TABLE orders ALTER code DROP NOT NULL; ALTER TABLE orders ALTER code SET NOT NULL;"}) {
    const auto plan = plan_of(script, &catalog);
    EXPECT_THAT(sql_of(plan), IsEmpty()) << script;
    EXPECT_FALSE(plan.decisions.empty()) << script;
  }
  EXPECT_THAT(plan_of("ALTER TABLE orders DROP CONSTRAINT IF EXISTS other; ALTER TABLE orders ADD CONSTRAINT "
                      "other CHECK (total > 9);",
                      &catalog)
                  .decisions,
              IsEmpty())
      << "there is none that would be off";
}

TEST(SpanPlan, BuildsANewKeyBesideTheOldOne) {
  const auto catalog = shop();
  for (const char* script :
       {"ALTER TABLE orders DROP CONSTRAINT orders_pkey; ALTER TABLE orders ADD PRIMARY KEY (id, code);",
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (id, code);"}) {
    const auto plan = plan_of(script, &catalog);
    EXPECT_THAT(plan.decisions, IsEmpty()) << script;
    EXPECT_THAT(
        sql_of(plan),
        ElementsAre("CREATE UNIQUE INDEX CONCURRENTLY orders_pkey_new ON orders (id, code);",
                    "ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD CONSTRAINT orders_pkey PRIMARY "
                    "KEY USING INDEX orders_pkey_new;"));
    EXPECT_THAT(plan.steps[1].step.probe, HasSubstr("<> 'PRIMARY KEY (id)'"));
  }
  EXPECT_THAT(sql_of(plan_of("ALTER TABLE orders DROP CONSTRAINT orders_code_key; ALTER TABLE orders ADD "
                             "CONSTRAINT orders_code_key UNIQUE (code, total);",
                             &catalog)),
              SizeIs(2));
  auto referenced = catalog;
  referenced.tables.push_back(referenced.tables[0]);
  referenced.tables[1].name = "items";
  referenced.tables[1].constraints = {{.name = "f",
                                       .kind = 'f',
                                       .definition = "FOREIGN KEY (order_id) REFERENCES public.orders(id)",
                                       .columns = {"order_id"},
                                       .references = "public.orders"}};
  EXPECT_THAT(
      plan_of("ALTER TABLE orders DROP CONSTRAINT orders_pkey; ALTER TABLE orders ADD PRIMARY KEY (id, "
              "code);",
              &referenced)
          .decisions,
      SizeIs(1));
}

TEST(SpanPlan, ExchangesAnIndexOfOneName) {
  const auto catalog = shop();
  const std::string script = "DROP INDEX orders_total; CREATE INDEX orders_total ON orders (total, code);";
  const auto plan = plan_of(script, &catalog);
  EXPECT_THAT(plan.decisions, IsEmpty());
  EXPECT_THAT(sql_of(plan),
              ElementsAre("CREATE INDEX CONCURRENTLY orders_total_new ON orders (total, code);",
                          "ALTER INDEX \"public\".\"orders_total\" RENAME TO orders_total_old;",
                          "ALTER INDEX \"public\".\"orders_total_new\" RENAME TO orders_total;",
                          "DROP INDEX CONCURRENTLY IF EXISTS \"public\".\"orders_total_old\";"));
  EXPECT_THAT(groups_of(plan), ElementsAre(1, 2, 2, 3));
  EXPECT_EQ(plan.steps[3].step.phase, change::Phase::kContract);
  const auto blind = plan_of(script);
  EXPECT_THAT(blind.steps, IsEmpty());
  EXPECT_THAT(blind.decisions, SizeIs(1));
}

}  // namespace
}  // namespace poundlock::migration
