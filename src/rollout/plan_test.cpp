// make_plan: which items, in which order, for which profile; and the plan's way through the store.
#include "rollout/plan.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "rollout/config.h"
#include "rollout/gate.h"

namespace poundlock::rollout {
namespace {

using change::ColumnRef;
using change::OperationPlan;
using change::Profile;
using change::Step;
using change::StepKind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Step step(std::string id, Phase phase, StepKind kind = StepKind::kTransaction) {
  Step made;
  made.id = std::move(id);
  made.phase = phase;
  made.kind = kind;
  made.title = "do " + made.id;
  return made;
}

// An operation that makes the steps it is told.
class Scripted : public change::Operation {
 public:
  Scripted(Profile profile, OperationPlan plan) : profile_(profile), plan_(std::move(plan)) {}
  Profile profile() const override { return profile_; }
  std::string title() const override { return "orders.a -> b"; }
  Result<OperationPlan> plan(const schema::Catalog&, std::string_view) const override { return plan_; }

 private:
  Profile profile_;
  OperationPlan plan_;
};

OperationPlan column_change(const std::string& column) {
  OperationPlan plan;
  plan.steps = {step("dual_write.add_column", Phase::kDualWrite),
                step("dual_write.verify", Phase::kDualWrite, StepKind::kVerify),
                step("contract.drop", Phase::kContract)};
  plan.open_sync = {step("expose.open_sync", Phase::kExpose)};
  plan.close_sync = {step("dual_write.close_sync", Phase::kDualWrite)};
  plan.restore = {step("contract.restore", Phase::kContract)};
  plan.legacy = {{"public", "orders", column}};
  plan.fresh = {{"public", "orders", column + "_v2"}};
  plan.notes = {"note on " + column};
  return plan;
}

RolloutSpec full_spec() {
  RolloutSpec spec;
  spec.name = "orders_v2";
  spec.database = "app";
  spec.operations.push_back(std::make_unique<Scripted>(Profile::kFull, column_change("a")));
  FlagSpec flag;
  flag.key = "orders_v2";
  flag.steps = {1, 25, 100};
  flag.interval = Millis{60'000};
  flag.rules = {{"internal", true, 100}, {"batch", false, std::nullopt}};
  spec.flag = flag;
  spec.approvals = {"release", "drop"};
  return spec;
}

Plan plan_of(const RolloutSpec& spec, const PlanOptions& options = {}) {
  auto plan = make_plan(spec, {}, options);
  EXPECT_TRUE(plan) << plan.error().to_string();
  return plan ? std::move(*plan) : Plan{};
}

std::vector<std::string> ids(const Plan& plan) {
  std::vector<std::string> out;
  for (const Item& item : plan.items) out.push_back(item.id);
  return out;
}

bool has_item(const Plan& plan, std::string_view id) {
  return plan.item(id) != nullptr;
}

TEST(MakePlan, AFullRolloutGoesThroughTheFourPhasesInOrder) {
  const Plan plan = plan_of(full_spec());
  EXPECT_THAT(
      ids(plan),
      ElementsAre("prepare.parity", "prepare.lint", "prepare.paths", "prepare.dry_run", "prepare.rehearsal",
                  "prepare.baseline", "prepare.gates", "dual_write.add_column", "dual_write.verify",
                  "dual_write.flag", "dual_write.window", "expose.open_sync", "expose.internal_1",
                  "expose.internal_100", "expose.all_1", "expose.all_25", "expose.all_100", "expose.observe",
                  "contract.approve_release", "contract.release", "contract.observe", "contract.overlap",
                  "contract.close", "contract.closing", "contract.approve_drop", "contract.drop_gates",
                  "contract.verify", "contract.drop"));
  EXPECT_FALSE(plan.item("dual_write.verify")->step->open);
  EXPECT_TRUE(plan.item("contract.verify")->step->open) << "by then both sides are written";
  for (std::size_t i = 1; i < plan.items.size(); ++i) {
    EXPECT_LE(plan.items[i - 1].phase, plan.items[i].phase) << plan.items[i].id;
    EXPECT_FALSE(plan.items[i].title.empty());
  }
  EXPECT_EQ(plan.first_of(Phase::kPrepare), 0U);
  EXPECT_EQ(plan.items[plan.first_of(Phase::kExpose)].id, "expose.open_sync");
  EXPECT_EQ(*plan.index_of("contract.drop"), plan.items.size() - 1);
  EXPECT_THAT(plan.excluded_contexts(), ElementsAre("batch"));
  EXPECT_THAT(plan.notes, ElementsAre("note on a"));
}

TEST(MakePlan, EachItemCarriesWhatItNeeds) {
  const Plan plan = plan_of(full_spec());
  EXPECT_EQ(plan.item("prepare.parity")->step->check, "parity");
  EXPECT_EQ(plan.item("prepare.parity")->step->kind, StepKind::kCheck);
  EXPECT_EQ(plan.item("prepare.gates")->moment, Moment::kPrepare);
  EXPECT_EQ(plan.item("dual_write.flag")->flag, (FlagSetting{"dualwrite", 0, 0, true}));
  const Item& window = *plan.item("dual_write.window");
  EXPECT_EQ(window.window, "dual_write");
  EXPECT_EQ(window.duration, Millis{7LL * 86'400'000});
  EXPECT_EQ(window.moment, Moment::kDualWrite);
  EXPECT_EQ(plan.item("expose.internal_1")->flag, (FlagSetting{"live", 1, 0, true}));
  EXPECT_EQ(plan.item("expose.internal_100")->flag, (FlagSetting{"live", 100, 0, true}));
  EXPECT_EQ(plan.item("expose.all_25")->flag, (FlagSetting{"live", 100, 25, true}));
  EXPECT_EQ(plan.item("expose.all_25")->duration, Millis{60'000});
  EXPECT_EQ(plan.item("expose.all_25")->moment, Moment::kExpose);
  EXPECT_EQ(plan.item("expose.observe")->moment, Moment::kObserve);
  EXPECT_EQ(plan.item("contract.release")->flag, (FlagSetting{"live", 100, 100, false}));
  EXPECT_EQ(plan.item("contract.observe")->window, "observe_again");
  EXPECT_EQ(plan.item("contract.observe")->moment, Moment::kRelease);
  EXPECT_EQ(plan.item("contract.overlap")->window, "overlap");
  EXPECT_EQ(plan.item("contract.close")->flag->stage, "complete");
  EXPECT_EQ(plan.item("contract.closing")->duration, plan.windows.observe);
  EXPECT_EQ(plan.item("contract.drop_gates")->moment, Moment::kBeforeDrop);
  EXPECT_EQ(plan.item("contract.approve_drop")->approval, "drop");
}

TEST(MakePlan, ExposureGrowsFromItemToItem) {
  RolloutSpec spec = full_spec();
  spec.holdback = 2;
  spec.flag->initial_percentage = 30;
  spec.flag->rules[0].percentage = 20;  // internal's own share is smaller than the first step's
  const Plan plan = plan_of(spec);
  double internal = 0;
  double everybody = 0;
  for (const Item& item : plan.items) {
    if (!item.flag || item.flag->stage != "live") continue;
    EXPECT_GE(item.flag->internal_percentage, internal) << item.id;
    EXPECT_GE(item.flag->percentage, everybody) << item.id;
    internal = item.flag->internal_percentage;
    everybody = item.flag->percentage;
  }
  EXPECT_TRUE(has_item(plan, "expose.internal_20"));
  EXPECT_FALSE(has_item(plan, "expose.internal_30"));
}

TEST(MakePlan, AHoldbackCapsTheLastStepAndIsReleasedFirst) {
  RolloutSpec spec = full_spec();
  spec.holdback = 0.1;
  const Plan plan = plan_of(spec);
  EXPECT_FALSE(has_item(plan, "expose.all_100"));
  ASSERT_TRUE(has_item(plan, "expose.all_99.9"));
  EXPECT_EQ(plan.item("expose.all_99.9")->flag->percentage, 99.9);
  EXPECT_EQ(plan.item("contract.release_holdback")->flag, (FlagSetting{"live", 100, 100, true}));
  EXPECT_LT(*plan.index_of("contract.release_holdback"), *plan.index_of("contract.approve_release"));
}

TEST(MakePlan, WithoutExclusionsThereIsNothingToRelease) {
  RolloutSpec spec = full_spec();
  spec.flag->rules.clear();
  const Plan plan = plan_of(spec);
  EXPECT_FALSE(has_item(plan, "contract.release"));
  EXPECT_FALSE(has_item(plan, "contract.approve_release"));
  EXPECT_TRUE(has_item(plan, "contract.observe"));
  // Without a rule for internal traffic everybody's steps begin at once.
  EXPECT_EQ(plan.items[*plan.index_of("expose.open_sync") + 1].id, "expose.all_1");
}

TEST(MakePlan, ApprovalsStandWhereTheyWereAskedFor) {
  RolloutSpec spec = full_spec();
  spec.approvals = {"expose"};
  const Plan plan = plan_of(spec);
  EXPECT_EQ(plan.items[plan.first_of(Phase::kExpose)].id, "expose.approve_expose");
  EXPECT_EQ(plan.item("expose.approve_expose")->approval, "expose");
  EXPECT_FALSE(has_item(plan, "contract.approve_release"));
  EXPECT_FALSE(has_item(plan, "contract.approve_drop"));
}

TEST(MakePlan, SpeedDividesWindowsAndDwellAndNeverAGate) {
  RolloutSpec spec = full_spec();
  spec.gates["replication_lag"].deadline = Millis{60'000};
  spec.windows.dual_write = Millis{0};
  const Plan plan = plan_of(spec, {1000});
  EXPECT_EQ(plan.item("expose.all_25")->duration, Millis{60});
  EXPECT_EQ(plan.windows.overlap, Millis{14LL * 86'400});
  EXPECT_EQ(plan.item("dual_write.window")->duration, Millis{0});
  EXPECT_EQ(plan.gates.at("replication_lag").deadline, Millis{60'000});
  EXPECT_EQ(plan_of(spec, {1e9}).item("expose.all_25")->duration, Millis{1});
  for (const double speed : {0.0, -1.0, 1e12, std::nan("")}) {
    EXPECT_EQ(make_plan(spec, {}, {speed}).error().code, "plan.speed");
  }
}

TEST(MakePlan, AnAdditiveChangeEndsWithItsExpand) {
  RolloutSpec spec;
  spec.name = "idx";
  spec.profile = Profile::kAdditive;
  OperationPlan index;
  index.steps = {step("dual_write.create_index", Phase::kDualWrite, StepKind::kStandalone)};
  spec.operations.push_back(std::make_unique<Scripted>(Profile::kAdditive, index));
  const Plan plan = plan_of(spec);
  EXPECT_THAT(ids(plan),
              ElementsAre("prepare.lint", "prepare.dry_run", "prepare.gates", "dual_write.create_index"));
  EXPECT_EQ(plan.first_of(Phase::kExpose), plan.items.size());
  // Nothing measures these for an additive change; each names a gate that exists.
  for (const char* gate : {"parity", "paths_equal", "rehearsal"}) {
    ASSERT_NE(find_gate(gate), nullptr) << gate;
    EXPECT_TRUE(plan.gates.at(gate).waived) << gate;
  }
}

TEST(MakePlan, SeveralOperationsKeepTheirStepsApart) {
  RolloutSpec spec = full_spec();
  spec.operations.push_back(std::make_unique<Scripted>(Profile::kFull, column_change("b")));
  const Plan plan = plan_of(spec);
  EXPECT_TRUE(has_item(plan, "dual_write.add_column"));
  EXPECT_TRUE(has_item(plan, "dual_write.add_column_2"));
  EXPECT_EQ(plan.item("contract.drop_2")->step->id, "contract.drop_2");
  EXPECT_TRUE(has_item(plan, "expose.open_sync_2"));
  ASSERT_EQ(plan.close_sync.size(), 2U);
  EXPECT_EQ(plan.close_sync[1].id, "dual_write.close_sync_2");
  EXPECT_EQ(plan.restore.size(), 2U);
  EXPECT_EQ(plan.legacy.size(), 2U);
}

TEST(MakePlan, TwoOperationsOnOneColumnAreRefused) {
  RolloutSpec spec = full_spec();
  spec.operations.push_back(std::make_unique<Scripted>(Profile::kFull, column_change("a")));
  const Error error = make_plan(spec, {}).error();
  EXPECT_EQ(error.code, "plan.same_column");
  EXPECT_THAT(error.message, HasSubstr("public.orders.a"));
}

TEST(MakePlan, AProfileSmallerThanAnOperationNeedsIsRefused) {
  RolloutSpec spec = full_spec();
  spec.profile = Profile::kQuick;
  const Error error = make_plan(spec, {}).error();
  EXPECT_EQ(error.code, "spec.profile");
  EXPECT_THAT(error.message, HasSubstr("orders.a -> b"));
  spec = full_spec();
  spec.flag.reset();
  EXPECT_EQ(make_plan(spec, {}).error().code, "spec.no_flag");
}

TEST(MakePlan, AFaultOfAnOperationIsFoundBeforeAnythingRuns) {
  RolloutSpec spec = full_spec();
  OperationPlan odd = column_change("b");
  odd.steps[1].id = odd.steps[0].id;
  spec.operations.push_back(std::make_unique<Scripted>(Profile::kFull, odd));
  EXPECT_EQ(make_plan(spec, {}).error().disposition, Disposition::kInternal);
  spec = full_spec();
  odd = column_change("b");
  odd.steps[0].phase = Phase::kPrepare;
  spec.operations.push_back(std::make_unique<Scripted>(Profile::kFull, odd));
  EXPECT_EQ(make_plan(spec, {}).error().disposition, Disposition::kInternal);
}

schema::Catalog orders_catalog() {
  schema::Table table;
  table.schema = "public";
  table.name = "orders";
  table.owner = "app";
  schema::Column id{1, "id", "bigint", true, std::nullopt, "", "", ""};
  schema::Column status{
      2, "legacy_status", "character varying(32)", true, "'pending'::character varying", "", "", ""};
  table.columns = {id, status};
  table.primary_key = {"id"};
  schema::Catalog catalog;
  catalog.server_version_num = 150006;
  catalog.database = "app";
  catalog.tables = {table};
  return catalog;
}

TEST(MakePlan, TheExampleBecomesAPlanThatSurvivesTheStore) {
  const auto spec = parse_rollout(example_rollout(), "r.yaml");
  ASSERT_TRUE(spec) << spec.error().to_string();
  const auto plan = make_plan(*spec, orders_catalog(), {});
  ASSERT_TRUE(plan) << plan.error().to_string();
  bool backfills = false;
  bool verifies = false;
  for (const Item& item : plan->items) {
    if (!item.step) continue;
    EXPECT_EQ(item.id, item.step->id);
    backfills = backfills || item.step->kind == StepKind::kBackfill;
    verifies = verifies || item.step->kind == StepKind::kVerify;
  }
  EXPECT_TRUE(backfills && verifies);
  EXPECT_TRUE(std::any_of(plan->items.begin(), plan->items.end(),
                          [](const Item& item) { return item.step && item.step->destructive; }));
  EXPECT_THAT(plan->legacy, ElementsAre(ColumnRef{"public", "orders", "legacy_status"}));
  EXPECT_THAT(plan->fresh, ElementsAre(ColumnRef{"public", "orders", "new_status"}));
  EXPECT_FALSE(plan->close_sync.empty());
  EXPECT_FALSE(plan->restore.empty());
  const auto read = plan_from_json(to_json(*plan));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(to_json(*read), to_json(*plan));
}

TEST(MakePlan, AMissingTableIsToldWithItsPlaceInTheFile) {
  const auto spec = parse_rollout(example_rollout(), "r.yaml");
  ASSERT_TRUE(spec);
  const Error error = make_plan(*spec, {}, {}).error();
  EXPECT_EQ(error.disposition, Disposition::kUser);
  ASSERT_TRUE(error.where);
  EXPECT_EQ(error.where->file, "r.yaml");
  EXPECT_EQ(error.where->line, 5);
}

// --- through the store -----------------------------------------------------------------------------

// Every field differs from its default, so that one which is not written shows.
Plan rich_plan() {
  RolloutSpec spec = full_spec();
  spec.profile = Profile::kFull;
  spec.paths = {{"by_a", "SELECT 1", "SELECT 2", "SELECT 3", {"r.yaml", 7, 5}}};
  spec.flag->where = {"r.yaml", 9, 3};
  spec.flag->initial_percentage = 2.5;
  spec.windows = {Millis{11}, Millis{12}, Millis{13}};
  spec.gates["error_rate"] = {0.5, 7, Millis{9'000}, "because"};
  Plan plan = plan_of(spec, {0.5});
  plan.flag->enabled = false;
  plan.profile = Profile::kQuick;
  return plan;
}

TEST(PlanJson, EveryFieldComesBack) {
  const Plan plan = rich_plan();
  const auto read = plan_from_json(boost::json::parse(boost::json::serialize(to_json(plan))));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->rollout, "orders_v2");
  EXPECT_EQ(read->database, "app");
  EXPECT_EQ(read->profile, Profile::kQuick);
  EXPECT_EQ(read->speed, 0.5);
  EXPECT_EQ(read->close_sync, plan.close_sync);
  EXPECT_EQ(read->restore, plan.restore);
  EXPECT_EQ(read->legacy, plan.legacy);
  EXPECT_EQ(read->fresh, plan.fresh);
  EXPECT_EQ(read->notes, plan.notes);
  EXPECT_EQ(read->windows.overlap, Millis{22});
  EXPECT_EQ(read->windows.dual_write, Millis{24});
  EXPECT_EQ(read->windows.observe, Millis{26});
  ASSERT_EQ(read->items.size(), plan.items.size());
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const Item& a = plan.items[i];
    const Item& b = read->items[i];
    EXPECT_EQ(
        std::tie(a.id, a.kind, a.phase, a.title, a.step, a.flag, a.duration, a.window, a.approval, a.moment),
        std::tie(b.id, b.kind, b.phase, b.title, b.step, b.flag, b.duration, b.window, b.approval, b.moment))
        << a.id;
  }
  ASSERT_EQ(read->paths.size(), 1U);
  const PathSpec& path = read->paths[0];
  EXPECT_EQ(std::tie(path.name, path.legacy, path.fresh, path.sample),
            std::make_tuple("by_a", "SELECT 1", "SELECT 2", "SELECT 3"));
  EXPECT_EQ(path.where, (SourcePosition{"r.yaml", 7, 5}));
}

TEST(PlanJson, TheFlagAndTheGatesComeBack) {
  const auto read = plan_from_json(to_json(rich_plan()));
  ASSERT_TRUE(read);
  ASSERT_TRUE(read->flag);
  const FlagSpec& flag = *read->flag;
  EXPECT_EQ(flag.key, "orders_v2");
  EXPECT_FALSE(flag.enabled);
  EXPECT_THAT(flag.steps, ElementsAre(1, 25, 100));
  EXPECT_EQ(flag.initial_percentage, 2.5);
  EXPECT_EQ(flag.interval, Millis{60'000});
  EXPECT_EQ(flag.where, (SourcePosition{"r.yaml", 9, 3}));
  ASSERT_EQ(flag.rules.size(), 2U);
  EXPECT_EQ(flag.rules[0].context, "internal");
  EXPECT_EQ(flag.rules[0].percentage, 100);
  EXPECT_FALSE(flag.rules[1].enabled);
  EXPECT_FALSE(flag.rules[1].percentage);
  const GateOverride& gate = read->gates.at("error_rate");
  EXPECT_EQ(gate.limit, 0.5);
  EXPECT_EQ(gate.min_samples, 7U);
  EXPECT_EQ(gate.deadline, Millis{9'000});
  EXPECT_EQ(gate.waived, "because");
  Plan bare = rich_plan();
  bare.flag.reset();
  EXPECT_FALSE(plan_from_json(to_json(bare))->flag);
}

TEST(PlanJson, ADamagedPlanIsRefused) {
  const auto damaged = [](auto change) {
    boost::json::value json = to_json(rich_plan());
    change(json.as_object());
    return !plan_from_json(json);
  };
  EXPECT_TRUE(damaged([](auto& plan) { plan.erase("rollout"); }));
  EXPECT_TRUE(damaged([](auto& plan) { plan["profile"] = "huge"; }));
  EXPECT_TRUE(damaged([](auto& plan) { plan["items"].as_array()[0].as_object().erase("step"); }));
  EXPECT_TRUE(damaged([](auto& plan) { plan["items"].as_array()[0].as_object()["kind"] = "leap"; }));
  EXPECT_TRUE(damaged([](auto& plan) { plan["windows"].as_object()["observe_ms"] = -1; }));
  EXPECT_TRUE(damaged([](auto& plan) { plan["flag"].as_object()["steps"] = boost::json::array{1, 101}; }));
  EXPECT_FALSE(plan_from_json(boost::json::value("text")));
}

}  // namespace
}  // namespace poundlock::rollout
