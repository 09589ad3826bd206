// change_column against a real server: what its trigger does with each kind of write, odd names, refusals,
// the way forth, back, through the drop and back again.
#include "support/rollout_fixture.h"

namespace poundlock::scenario {
namespace {

using change::SyncMode;
using engine::Direction;
using rollout::OutcomeKind;
using testing::HasSubstr;

constexpr const char* kStatus = R"(
change_column:
  table: shop.orders
  from: legacy_status
  to: {name: new_status, type: varchar(8), default: "'pending'"}
  up: lower(legacy_status)
  down: upper(new_status)
  indexes: [{name: idx_new, columns: [new_status]}]
)";

class ChangeColumnTest : public RolloutFixture {
 protected:
  void make_orders() {
    must("CREATE TABLE shop.orders (id bigint PRIMARY KEY, note text, legacy_status text DEFAULT 'PENDING')");
  }
  // Expands without backfill and leaves the trigger in the mode.
  void sync(const std::string& yaml, SyncMode mode) {
    const auto made = plan(yaml);
    must_run(step(made.steps, "dual_write.add_column"));
    must_run(step(made.steps, "dual_write.sync_trigger"));
    if (mode == SyncMode::kBoth || mode == SyncMode::kNew) must_run(step(made.open_sync, "expose.open_sync"));
    if (mode == SyncMode::kNew) must_run(step(made.open_sync, "expose.open_sync_new"));
    if (mode == SyncMode::kOff) {
      for (const auto& one : made.close_sync) must_run(one);
    }
  }
  std::string after(const std::string& write) {
    must(write);
    return row("SELECT legacy_status, new_status FROM shop.orders ORDER BY id DESC LIMIT 1");
  }
  std::int64_t conflicts() {
    const auto name = must(
        "SELECT quote_ident(schemaname) || '.' || quote_ident(sequencename) FROM pg_sequences WHERE "
        "schemaname = 'poundlock' AND sequencename LIKE '%conflicts'");
    return ports::to_int(
        must("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM " + *name.rows.at(0)[0]).rows[0][0]);
  }
};

TEST_F(ChangeColumnTest, LegacyModeDerivesTheNewSideFromEveryWrite) {
  make_orders();
  sync(kStatus, SyncMode::kLegacy);
  EXPECT_EQ(after("INSERT INTO shop.orders (id, legacy_status) VALUES (1, 'PAID')"), "PAID|paid");
  EXPECT_EQ(after("UPDATE shop.orders SET legacy_status = 'SENT'"), "SENT|sent");
  EXPECT_EQ(after("UPDATE shop.orders SET legacy_status = NULL"), "<null>|<null>");
  EXPECT_EQ(after("INSERT INTO shop.orders (id) VALUES (2)"), "PENDING|pending");
  // (a) an application that writes both alike
  EXPECT_EQ(after("UPDATE shop.orders SET legacy_status = 'A', new_status = 'a' WHERE id = 2"), "A|a");
  EXPECT_EQ(conflicts(), 0);
  // (d) and the new side alone: legacy is the authority, and it is counted
  EXPECT_EQ(after("UPDATE shop.orders SET legacy_status = 'B', new_status = 'x' WHERE id = 2"), "B|b");
  EXPECT_EQ(after("UPDATE shop.orders SET new_status = 'x' WHERE id = 2"), "B|b");
  EXPECT_EQ(conflicts(), 2);
}

TEST_F(ChangeColumnTest, LegacyModeBringsOldRowsInStepOnUnrelatedUpdates) {
  make_orders();
  must("INSERT INTO shop.orders (id, legacy_status) VALUES (1, 'OLD')");
  sync(kStatus, SyncMode::kLegacy);
  EXPECT_EQ(row("SELECT new_status FROM shop.orders"), "<null>");
  EXPECT_EQ(after("UPDATE shop.orders SET note = 'moved'"), "OLD|old");  // (c)
}

TEST_F(ChangeColumnTest, BothModeDerivesWhicheverSideWasNotWritten) {
  make_orders();
  sync(kStatus, SyncMode::kBoth);
  EXPECT_EQ(after("INSERT INTO shop.orders (id, new_status, legacy_status) VALUES (1, 'paid', NULL)"),
            "PAID|paid");
  EXPECT_EQ(after("INSERT INTO shop.orders (id, new_status) VALUES (2, 'sent')"),
            "SENT|sent");  // legacy at its default
  EXPECT_EQ(after("INSERT INTO shop.orders (id, legacy_status, new_status) VALUES (3, 'SENT', 'pending')"),
            "SENT|sent");
  EXPECT_EQ(after("UPDATE shop.orders SET new_status = 'x' WHERE id = 3"), "X|x");
  EXPECT_EQ(after("UPDATE shop.orders SET legacy_status = 'Y' WHERE id = 3"), "Y|y");
  EXPECT_EQ(after("UPDATE shop.orders SET new_status = NULL WHERE id = 3"), "<null>|<null>");
  EXPECT_EQ(conflicts(), 0);
  EXPECT_EQ(after("UPDATE shop.orders SET legacy_status = 'L', new_status = 'n' WHERE id = 3"),
            "L|l");  // (d)
  EXPECT_EQ(conflicts(), 1);
}

TEST_F(ChangeColumnTest, BothModeLeavesRowsThatNobodyWrites) {
  make_orders();
  must("INSERT INTO shop.orders (id, legacy_status) VALUES (1, 'OLD')");
  sync(kStatus, SyncMode::kBoth);
  EXPECT_EQ(after("UPDATE shop.orders SET note = 'moved'"),
            "OLD|<null>");  // (c) once the new side may be written
}

TEST_F(ChangeColumnTest, NewModeLetsTheNewSideWinUnlessThePathSaysOtherwise) {
  make_orders();
  sync(kStatus, SyncMode::kNew);
  must("INSERT INTO shop.orders (id) VALUES (1)");
  EXPECT_EQ(after("UPDATE shop.orders SET legacy_status = 'L', new_status = 'n'"), "N|n");
  EXPECT_EQ(conflicts(), 1);
  must("BEGIN");
  must("SET LOCAL poundlock.path = 'legacy'");
  EXPECT_EQ(after("UPDATE shop.orders SET legacy_status = 'M', new_status = 'x'"), "M|m");
  must("COMMIT");
  // The setting ended with its transaction, and leaves an empty value behind.
  EXPECT_EQ(after("UPDATE shop.orders SET legacy_status = 'O', new_status = 'p'"), "P|p");
  // A value that is down(new) without being mapped back is in step as well.
  EXPECT_EQ(after("UPDATE shop.orders SET new_status = 'Q', legacy_status = 'Q'"), "Q|Q");
}

TEST_F(ChangeColumnTest, AnInsertByTheNewSideAloneFillsTheOldOneWhateverUpMakesOfNull) {
  const std::string yaml = R"(
change_column:
  table: shop.orders
  from: legacy_status
  to: {name: new_status, type: text}
  up: CASE legacy_status WHEN 'P' THEN 'paid' ELSE 'other' END
  down: CASE new_status WHEN 'paid' THEN 'P' ELSE 'O' END
  not_null: false
)";
  for (const SyncMode mode : {SyncMode::kBoth, SyncMode::kNew}) {
    must("DROP TABLE IF EXISTS shop.orders");
    must("DROP SCHEMA IF EXISTS poundlock CASCADE");
    must("CREATE TABLE shop.orders (id bigint PRIMARY KEY, note text, legacy_status text NOT NULL)");
    sync(yaml, mode);
    EXPECT_EQ(after("INSERT INTO shop.orders (id, new_status) VALUES (1, 'paid')"), "P|paid");
    EXPECT_EQ(after("INSERT INTO shop.orders (id, new_status) VALUES (2, 'other')"), "O|other");
    EXPECT_EQ(after("INSERT INTO shop.orders (id, legacy_status) VALUES (3, 'P')"), "P|paid");
    EXPECT_EQ(after("INSERT INTO shop.orders (id, legacy_status) VALUES (4, 'Q')"), "Q|other");
    EXPECT_EQ(after("INSERT INTO shop.orders (id, legacy_status, new_status) VALUES (5, 'Q', 'other')"),
              "Q|other");
    EXPECT_EQ(conflicts(), 0);
  }
}

