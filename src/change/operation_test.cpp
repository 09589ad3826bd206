#include "change/operation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "change/step_json.h"
#include "change/sync.h"

namespace poundlock::change {
namespace {

using testing::HasSubstr;

std::string indented(std::string_view text) {
  std::string out = "  ";
  for (const char c : text) out += c == '\n' ? std::string("\n  ") : std::string(1, c);
  return out;
}

Result<std::unique_ptr<Operation>> parse(const std::string& yaml) {
  PL_TRY(const auto node, yaml::parse(yaml, "rollout.yaml"));
  return parse_operation(node);
}

schema::Catalog orders() {
  schema::Table table;
  table.schema = "public";
  table.name = "orders";
  schema::Column id, status, customer;
  id.name = "id";
  id.type = "bigint";
  id.not_null = true;
  status.name = "legacy_status";
  status.type = "text";
  status.default_expr = "'pending'::text";
  customer.name = "customer_id";
  customer.type = "bigint";
  table.columns = {id, status, customer};
  table.primary_key = {"id"};
  schema::Catalog catalog;
  catalog.server_version_num = 150006;
  catalog.database = "app";
  catalog.tables = {table};
  return catalog;
}

TEST(OperationTest, EveryExampleParsesAndPlans) {
  ASSERT_GE(all_operations().size(), 3u);
  for (const OperationKind* kind : all_operations()) {
    EXPECT_FALSE(kind->summary.empty());
    auto operation = parse(std::string(kind->name) + ":\n" + indented(kind->example));
    ASSERT_TRUE(operation) << kind->name << ": " << operation.error().to_string();
    EXPECT_FALSE((*operation)->title().empty());
    auto plan = (*operation)->plan(orders(), "r");
    ASSERT_TRUE(plan) << kind->name << ": " << plan.error().to_string();
    EXPECT_FALSE(plan->steps.empty());
  }
}

TEST(OperationTest, AnEntryIsOneKnownOperation) {
  EXPECT_EQ(parse("[a]").error().code, "change.operation");
  EXPECT_EQ(parse("{a: 1, b: 2}").error().code, "change.operation");
  EXPECT_THAT(parse("create_indx: {}").error().hint, HasSubstr("create_index"));
}

OperationPlan example_plan() {
  for (const OperationKind* kind : all_operations()) {
    if (kind->name != "change_column") continue;
    auto operation = parse("change_column:\n" + indented(kind->example));
    return std::move(*(*operation)->plan(orders(), "orders_status_v2"));
  }
  return {};
}

TEST(ChangeColumnPlanTest, StepsComeInTheDesignsOrder) {
  const auto plan = example_plan();
  std::vector<std::string> ids;
  for (const auto& step : plan.steps) ids.push_back(step.id);
  EXPECT_THAT(ids,
              testing::ElementsAre("dual_write.add_column", "dual_write.sync_trigger", "dual_write.backfill",
                                   "dual_write.verify", "dual_write.index_idx_orders_new_status",
                                   "dual_write.default", "contract.drop", "contract.vacuum"));
  EXPECT_EQ(plan.steps[0].sql.back(),
            "ALTER TABLE \"public\".\"orders\" ADD COLUMN \"new_status\" varchar(32)");
  EXPECT_TRUE(plan.steps[6].destructive);
}

TEST(ChangeColumnPlanTest, EveryStepHasWhatTheRunnerNeeds) {
  const auto plan = example_plan();
  for (const auto* list : {&plan.steps, &plan.open_sync, &plan.close_sync, &plan.restore}) {
    for (const auto& step : *list) {
      EXPECT_FALSE(step.title.empty()) << step.id;
      const bool rows = step.kind == StepKind::kBackfill || step.kind == StepKind::kVerify;
      EXPECT_EQ(step.in_step.has_value(), rows) << step.id;
      EXPECT_EQ(step.sql.empty(), rows) << step.id;
      if (step.kind == StepKind::kTransaction) {
        EXPECT_THAT(step.probe, testing::StartsWith("SELECT ")) << step.id;
      }
      // Nothing that must stand alone is ever put into a transaction.
      for (const auto& sql : step.sql) {
        const bool alone = sql.find("CONCURRENTLY") != std::string::npos || sql.starts_with("VACUUM");
        EXPECT_EQ(alone, step.kind == StepKind::kStandalone) << step.id;
      }
      // A lock time-out in the middle of a concurrent build would leave an INVALID index.
      if (step.kind == StepKind::kStandalone) {
        EXPECT_EQ(step.lock_timeout.count(), 0) << step.id;
      }
    }
  }
}

TEST(ChangeColumnPlanTest, TheExpandIsUndoneInOneTransaction) {
  const auto plan = example_plan();
  const auto& undo = plan.steps[0].undo;
  ASSERT_EQ(undo.size(), 5u);
  EXPECT_THAT(undo[0], testing::StartsWith("DROP TRIGGER IF EXISTS"));
  EXPECT_THAT(undo[1], testing::StartsWith("DROP FUNCTION IF EXISTS"));
  EXPECT_THAT(undo[4], testing::EndsWith("DROP COLUMN IF EXISTS \"new_status\""));
}

TEST(StepJsonTest, EveryFieldSurvives) {
  const auto plan = example_plan();
  for (const auto* list : {&plan.steps, &plan.open_sync, &plan.close_sync, &plan.restore}) {
    for (const auto& step : *list) {
      const std::string text = json::dump(to_json(step));
      auto parsed = json::parse(text, "step");
      ASSERT_TRUE(parsed);
      auto back = step_from_json(*parsed);
      ASSERT_TRUE(back) << back.error().to_string();
      EXPECT_EQ(*back, step) << text;
    }
  }
}

TEST(StepJsonTest, WhatIsMissingIsNamed) {
  auto parsed = json::parse(R"({"id": "x", "phase": "expose"})", "step");
  EXPECT_THAT(step_from_json(*parsed).error().to_string(), HasSubstr("kind"));
  parsed = json::parse(R"({"id": "x", "phase": "later", "kind": "check"})", "step");
  EXPECT_EQ(step_from_json(*parsed).error().code, "step.unknown");
}

SyncSpec spec(const std::string& up, const std::string& from = "text", const std::string& to = "text") {
  SyncSpec spec;
  spec.table = {"public", "orders"};
  spec.legacy = {"old", from, std::nullopt, false};
  spec.fresh = {"new", to, std::nullopt, false};
  spec.up = std::move(*schema::parse_expression(up));
  spec.down = std::move(*schema::parse_expression("new"));
  spec.rollout = "r";
  spec.name = "new";
  spec.column_types = {{"old", from}, {"new", to}};
  return spec;
}

TEST(SyncTest, AnExceptionBlockIsPaidOnlyWhereSomethingCanRaise) {
  EXPECT_TRUE(up_is_safe(spec("old")));
  EXPECT_FALSE(up_is_safe(spec("old", "text", "varchar(3)")));
  EXPECT_FALSE(up_is_safe(spec("lower(old)")));
  EXPECT_THAT(create_sync_function(spec("old"), SyncMode::kLegacy),
              testing::Not(HasSubstr("NEW.\"new\" := NULL")));
  EXPECT_THAT(create_sync_function(spec("lower(old)"), SyncMode::kLegacy),
              HasSubstr("EXCEPTION WHEN OTHERS"));
}

TEST(SyncTest, LooseTypesAreComparedByImage) {
  EXPECT_THAT(in_step(spec("old", "numeric", "numeric")).out_of_step, HasSubstr("record_image_ne"));
  EXPECT_THAT(in_step(spec("old")).out_of_step, HasSubstr("IS DISTINCT FROM"));
  auto collated = spec("old");
  collated.collations = true;
  EXPECT_THAT(in_step(collated).out_of_step, HasSubstr("record_image_ne"));
}

TEST(SyncTest, TextInExpressionsIsNeverTakenForAColumnOrAnEndOfTheBody) {
  const auto sql = create_sync_function(spec("'old $poundlock$ ' || old"), SyncMode::kBoth);
  EXPECT_THAT(sql, HasSubstr("'old $poundlock$ ' || NEW.\"old\""));
  EXPECT_THAT(sql, testing::EndsWith("$poundlock1$"));
}

TEST(SyncTest, ExchangedSidesKeepTheHelpersNames) {
  const auto one = spec("old");
  EXPECT_EQ(sync_function(one), sync_function(swapped(one)));
  EXPECT_EQ(sync_trigger(one), sync_trigger(swapped(one)));
  EXPECT_NE(sync_mode_probe(one, SyncMode::kLegacy), sync_mode_probe(swapped(one), SyncMode::kLegacy));
}

}  // namespace
}  // namespace poundlock::change
