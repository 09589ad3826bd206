// The whole rollout forward and back on a shadow, and what makes a rehearsal fail.
#include "engine/checks/rehearsal.h"

#include <fmt/format.h>

#include "support/checks_fixture.h"

namespace poundlock::scenario {
namespace {

using engine::LegVerdict;
using testing::HasSubstr;

constexpr const char* kChange = R"(
  - change_column:
      table: shop."Order Items"
      from: legacyStatus
      to: {name: newStatus, type: text, default: "'open'"}
      up: '"legacyStatus"'
      down: '"newStatus"'
      indexes: [{name: idx_new_status, columns: [newStatus]}]
)";

class RehearsalTest : public ChecksFixture {
 protected:
  void SetUp() override {
    ChecksFixture::SetUp();
    must(
        "CREATE TABLE shop.\"Order Items\" (id bigint PRIMARY KEY, \"legacyStatus\" text NOT NULL DEFAULT "
        "'open')");
    must("CREATE INDEX idx_legacy ON shop.\"Order Items\" (\"legacyStatus\")");
    must("INSERT INTO shop.\"Order Items\" SELECT g, 'S' || g % 7 FROM generate_series(1, 3000) g");
    must("ANALYZE shop.\"Order Items\"");
  }
  rollout::Plan plan() { return plan_of(kChange, "  - {name: p, legacy: SELECT 1, new: SELECT 1}\n"); }
  engine::RehearsalReport rehearse(const rollout::Plan& plan, const engine::RehearsalOptions& options = {}) {
    const auto copy = shadow();
    const auto ports = ports_with(*copy);
    auto report = engine::rehearse({ports, plan}, options);
    EXPECT_TRUE(report) << report.error().to_string();
    return report ? std::move(*report) : engine::RehearsalReport{};
  }
  static std::string text(const engine::RehearsalReport& report) {
    std::string out;
    for (const auto& one : report.legs)
      out += fmt::format("{} {} {} {} {}\n", change::to_string(one.phase), one.at, one.direction,
                         to_string(one.verdict), one.detail);
    for (const auto& note : report.notes) out += note + "\n";
    return out;
  }
  static const engine::RehearsalLeg& leg(const engine::RehearsalReport& report, const std::string& at) {
    for (const auto& one : report.legs)
      if (one.at == at) return one;
    ADD_FAILURE() << "no leg " << at << " in\n" << text(report);
    static const engine::RehearsalLeg none;
    return none;
  }
};

TEST_F(RehearsalTest, GoesForwardAndBackFromEveryPhaseAndTheMiddleOfEveryStep) {
  const auto plan = this->plan();
  const auto report = rehearse(plan);
  EXPECT_EQ(report.failures(), 0) << text(report);
  for (const auto& one : report.legs) EXPECT_EQ(one.verdict, LegVerdict::kPassed) << text(report);
  for (const auto* step : engine::forward_steps(plan, change::Phase::kDualWrite))
    leg(report, "in the middle of " + step->id);
  leg(report, "before the drop");
  EXPECT_EQ(leg(report, "after the drop").direction, "restore");
  EXPECT_EQ(report.legs.back().direction, "forward");
  EXPECT_GT(report.wal_records_ratio, 0.5);
  EXPECT_TRUE(report.notes.empty()) << text(report);
  EXPECT_EQ(row("SELECT count(*) FROM pg_database WHERE datname = 'app_poundlock_shadow'"), "0");
}

// The middle is really reached: what a stopped step leaves is there before it is taken back.
TEST_F(RehearsalTest, AStepStoppedInItsMiddleLeavesWhatAKillLeaves) {
  const auto plan = this->plan();
  const auto copy = shadow();
  const auto ports = ports_with(*copy);
  const engine::CheckContext context{ports, plan};
  auto use = engine::ShadowUse::create(context);
  ASSERT_TRUE(use) << use.error().to_string();
  auto session = std::move(*use->database().connect());
  const auto answer = [&](const std::string& sql) {
    return must_on(*session, sql).rows.at(0).at(0).value_or("");
  };
  for (const auto* step : engine::forward_steps(plan, change::Phase::kDualWrite)) {
    const auto stopped = engine::stop_in_the_middle(context, use->database(), *step);
    ASSERT_TRUE(stopped) << step->id << ": " << stopped.error().to_string();
    if (step->kind == change::StepKind::kBackfill) {
      const auto done = answer("SELECT count(\"newStatus\") FROM shop.\"Order Items\"");
      EXPECT_GT(std::stoi(done), 0);
      EXPECT_LT(std::stoi(done), 3000);
    }
    if (step->kind == change::StepKind::kStandalone) {
      EXPECT_EQ(answer("SELECT indisvalid FROM pg_index WHERE indexrelid = 'shop.idx_new_status'::regclass"),
                "f");
    }
    if (step->kind == change::StepKind::kTransaction) {
      EXPECT_EQ(answer(step->probe), "f") << step->id;
    }
    ASSERT_TRUE(engine::perform_on_shadow(context, use->database(), *step, engine::Direction::kForward))
        << step->id;
  }
}

TEST_F(RehearsalTest, AnUndoThatLeavesSomethingFails) {
  auto plan = this->plan();
  for (auto& item : plan.items) {
    if (!item.step || item.step->id != "dual_write.add_column") continue;
    item.step->sql.push_back("CREATE TABLE shop.forgotten ()");
  }
  const auto report = rehearse(plan, {.each_step = false});
  EXPECT_EQ(report.failures(), 1) << text(report);
  const auto& failed = leg(report, "at its end");
  EXPECT_EQ(failed.verdict, LegVerdict::kFailed);
  EXPECT_THAT(failed.detail, HasSubstr("too much: table shop.forgotten"));
  EXPECT_EQ(report.legs.back().verdict, LegVerdict::kSkipped);
}

TEST_F(RehearsalTest, StepsBeyondTheBudgetAreSaidToBeSkipped) {
  const auto report = rehearse(plan(), {.each_step = true, .budget = Millis{0}});
  EXPECT_EQ(report.failures(), 0) << text(report);
  EXPECT_EQ(leg(report, "in the middle of dual_write.backfill").verdict, LegVerdict::kSkipped);
  EXPECT_EQ(leg(report, "once more").verdict, LegVerdict::kPassed);
}

TEST_F(RehearsalTest, WhatWasSkippedIsNamedInTheGatesText) {
  must("DROP DATABASE IF EXISTS kept WITH (FORCE)");
  must("CREATE DATABASE kept");
  must("COMMENT ON DATABASE kept IS 'poundlock.shadow = on'");
  postgres::ShadowOptions options;
  options.given = cluster_->database("app", "kept");
  {
    const auto there = std::move(*options.given->connect());
    must_on(*there, "CREATE SCHEMA shop");
    must_on(*there,
            "CREATE TABLE shop.\"Order Items\" (id bigint PRIMARY KEY, \"legacyStatus\" text NOT NULL)");
    must_on(*there, "CREATE INDEX idx_legacy ON shop.\"Order Items\" (\"legacyStatus\")");
    must_on(*there, "INSERT INTO shop.\"Order Items\" SELECT g, 'S' || g % 7 FROM generate_series(1, 300) g");
  }
  const auto given = postgres::make_pg_dump_shadow(*database_, clock_, std::move(options));
  const auto ports = ports_with(*given);
  const auto result = engine::check_rehearsal({ports, plan()});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(result->figures.at("failures"), 0) << result->detail;
  EXPECT_THAT(result->detail,
              HasSubstr("skipped: contract, the drop, forward: a clone cannot take the drop back"));
}

TEST_F(RehearsalTest, AViewOnTheLegacyColumnIsSetAsideAndNamed) {
  must("CREATE VIEW shop.open_items AS SELECT id FROM shop.\"Order Items\" WHERE \"legacyStatus\" = 'open'");
  must("CREATE VIEW shop.above AS SELECT * FROM shop.open_items");
  const auto report = rehearse(plan(), {.each_step = false});
  EXPECT_EQ(report.failures(), 0) << text(report);
  ASSERT_EQ(report.notes.size(), 1U) << text(report);
  EXPECT_THAT(report.notes[0], HasSubstr("view shop.open_items reads shop.\"Order Items\".\"legacyStatus\""));
  EXPECT_THAT(report.notes[0], HasSubstr("CREATE OR REPLACE VIEW"));
}

// What `down` makes of a value has to give it back: else a reader of legacy, and everybody after a rollback,
// sees another one.
TEST_F(RehearsalTest, ADownThatLosesWhatTheNewSideWritesFails) {
  const auto with_down = [&](const std::string& up, const std::string& down) {
    return plan_of(fmt::format("  - change_column:\n"
                               "      table: shop.\"Order Items\"\n"
                               "      from: legacyStatus\n"
                               "      to: {{name: newStatus, type: text}}\n"
                               "      not_null: false\n"
                               "      up: \"{}\"\n"
                               "      down: \"{}\"\n",
                               up, down),
                   "  - {name: p, legacy: SELECT 1, new: SELECT 1}\n");
  };
  const auto broken = rehearse(with_down(R"(\"legacyStatus\")", "'open'"), {.each_step = false});
  const auto& failed = leg(broken, "what the new side writes");
  EXPECT_EQ(failed.verdict, LegVerdict::kFailed) << text(broken);
  EXPECT_THAT(failed.detail, HasSubstr("values that the new side wrote are lost"));
  EXPECT_EQ(broken.failures(), 1) << "the ways after it are walked all the same\n" << text(broken);
  EXPECT_EQ(broken.legs.back().verdict, LegVerdict::kPassed) << text(broken);
  const auto null =
      rehearse(with_down(R"(\"legacyStatus\")", R"(nullif(\"newStatus\", 'S3'))"), {.each_step = false});
  EXPECT_THAT(leg(null, "what the new side writes").detail, HasSubstr("`down` gives NULL")) << text(null);
  // Two spellings that become one: the legacy side gets another one back, and the new side loses nothing.
  const auto merged =
      rehearse(with_down(R"(lower(\"legacyStatus\"))", R"(upper(\"newStatus\"))"), {.each_step = false});
  EXPECT_EQ(merged.failures(), 0) << text(merged);
}

// A key refuses another row's value; json has no equality.
TEST_F(RehearsalTest, AColumnThatRefusesOtherRowsValuesIsRehearsedAllTheSame) {
  must("CREATE TABLE shop.keyed (id bigint PRIMARY KEY, \"legacyStatus\" text UNIQUE DEFERRABLE)");
  must("INSERT INTO shop.keyed SELECT g, 'S' || g FROM generate_series(1, 500) g");
  must("CREATE TABLE shop.noted (id bigint PRIMARY KEY, \"legacyStatus\" json)");
  must("INSERT INTO shop.noted SELECT g, json_build_object('a', g) FROM generate_series(1, 500) g");
  const auto change_of = [&](const std::string& table, const std::string& type) {
    return plan_of(fmt::format("  - change_column:\n"
                               "      table: shop.{}\n"
                               "      from: legacyStatus\n"
                               "      to: {{name: newStatus, type: {}}}\n"
                               "      up: '\"legacyStatus\"'\n"
                               "      down: '\"newStatus\"'\n",
                               table, type),
                   "  - {name: p, legacy: SELECT 1, new: SELECT 1}\n");
  };
  const auto noted = rehearse(change_of("noted", "json"), {.each_step = false});
  EXPECT_EQ(noted.failures(), 0) << text(noted);
  EXPECT_TRUE(noted.notes.empty()) << text(noted);
  const auto keyed = rehearse(change_of("keyed", "text"), {.each_step = false});
  EXPECT_EQ(keyed.failures(), 0) << text(keyed);
  EXPECT_GT(keyed.wal_ratio, 0);
  EXPECT_THAT(text(keyed), HasSubstr("measured on rows that keep their values"));
  EXPECT_THAT(text(keyed), testing::Not(HasSubstr("(S"))) << "no value of a row";
}

// PostgreSQL builds no index of a partitioned table concurrently, on any level.
TEST_F(RehearsalTest, AnIndexOfAPartitionedTableComesBackWithTheColumn) {
  must("CREATE TABLE shop.\"Tree\" (id bigint, \"legacyStatus\" text) PARTITION BY RANGE (id)");
  must("CREATE TABLE shop.tree_1 PARTITION OF shop.\"Tree\" FOR VALUES FROM (0) TO (100)");
  must("CREATE SCHEMA IF NOT EXISTS far");
  must(
      "CREATE TABLE far.tree_2 PARTITION OF shop.\"Tree\" FOR VALUES FROM (100) TO (900) PARTITION BY RANGE "
      "(id)");
  must("CREATE TABLE far.\"Leaf 1\" PARTITION OF far.tree_2 FOR VALUES FROM (100) TO (300)");
  must("CREATE TABLE far.leaf_2 PARTITION OF far.tree_2 DEFAULT");
  must("CREATE INDEX \"By Status\" ON shop.\"Tree\" (\"legacyStatus\", id)");
  must("INSERT INTO shop.\"Tree\" SELECT g, 'S' || g % 7 FROM generate_series(1, 500) g");
  const auto report = rehearse(plan_of(R"(  - change_column:
      table: shop."Tree"
      from: legacyStatus
      to: {name: newStatus, type: text}
      up: '"legacyStatus"'
      down: '"newStatus"'
)",
                                       "  - {name: p, legacy: SELECT 1, new: SELECT 1}\n"),
                               {.each_step = false});
  EXPECT_EQ(report.failures(), 0) << text(report);
  EXPECT_EQ(leg(report, "after the drop").verdict, LegVerdict::kPassed) << text(report);
  must("DROP SCHEMA far CASCADE");
}