TEST_F(ChangeColumnTest, PathNewIsHonouredWhileLegacyIsTheAuthority) {
  make_orders();
  sync(kStatus, SyncMode::kLegacy);
  must("INSERT INTO shop.orders (id) VALUES (1)");
  must("BEGIN");
  must("SET LOCAL poundlock.path = 'new'");
  EXPECT_EQ(after("UPDATE shop.orders SET new_status = 'x'"), "X|x");
  must("COMMIT");
}

// Every way to write a row x what the old column gives by itself x the mode, after the whole expand.
struct Written {
  const char* columns;
  const char* values;
  const char* legacy_mode;
  const char* both_mode;
  const char* new_mode;
};

class DefaultsTest : public ChangeColumnTest {
 protected:
  void expect_rows(const std::string& legacy_column, const std::vector<Written>& all) {
    for (const SyncMode mode : {SyncMode::kLegacy, SyncMode::kBoth, SyncMode::kNew}) {
      must("DROP TABLE IF EXISTS shop.orders");
      must("DROP SCHEMA IF EXISTS poundlock CASCADE");
      must("CREATE TABLE shop.orders (id bigint PRIMARY KEY, " + legacy_column + ")");
      made_ = plan(kDefaults);
      must_expand(made_);
      if (mode != SyncMode::kLegacy) must_run(step(made_.open_sync, "expose.open_sync"));
      if (mode == SyncMode::kNew) must_run(step(made_.open_sync, "expose.open_sync_new"));
      for (std::size_t i = 0; i < all.size(); ++i) {
        const Written& one = all[i];
        const char* wanted = mode == SyncMode::kLegacy ? one.legacy_mode
                             : mode == SyncMode::kBoth ? one.both_mode
                                                       : one.new_mode;
        SCOPED_TRACE(std::string("mode ") + std::to_string(static_cast<int>(mode)) + ": (" + one.columns +
                     ") " + one.values);
        EXPECT_EQ(after(std::string("INSERT INTO shop.orders (id") + one.columns + ") VALUES (" +
                        std::to_string(i + 1) + one.values + ")"),
                  wanted);
      }
    }
  }
  static constexpr const char* kDefaults = R"(
change_column:
  table: shop.orders
  from: legacy_status
  to: {name: new_status, type: text, default: "'pending'"}
  up: lower(legacy_status)
  down: upper(new_status)
  not_null: false
)";
  change::OperationPlan made_;
};

