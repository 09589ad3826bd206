// Expressions whose value depends on the session that computes it are refused by the first step, before
// anything is changed; so are those that not every writer may call. What only looks so is let through.
#include "support/rollout_fixture.h"

namespace poundlock::scenario {
namespace {

using rollout::OutcomeKind;
using testing::AllOf;
using testing::HasSubstr;

struct Case {
  const char* name;
  const char* from;
  const char* type;
  const char* up;
  const char* down;
  const char* refused_for;  // part of the message; "" where it must go through
};

class ExpressionGuardTest : public RolloutFixture, public testing::WithParamInterface<Case> {
 protected:
  void make_rows() {
    must("CREATE TYPE shop.status AS ENUM ('new', 'paid')");
    must("CREATE DOMAIN shop.code AS text CHECK (VALUE <> '')");
    must("CREATE FUNCTION shop.clean(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT upper($1)'");
    must("CREATE FUNCTION shop.loose(text) RETURNS text STABLE LANGUAGE sql AS 'SELECT upper($1)'");
    must(
        "CREATE TABLE shop.rows (id bigint PRIMARY KEY, note text, stamp timestamp, at timestamptz, day "
        "date, "
        "doc json, tags text[], amount numeric, span interval)");
  }
  rollout::StepOutcome add(const Case& one) {
    return run(step(plan(std::string("change_column:\n  table: shop.rows\n  from: ") + one.from +
                         "\n  to: {name: fresh, type: \"" + one.type + "\"}\n  up: \"" + one.up +
                         "\"\n  down: \"" + one.down + "\"\n  not_null: false\n")
                        .steps,
                    "dual_write.add_column"));
  }
};

TEST_P(ExpressionGuardTest, IsToldBeforeAnythingChanges) {
  make_rows();
  const Case& one = GetParam();
  const auto outcome = add(one);
  const bool refused = *one.refused_for != '\0';
  ASSERT_EQ(outcome.kind, refused ? OutcomeKind::kFailed : OutcomeKind::kDone)
      << (outcome.error ? outcome.error->to_string() : "");
  if (refused) {
    EXPECT_THAT(outcome.error->message,
                AllOf(HasSubstr("may give another value in another session"), HasSubstr(one.refused_for)));
  }
  EXPECT_EQ(catalog().table({"shop", "rows"})->column("fresh") == nullptr, refused);
  EXPECT_EQ(
      row("SELECT count(*) FROM pg_class WHERE relkind = 'v' AND relnamespace = 'poundlock'::regnamespace"),
      "0");
}

INSTANTIATE_TEST_SUITE_P(
    All, ExpressionGuardTest,
    testing::Values(
        Case{"text_to_date", "note", "date", "note::date", "to_char(fresh, 'YYYY-MM-DD')", "date"},
        Case{"date_from_text", "day", "text", "to_char(day, 'YYYY-MM-DD')", "fresh::date", "date"},
        Case{"stamp_to_text", "stamp", "text", "stamp::text", "NULL::timestamp", "timestamp"},
        Case{"stamp_to_timestamptz", "stamp", "timestamptz", "stamp", "fresh", "timestamp"},
        Case{"cast_in_front", "at", "date", "at::date", "NULL::timestamptz", "date("},
        Case{"interval", "span", "text", "span::text", "NULL::interval", "interval"},
        Case{"stable_function", "note", "text", "shop.loose(note)", "fresh", "shop.loose(text)"},
        Case{"zone_said", "stamp", "timestamptz", "stamp AT TIME ZONE 'UTC'", "fresh AT TIME ZONE 'UTC'", ""},
        Case{"enumeration", "note", "shop.status", "note::shop.status", "fresh::text", ""},
        Case{"domain", "note", "shop.code", "note", "fresh::text", ""},
        Case{"json", "doc", "jsonb", "doc::jsonb", "fresh::json", ""},
        Case{"array", "tags", "shop.status[]", "tags::shop.status[]", "fresh::text[]", ""},
        Case{"number", "amount", "text", "amount::text", "fresh::numeric", ""},
        Case{"immutable_function", "note", "text", "shop.clean(note)", "lower(fresh)", ""},
        Case{"a_date_beside_it", "day", "date", "day + 1", "fresh - 1", ""}),
    [](const auto& tested) { return std::string(tested.param.name); });

// The comparison casts, and a cast cuts: the beginning of a value must not pass for all of it.
TEST_F(ExpressionGuardTest, TheBeginningOfAValueIsNotInStep) {
  make_rows();
  const auto made = plan(
      "change_column:\n  table: shop.rows\n  from: note\n  to: {name: fresh, type: varchar(8)}\n  up: note\n"
      "  down: fresh\n");
  must_run(step(made.steps, "dual_write.add_column"));
  must_run(step(made.steps, "dual_write.sync_trigger"));
  const std::string open =
      "SELECT count(*) FROM shop.rows WHERE " + step(made.steps, "dual_write.backfill").in_step->out_of_step;
  const auto after = [&](const std::string& write) {
    must(write);
    return row("SELECT note, fresh FROM shop.rows") + " " + row(open);
  };
  EXPECT_EQ(after("INSERT INTO shop.rows (id, note) VALUES (1, 'exactly8')"), "exactly8|exactly8 0");
  EXPECT_EQ(after("UPDATE shop.rows SET note = 'exactly8 and more'"), "exactly8 and more|<null> 1");
  // An assignment cuts spaces, by SQL's rule for character types.
  EXPECT_EQ(after("UPDATE shop.rows SET note = 'exactly8   '"), "exactly8   |exactly8 0");
}

TEST_F(ExpressionGuardTest, EveryWriterMayExecuteWhatTheTriggerCalls) {
  make_rows();
  must("REVOKE EXECUTE ON FUNCTION shop.clean(text) FROM PUBLIC");
  const Case one{"", "note", "text", "shop.clean(note)", "fresh", ""};
  const auto outcome = add(one);
  ASSERT_EQ(outcome.kind, OutcomeKind::kFailed);
  EXPECT_EQ(outcome.error->sqlstate, "42501");
  EXPECT_THAT(outcome.error->hint, HasSubstr("GRANT EXECUTE ON FUNCTION shop.clean(text) TO PUBLIC"));
  must("GRANT EXECUTE ON FUNCTION shop.clean(text) TO PUBLIC");
  EXPECT_EQ(add(one).kind, OutcomeKind::kDone);
}

}  // namespace
}  // namespace poundlock::scenario
