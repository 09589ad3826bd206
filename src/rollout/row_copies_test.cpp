#include "rollout/row_copies.h"

#include <gmock/gmock.h>

namespace poundlock::rollout {
namespace {

using testing::HasSubstr;

TEST(RowCopies, AreFoundInEverySpelling) {
  for (const char* text : {"insert into hist select (new).*; return null;", "INSERT INTO h SELECT NEW.*",
                           "insert into h values (new.*)", "INSERT INTO h SELECT now(), OLD.*",
                           "insert into h\nselect\n  ( NEW ) . *",
                           "EXECUTE 'INSERT INTO h SELECT ($1).*'"
                           " USING NEW; INSERT INTO h VALUES ((NEW).*, now())",
                           "select distinct new.* into r"}) {
    EXPECT_TRUE(copies_rows(text)) << text;
  }
}

TEST(RowCopies, ComparingAndPassingOnIsNoCopy) {
  for (const char* text :
       {"IF OLD.* IS DISTINCT FROM NEW.* THEN", "if (new.*) is not distinct from (old.*) then",
        "x := to_jsonb(NEW.*); y := hstore(new.*);", "-- insert into h select new.*\nreturn new;",
        "/* select (new).* */ return new;", "SELECT renew.* FROM renew", "select count(*) from \"new\"",
        "INSERT INTO h (id, s) VALUES (NEW.id, NEW.s)", "new.amount := new.price * 2"}) {
    EXPECT_FALSE(copies_rows(text)) << text;
  }
}

TEST(RowCopies, AreToldWithTriggerAndFunction) {
  schema::Catalog catalog;
  schema::Table orders;
  orders.schema = "public";
  orders.name = "orders";
  schema::Trigger trigger;
  trigger.name = "history";
  trigger.function = "public.keep_history";
  orders.triggers = {trigger};
  catalog.functions = {
      {1, "public", "keep_history", "", 'f', "begin insert into h select new.*; return new; end"}};
  const auto status = check_row_copies(catalog, orders);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().disposition, Disposition::kUser);
  EXPECT_THAT(status.error().message,
              HasSubstr("trigger history of public.orders calls public.keep_history()"));
  catalog.functions[0].definition = "begin insert into h (id) values (new.id); return new; end";
  EXPECT_TRUE(check_row_copies(catalog, orders));
}

}  // namespace
}  // namespace poundlock::rollout