TEST_F(DefaultsTest, AnOldColumnThatMayBeNullKeepsItsNullAndTheNewOneItsValues) {
  expect_rows("legacy_status text",
              {{"", "", "<null>|<null>", "<null>|<null>", "<null>|<null>"},
               {", legacy_status", ", NULL", "<null>|<null>", "<null>|<null>", "<null>|<null>"},
               {", legacy_status", ", 'PENDING'", "PENDING|pending", "PENDING|pending", "PENDING|pending"},
               {", legacy_status", ", 'PAID'", "PAID|paid", "PAID|paid", "PAID|paid"},
               {", new_status", ", 'pending'", "<null>|<null>", "PENDING|pending", "PENDING|pending"},
               {", new_status", ", 'paid'", "<null>|<null>", "PAID|paid", "PAID|paid"},
               {", legacy_status, new_status", ", 'A', 'b'", "A|a", "A|a", "B|b"}});
  must_run(step(made_.steps, "contract.drop"));
  must("INSERT INTO shop.orders (id) VALUES (100)");
  EXPECT_EQ(row("SELECT new_status FROM shop.orders WHERE id = 100"), "pending");
  for (const auto& one : made_.restore) must_run(one);
  EXPECT_EQ(after("INSERT INTO shop.orders (id) VALUES (101)"), "<null>|<null>");
  EXPECT_EQ(after("INSERT INTO shop.orders (id, new_status) VALUES (102, 'pending')"), "PENDING|pending");
}

TEST_F(DefaultsTest, AnOldColumnThatMustHaveAValueGetsTheNewOnesDefault) {
  expect_rows("legacy_status text NOT NULL",
              {{", legacy_status", ", 'PAID'", "PAID|paid", "PAID|paid", "PAID|paid"},
               {", legacy_status", ", 'PENDING'", "PENDING|pending", "PENDING|pending", "PENDING|pending"}});
  for (const SyncMode mode : {SyncMode::kBoth, SyncMode::kNew}) {
    if (mode == SyncMode::kBoth) must_run(step(made_.open_sync, "expose.open_sync"));
    if (mode == SyncMode::kNew) must_run(step(made_.open_sync, "expose.open_sync_new"));
    must("DELETE FROM shop.orders");
    EXPECT_EQ(after("INSERT INTO shop.orders (id) VALUES (11)"), "PENDING|pending");
    EXPECT_EQ(after("INSERT INTO shop.orders (id, new_status) VALUES (12, 'pending')"), "PENDING|pending");
    EXPECT_EQ(after("INSERT INTO shop.orders (id, new_status) VALUES (13, 'paid')"), "PAID|paid");
  }
}