// What is no view cannot be set aside: the error names it and says what to do.
// updated_at and version: no UPDATE leaves them as they are, and a rehearsal is made of UPDATEs.
TEST_F(RehearsalTest, ColumnsThatATriggerWritesAtEveryUpdateAreNotComparedAndNamed) {
  must(
      "ALTER TABLE shop.\"Order Items\" ADD COLUMN version int NOT NULL DEFAULT 0, ADD COLUMN \"updatedAt\" "
      "timestamptz DEFAULT '2020-01-01', ADD COLUMN upper text");
  must(
      "CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.version := OLD.version "
      "+ 1; IF NEW IS DISTINCT FROM OLD THEN NEW.\"updatedAt\" := pg_catalog.clock_timestamp(); END IF; "
      "NEW.upper := pg_catalog.upper(NEW.\"legacyStatus\"); RETURN NEW; END $$");
  must("UPDATE shop.\"Order Items\" SET upper = pg_catalog.upper(\"legacyStatus\")");
  must(
      "CREATE TRIGGER touch BEFORE UPDATE ON shop.\"Order Items\" FOR EACH ROW EXECUTE FUNCTION "
      "shop.touch()");
  must("ANALYZE shop.\"Order Items\"");
  const auto report = rehearse(plan());
  EXPECT_EQ(report.failures(), 0) << text(report);
  EXPECT_THAT(text(report),
              HasSubstr("shop.\"Order Items\": not compared: updatedAt, version, which the trigger "
                        "touch writes at every UPDATE"));

  // Whatever else differs is seen as before.
  must(
      "CREATE FUNCTION shop.log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shop.\"Order "
      "Items\" "
      "(id) SELECT max(id) + 1 FROM shop.\"Order Items\"; RETURN NULL; END $$");
  must(
      "CREATE TRIGGER log AFTER UPDATE ON shop.\"Order Items\" FOR EACH STATEMENT EXECUTE FUNCTION "
      "shop.log()");
  const auto logged = rehearse(plan());
  EXPECT_GT(logged.failures(), 0) << text(logged);
  EXPECT_THAT(text(logged), HasSubstr("the data is not as expected"));
}

TEST_F(RehearsalTest, WhatElseDependsOnTheColumnIsNamedInTheError) {
  must("ALTER TABLE shop.\"Order Items\" ENABLE ROW LEVEL SECURITY");
  must("CREATE POLICY seen ON shop.\"Order Items\" USING (\"legacyStatus\" <> 'hidden')");
  const auto report = rehearse(plan(), {.each_step = false});
  const auto& failed = leg(report, "the drop");
  EXPECT_EQ(failed.verdict, LegVerdict::kFailed) << text(report);
  EXPECT_THAT(failed.detail, HasSubstr("policy seen on table shop.\"Order Items\""));
  EXPECT_THAT(failed.detail, HasSubstr("between the expand and the drop"));
  EXPECT_THAT(failed.detail, testing::Not(HasSubstr("zzz_poundlock"))) << "ours goes with the drop";
}

}  // namespace
}  // namespace poundlock::scenario
