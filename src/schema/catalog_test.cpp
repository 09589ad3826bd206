#include "schema/catalog.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace poundlock::schema {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Catalog orders() {
  Table table;
  table.oid = 16'400;
  table.schema = "public";
  table.name = "orders";
  table.columns = {{.attnum = 1, .name = "id", .type = "bigint", .not_null = true},
                   {.attnum = 2, .name = "legacy_status", .type = "text", .default_expr = "'pending'::text"}};
  table.indexes = {{.oid = 16'401,
                    .name = "orders_pkey",
                    .definition = "CREATE UNIQUE INDEX orders_pkey ON public.orders USING btree (id)",
                    .columns = {"id"},
                    .unique = true,
                    .primary = true}};
  Catalog catalog;
  catalog.server_version_num = 150'006;
  catalog.tables = {table};
  catalog.functions = {{.oid = 5, .schema = "public", .name = "f", .arguments = "int", .definition = "x"}};
  return catalog;
}

TEST(Fingerprint, IgnoresOidsSizesOwnersAndOrder) {
  const Catalog a = orders();
  Catalog b = orders();
  b.tables[0].oid = 99'999;
  b.tables[0].indexes[0].oid = 1;
  b.tables[0].owner = "somebody";
  b.tables[0].bytes = 1 << 20;
  b.tables[0].estimated_rows = 5;
  b.functions[0].oid = 77;
  std::ranges::reverse(b.tables[0].columns);
  EXPECT_EQ(fingerprint(a).text, fingerprint(b).text);
  EXPECT_EQ(fingerprint(a).hash.size(), 32U);
  EXPECT_THAT(difference(a, b), IsEmpty());
  EXPECT_NE(fingerprint(a, {.column_order = true}), fingerprint(b, {.column_order = true}));
}

TEST(Fingerprint, TellsOfASequenceWhatItsTypeDoesNot) {
  const auto text_of = [](Sequence sequence) {
    Catalog catalog;
    sequence.schema = "public";
    sequence.name = "s";
    sequence.type = "bigint";
    catalog.sequences = {sequence};
    return fingerprint(catalog).text;
  };
  EXPECT_EQ(text_of({}), "sequence public.s bigint increment 1\n");
  EXPECT_EQ(text_of({.increment = -2, .cycle = true, .min_value = -9, .max_value = 0, .start = -1}),
            "sequence public.s bigint increment -2 minvalue -9 maxvalue 0 start -1 cycle\n");
}

TEST(Fingerprint, SeesWhatChangesTheMeaning) {
  const Fingerprint before = fingerprint(orders());
  const auto changed = [&](auto change) {
    Catalog catalog = orders();
    change(catalog);
    return fingerprint(catalog) != before;
  };
  EXPECT_TRUE(changed([](Catalog& c) { c.tables[0].columns[1].type = "character varying(32)"; }));
  EXPECT_TRUE(changed([](Catalog& c) { c.tables[0].columns[1].default_expr.reset(); }));
  EXPECT_TRUE(changed([](Catalog& c) { c.tables[0].columns[1].not_null = true; }));
  EXPECT_TRUE(changed([](Catalog& c) { c.tables[0].indexes[0].valid = false; }));
  EXPECT_TRUE(changed([](Catalog& c) { c.tables[0].constraints = {{.name = "c", .validated = false}}; }));
  EXPECT_TRUE(changed([](Catalog& c) { c.tables[0].triggers = {{.name = "t"}}; }));
  EXPECT_TRUE(changed([](Catalog& c) { c.functions[0].definition = "y"; }));
  EXPECT_TRUE(changed([](Catalog& c) { c.tables[0].options = {"fillfactor=90"}; }));
  EXPECT_TRUE(changed([](Catalog& c) { c.extensions = {{"citext", "1.6"}}; }));
  EXPECT_TRUE(changed([](Catalog& c) { c.sequences = {{.schema = "public", .name = "s"}}; }));
}

TEST(Difference, NamesTheObjectOldBesideNew) {
  Catalog b = orders();
  b.tables[0].columns[1].type = "character varying(32)";
  b.tables[0].columns.push_back({.attnum = 3, .name = "new_status", .type = "text"});
  EXPECT_THAT(difference(orders(), b),
              ElementsAre("- table public.orders: column legacy_status text DEFAULT 'pending'::text",
                          "+ table public.orders: column legacy_status character varying(32) "
                          "DEFAULT 'pending'::text",
                          "+ table public.orders: column new_status text"));
}

TEST(Difference, LeavesOutIgnoredSchemasAndIsBounded) {
  Catalog b = orders();
  for (int i = 0; i < 2'000; ++i)
    b.types.push_back({.schema = "poundlock", .name = "t" + std::to_string(i), .definition = "'a'"});
  EXPECT_THAT(difference(orders(), b, {.ignore_schemas = {"poundlock"}}), IsEmpty());
  const auto lines = difference(orders(), b);
  EXPECT_EQ(lines.size(), 1'000U);
  EXPECT_EQ(lines.back(), "... and 1001 more");
}

TEST(Catalog, FindsTablesByName) {
  Catalog catalog = orders();
  EXPECT_NE(catalog.table({"public", "orders"}), nullptr);
  EXPECT_NE(catalog.table({"", "orders"}), nullptr);
  EXPECT_EQ(catalog.table({"app", "orders"}), nullptr);
  Table twin;
  twin.schema = "a";
  twin.name = "twin";
  catalog.tables.push_back(twin);
  EXPECT_NE(catalog.table({"", "twin"}), nullptr);
  twin.schema = "b";
  catalog.tables.push_back(twin);
  EXPECT_EQ(catalog.table({"", "twin"}), nullptr);  // ambiguous
  EXPECT_NE(catalog.tables[0].column("legacy_status"), nullptr);
  EXPECT_EQ(catalog.tables[0].column("x"), nullptr);
}

}  // namespace
}  // namespace poundlock::schema