TEST_F(DefaultsTest, TwoDefaultsThatUpMapsMeanThatNobodyWrote) {
  expect_rows("legacy_status text DEFAULT 'PENDING'",
              {{"", "", "PENDING|pending", "PENDING|pending", "PENDING|pending"},
               {", legacy_status", ", NULL", "<null>|<null>", "<null>|<null>", "PENDING|pending"},
               {", legacy_status", ", 'PAID'", "PAID|paid", "PAID|paid", "PAID|paid"},
               {", new_status", ", 'pending'", "PENDING|pending", "PENDING|pending", "PENDING|pending"},
               {", new_status", ", 'paid'", "PENDING|pending", "PAID|paid", "PAID|paid"},
               {", new_status", ", NULL", "PENDING|pending", "PENDING|pending", "PENDING|pending"},
               {", legacy_status, new_status", ", NULL, 'paid'", "<null>|<null>", "PAID|paid", "PAID|paid"}});
}

TEST_F(ChangeColumnTest, AFailingUpNeverFailsAWriterOfTheOldSide) {
  make_orders();
  sync(kStatus, SyncMode::kLegacy);
  EXPECT_EQ(after("INSERT INTO shop.orders (id, legacy_status) VALUES (1, 'MUCH TOO LONG')"),
            "MUCH TOO LONG|<null>");
  EXPECT_EQ(after("UPDATE shop.orders SET legacy_status = 'FITS'"), "FITS|fits");
  EXPECT_EQ(after("UPDATE shop.orders SET legacy_status = 'TOO LONG AGAIN'"), "TOO LONG AGAIN|<null>");
  EXPECT_EQ(after("UPDATE shop.orders SET note = 'touch'"), "TOO LONG AGAIN|<null>");
}

constexpr const char* kNumber = R"(
change_column:
  table: shop.orders
  from: legacy_status
  to: {name: number, type: integer, default: 0}
  up: legacy_status::integer
  down: CASE WHEN number < 100 THEN number::text ELSE (1 / (number - number))::text END
  not_null: true
)";

TEST_F(ChangeColumnTest, AFailingExpressionLeavesTheDefaultWhereNullIsForbidden) {
  must(
      "CREATE TABLE shop.orders (id bigint PRIMARY KEY, note text, legacy_status text NOT NULL DEFAULT '0')");
  const auto made = plan(kNumber);
  must_expand(made);
  must("INSERT INTO shop.orders (id, legacy_status) VALUES (1, 'seven')");
  EXPECT_EQ(row("SELECT legacy_status, number FROM shop.orders"), "seven|0");
  EXPECT_EQ(run(step(made.steps, "dual_write.verify")).error->code, "verify.up_fails");
  EXPECT_THAT(run(step(made.steps, "dual_write.verify")).error->message,
              HasSubstr("(1): invalid input syntax"));
}

TEST_F(ChangeColumnTest, AFailingDownRaisesWithTheReason) {
  must(
      "CREATE TABLE shop.orders (id bigint PRIMARY KEY, note text, legacy_status text NOT NULL DEFAULT '0')");
  sync(kNumber, SyncMode::kNew);
  must("INSERT INTO shop.orders (id, number) VALUES (1, 7)");
  EXPECT_EQ(row("SELECT legacy_status, number FROM shop.orders"), "7|7");
  auto refused = session_->run("UPDATE shop.orders SET number = 100");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sqlstate, "22012");
  EXPECT_THAT(
      refused.error().message,
      HasSubstr("poundlock: number of shop.orders cannot be kept in legacy_status: division by zero"));
  EXPECT_EQ(row("SELECT legacy_status, number FROM shop.orders"), "7|7");
}

TEST_F(ChangeColumnTest, OffLeavesEverythingAlone) {
  make_orders();
  sync(kStatus, SyncMode::kOff);
  EXPECT_EQ(after("INSERT INTO shop.orders (id, legacy_status) VALUES (1, 'PAID')"), "PAID|<null>");
}

TEST_F(ChangeColumnTest, WritersWithoutRightsOfOursCountConflicts) {
  make_orders();
  sync(kStatus, SyncMode::kBoth);
  auto writer = open("writer");
  must_on(*writer, "INSERT INTO shop.orders (id, legacy_status, new_status) VALUES (1, 'A', 'b')");
  EXPECT_EQ(conflicts(), 1);
  EXPECT_EQ(row("SELECT legacy_status, new_status FROM shop.orders"), "A|a");
}

TEST_F(ChangeColumnTest, LooseEqualityDoesNotPassForEqual) {
  must("CREATE TABLE shop.prices (id int PRIMARY KEY, amount numeric, doc json)");
  const auto made = plan(R"(
change_column:
  table: shop.prices
  from: amount
  to: {name: price, type: numeric}
  up: amount
  down: price
)");
  must("INSERT INTO shop.prices VALUES (1, 1.50, '{}')");
  must_expand(made);
  must_run(step(made.open_sync, "expose.open_sync"));
  must("UPDATE shop.prices SET amount = 1.5");
  EXPECT_EQ(row("SELECT price::text FROM shop.prices"), "1.5");
  must_expand(plan(R"(
change_column:
  table: shop.prices
  from: doc
  to: {name: body, type: jsonb}
  up: doc::jsonb
  down: body::json
)",
                   "test2"));
  EXPECT_EQ(row("SELECT body FROM shop.prices"), "{}");
}

TEST_F(ChangeColumnTest, OddNamesAreQuotedEverywhere) {
  must(
      R"(CREATE TABLE shop."Order Items" ("select" int, "Id""x" bigint, "from" text DEFAULT 'a',
          "camelCase" int,
          PRIMARY KEY ("select", "Id""x")))");
  must(R"(INSERT INTO shop."Order Items" SELECT g % 3, g, 'v' || g, g FROM generate_series(1, 500) g)");
  const auto before = schema::fingerprint(catalog());
  const auto made = plan(R"(
change_column:
  table: shop."Order Items"
  from: from
  to: {name: "na'me \"; DROP", type: text, default: "'a'"}
  up: "\"Order Items\".\"from\""
  down: "\"na'me \"\"; DROP\""
  indexes: [{name: "Idx; x", columns: ["na'me \"; DROP", camelCase]}]
)");
  must_expand(made);
  EXPECT_EQ(row(R"(SELECT count(*) FROM shop."Order Items" WHERE "from" = "na'me ""; DROP")"), "500");
  for (const auto& one : made.close_sync) must_run(one);
  for (auto it = made.steps.rbegin(); it != made.steps.rend(); ++it) {
    if (it->phase == change::Phase::kDualWrite) must_run(*it, Direction::kUndo);
  }
  EXPECT_EQ(schema::fingerprint(catalog()).text, before.text);
}

TEST_F(ChangeColumnTest, RollbackLeavesTheSchemaAsItWasAndNothingOfOurs) {
  make_orders();
  must("INSERT INTO shop.orders SELECT g, 'n', 'S' || g % 7 FROM generate_series(1, 3000) g");
  const auto before = schema::fingerprint(catalog());
  const auto made = plan(kStatus);
  must_expand(made);
  EXPECT_THAT(*engine::leftovers(*session_, "test", made.steps, made.fresh), testing::SizeIs(testing::Ge(6)));
  for (const auto& one : made.close_sync) must_run(one);
  must("INSERT INTO shop.orders (id, legacy_status) VALUES (9000, 'AFTER THE SYNC STOPPED')");
  for (auto it = made.steps.rbegin(); it != made.steps.rend(); ++it) {
    if (it->phase == change::Phase::kDualWrite) must_run(*it, Direction::kUndo);
  }
  EXPECT_EQ(schema::fingerprint(catalog()).text, before.text);
  EXPECT_THAT(*engine::leftovers(*session_, "test", made.steps, made.fresh), testing::IsEmpty());
  // And forth once more: the rows are filled again.
  must("DELETE FROM shop.orders WHERE id = 9000");
  must_expand(made);
  EXPECT_EQ(row("SELECT count(*) FROM shop.orders WHERE new_status = lower(legacy_status)"), "3000");
}

TEST_F(ChangeColumnTest, ContractDropsAndRestoreBringsEverythingBack) {
  must(
      "CREATE TABLE shop.orders (id bigint PRIMARY KEY, note text, legacy_status text NOT NULL DEFAULT "
      "'PENDING' CHECK "
      "(legacy_status <> ''))");
  must("CREATE INDEX idx_legacy ON shop.orders (legacy_status) WHERE note IS NOT NULL");
  must("INSERT INTO shop.orders SELECT g, 'n', 'S' || g % 7 FROM generate_series(1, 3000) g");
  const auto before = schema::fingerprint(catalog());
  const auto made = plan(kStatus);
  must_expand(made);
  for (const auto& one : made.open_sync) must_run(one);
  must("INSERT INTO shop.orders (id, new_status) VALUES (5000, 'paid')");
  must_run(step(made.steps, "contract.drop"));
  must_run(step(made.steps, "contract.vacuum"));
  EXPECT_EQ(catalog().table({"shop", "orders"})->column("legacy_status"), nullptr);
  EXPECT_EQ(catalog().table({"shop", "orders"})->triggers.size(), 0u);
  EXPECT_TRUE(catalog().table({"shop", "orders"})->column("new_status")->not_null);
  must("INSERT INTO shop.orders (id, new_status) VALUES (5001, 'late')");
  for (const auto& one : made.restore) must_run(one);
  EXPECT_EQ(row("SELECT legacy_status FROM shop.orders WHERE id = 5001"), "LATE");
  must("UPDATE shop.orders SET legacy_status = 'BACK' WHERE id = 5001");
  EXPECT_EQ(row("SELECT new_status FROM shop.orders WHERE id = 5001"), "back");
  // With the new side taken back as well, the schema is as it was.
  for (const auto& one : made.close_sync) must_run(one);
  must_run(step(made.steps, "dual_write.add_column"), Direction::kUndo);
  EXPECT_EQ(schema::fingerprint(catalog()).text, before.text);
}

TEST_F(ChangeColumnTest, StepsAreDoneOnceInEffectHoweverOftenTheyRun) {
  make_orders();
  must("INSERT INTO shop.orders SELECT g, 'n', 'S' || g % 7 FROM generate_series(1, 300) g");
  const auto made = plan(kStatus);
  for (int again = 0; again < 2; ++again) {
    for (const auto& one : made.steps) {
      if (one.phase == change::Phase::kDualWrite) must_run(one);
    }
  }
  EXPECT_EQ(row("SELECT count(*) FROM poundlock.ledger WHERE step = 'dual_write.add_column'"), "1");
}

TEST_F(ChangeColumnTest, NoPrimaryKeyAndPartitionsAreFilledToo) {
  must("CREATE TABLE shop.orders (id bigint, note text, legacy_status text) PARTITION BY RANGE (id)");
  must("CREATE TABLE shop.orders_a PARTITION OF shop.orders FOR VALUES FROM (0) TO (1000)");
  must("CREATE TABLE shop.orders_b PARTITION OF shop.orders FOR VALUES FROM (1000) TO (5000)");
  must("INSERT INTO shop.orders SELECT g, 'n', 'S' || g % 7 FROM generate_series(1, 4000) g");
  must_expand(plan(R"(
change_column:
  table: shop.orders
  from: legacy_status
  to: {name: new_status, type: text}
  up: lower(legacy_status)
  down: upper(new_status)
)"));
  EXPECT_EQ(row("SELECT count(*) FROM shop.orders WHERE new_status = lower(legacy_status)"), "4000");
}

// What is wrong, its code, and a part of what is said.
struct Refusal {
  const char* name;
  const char* yaml;
  const char* code;
  const char* text;
  int line;
};

class RefusalTest : public RolloutFixture, public testing::WithParamInterface<Refusal> {};

TEST_P(RefusalTest, IsToldWithItsPlaceAndChangesNothing) {
  must(
      "CREATE TABLE shop.orders (id bigint PRIMARY KEY, note text, legacy_status text DEFAULT 'PENDING', "
      "ident bigint "
      "GENERATED BY DEFAULT AS IDENTITY, gen text GENERATED ALWAYS AS (note || 'x') STORED, stamp "
      "timestamptz DEFAULT now())");
  must("CREATE VIEW shop.v AS SELECT * FROM shop.orders");
  must("CREATE INDEX taken ON shop.orders (note)");
  must("CREATE FUNCTION shop.clean(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1'");
  auto refused = try_plan(GetParam().yaml);
  ASSERT_FALSE(refused) << "was planned";
  EXPECT_EQ(refused.error().code, GetParam().code) << refused.error().to_string();
  EXPECT_THAT(refused.error().to_string(), HasSubstr(GetParam().text));
  EXPECT_EQ(refused.error().disposition, Disposition::kUser);
  ASSERT_TRUE(refused.error().where);
  EXPECT_EQ(refused.error().where->line, GetParam().line);
}

#define PL_CHANGE(table, from, to, up, down) \
  "change_column:\n  table: " table "\n  from: " from "\n  to: " to "\n  up: " up "\n  down: " down "\n"
#define PL_TO "{name: new_status, type: text}"

INSTANTIATE_TEST_SUITE_P(
    All, RefusalTest,
    testing::Values(
        Refusal{"table", PL_CHANGE("shop.order", "note", PL_TO, "note", "new_status"), "change.no_table",
                "did you mean 'shop.orders'?", 2},
        Refusal{"view", PL_CHANGE("shop.v", "note", PL_TO, "note", "new_status"), "change.not_a_table",
                "is a view", 2},
        Refusal{"column", PL_CHANGE("shop.orders", "legacy_statsu", PL_TO, "note", "new_status"),
                "change.no_column", "did you mean 'legacy_status'?", 3},
        Refusal{"key", PL_CHANGE("shop.orders", "id", PL_TO, "id", "new_status"), "change.column_refused",
                "primary key", 3},
        Refusal{"generated", PL_CHANGE("shop.orders", "gen", PL_TO, "gen", "new_status"),
                "change.column_refused", "generated", 3},
        Refusal{"identity", PL_CHANGE("shop.orders", "ident", PL_TO, "ident", "new_status"),
                "change.column_refused", "identity", 3},
        Refusal{"volatile_legacy", PL_CHANGE("shop.orders", "stamp", PL_TO, "stamp", "new_status"),
                "change.volatile_default", "constant", 3},
        Refusal{"taken", PL_CHANGE("shop.orders", "note", "{name: gen, type: text}", "note", "gen"),
                "change.name_taken", "already has a column gen", 4},
        Refusal{"system", PL_CHANGE("shop.orders", "note", "{name: xmin, type: text}", "note", "xmin"),
                "change.name_taken", "system column", 4},
        Refusal{
            "long",
            PL_CHANGE("shop.orders", "note",
                      "{name: a123456789b123456789c123456789d123456789e123456789f123456789g123, type: text}",
                      "note", "note"),
            "schema.unquotable_name", "63", 4},
        Refusal{"type", PL_CHANGE("shop.orders", "note", "{name: n, type: \"text) || (1\"}", "note", "n"),
                "change.bad_type", "not one SQL type", 4},
        Refusal{"type_plus", PL_CHANGE("shop.orders", "note", "{name: n, type: \"text + 1\"}", "note", "n"),
                "change.bad_type", "not one SQL type", 4},
        Refusal{"serial", PL_CHANGE("shop.orders", "note", "{name: n, type: bigserial}", "note", "n"),
                "change.serial_type", "volatile", 4},
        Refusal{"up_syntax", PL_CHANGE("shop.orders", "note", PL_TO, "\"lower(note\"", "new_status"),
                "schema.syntax", "up:", 5},
        Refusal{"up_two", PL_CHANGE("shop.orders", "note", PL_TO, "\"note, id\"", "new_status"),
                "schema.not_one_expression", "up:", 5},
        Refusal{"up_column", PL_CHANGE("shop.orders", "note", PL_TO, "nota", "new_status"),
                "change.no_column", "did you mean 'note'?", 5},
        Refusal{"up_new", PL_CHANGE("shop.orders", "note", PL_TO, "new_status", "new_status"),
                "change.no_column", "new_status", 5},
        Refusal{"up_volatile", PL_CHANGE("shop.orders", "note", PL_TO, "\"note || random()\"", "new_status"),
                "schema.not_deterministic", "up:", 5},
        Refusal{"up_function", PL_CHANGE("shop.orders", "note", PL_TO, "clean(note)", "new_status"),
                "change.unqualified_function", "write shop.clean(...)", 5},
        Refusal{
            "volatile",
            PL_CHANGE("shop.orders", "note", "{name: n, type: text, default: \"now()::text\"}", "note", "n"),
            "change.volatile_default", "constant", 4},
        Refusal{"bare_default",
                PL_CHANGE("shop.orders", "note", "{name: n, type: text, default: pending}", "note", "n"),
                "change.bad_default", "'pending'", 4},
        Refusal{"default",
                PL_CHANGE("shop.orders", "legacy_status", "{name: n, type: text, default: \"'other'\"}",
                          "legacy_status", "n"),
                "change.default_mismatch", "'PENDING'", 4},
        Refusal{"not_null",
                PL_CHANGE("shop.orders", "note", PL_TO, "note", "new_status") "  not_null: true\n",
                "change.not_null_without_default", "not_null: false", 5},
        Refusal{"index",
                PL_CHANGE("shop.orders", "note", PL_TO, "note",
                          "new_status") "  indexes: [{name: taken, columns: [new_status]}]\n",
                "change.name_taken", "taken", 7},
        Refusal{"key_typo", PL_CHANGE("shop.orders", "note", PL_TO, "note", "new_status") "  indexs: []\n",
                "yaml.unknown_key", "indexes", 7},
        Refusal{"operation", "change_colum:\n  table: x\n", "change.unknown_operation",
                "did you mean 'change_column'?", 1}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST_F(ChangeColumnTest, RowsThatAPolicyHidesFromUsAreRefusedAtPlan) {
  make_orders();
  must("ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY");
  must("CREATE POLICY half ON shop.orders USING (id <= 500)");
  EXPECT_TRUE(try_plan(kStatus));  // the owner is not bound
  must("ALTER TABLE shop.orders FORCE ROW LEVEL SECURITY");
  const auto refused = try_plan(kStatus);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "change.rows_hidden");
  EXPECT_THAT(refused.error().hint, HasSubstr("ALTER TABLE shop.orders NO FORCE ROW LEVEL SECURITY"));
}

TEST_F(ChangeColumnTest, ADefaultThatUpDoesNotMapIsRefusedBeforeAnythingChanges) {
  make_orders();
  const auto made = plan(R"(
change_column:
  table: shop.orders
  from: legacy_status
  to: {name: n, type: text, default: "'PENDING'"}
  up: lower(legacy_status)
  down: upper(n)
)");
  const auto outcome = run(step(made.steps, "dual_write.add_column"));
  EXPECT_EQ(outcome.kind, OutcomeKind::kFailed);
  EXPECT_THAT(outcome.error->message,
              HasSubstr("`up` does not turn the default of legacy_status into the default of n"));
  EXPECT_EQ(catalog().table({"shop", "orders"})->column("n"), nullptr);
}

TEST_F(ChangeColumnTest, AnExpressionThatDoesNotFitIsFoundBeforeAWriterMeetsIt) {
  make_orders();
  const auto made = plan(R"(
change_column:
  table: shop.orders
  from: legacy_status
  to: {name: n, type: integer}
  up: legacy_status
  down: n::text
)");
  must_run(step(made.steps, "dual_write.add_column"));
  const auto outcome = run(step(made.steps, "dual_write.sync_trigger"));
  EXPECT_EQ(outcome.kind, OutcomeKind::kFailed);
  EXPECT_EQ(outcome.error->sqlstate, "42804");
  must("INSERT INTO shop.orders (id, legacy_status) VALUES (1, 'x')");
}

TEST_F(ChangeColumnTest, AdditiveOperationsExpandAndGoBack) {
  make_orders();
  const auto before = schema::fingerprint(catalog());
  const auto column =
      plan("add_column:\n  table: shop.orders\n  column: {name: extra, type: 'numeric(10,2)', default: 0}\n");
  const auto index = plan(
      "create_index:\n  table: shop.orders\n  name: by_note\n  columns: [note]\n  unique: true\n  where: "
      "note <> ''\n");
  must_expand(column);
  must_expand(index);
  EXPECT_TRUE(catalog().table({"shop", "orders"})->index("by_note")->unique);
  must_run(index.steps[0], Direction::kUndo);
  must_run(column.steps[0], Direction::kUndo);
  EXPECT_EQ(schema::fingerprint(catalog()).text, before.text);
}

}  // namespace
}  // namespace poundlock::scenario
