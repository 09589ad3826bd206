// A rollout's two flags: who is in, who never is, and that nobody who is in ever falls out by growth.
#include "flag/rollout_flag.h"

#include <gtest/gtest.h>

#include "flag/definition.h"
#include "flag/snapshot.h"

namespace poundlock::flag {
namespace {

using boost::json::array;
using boost::json::object;

struct Answer {
  std::string stage;
  bool on = false;
};

class Published {
 public:
  explicit Published(const RolloutFlag& rollout) {
    auto flags = compile_rollout_flag(rollout);
    EXPECT_TRUE(flags) << flags.error().to_string();
    if (!flags) return;
    auto document = snapshot_document(std::vector<object>{*flags}, Revision{1, 2});
    EXPECT_TRUE(document);
    auto snapshot = Snapshot::compile(*document, "published");
    EXPECT_TRUE(snapshot) << snapshot.error().to_string();
    EXPECT_TRUE((*snapshot)->problems().empty());
    auto definition = parse_definition(*document, "published.json");
    EXPECT_TRUE(definition) << definition.error().to_string();
    if (!definition) return;
    EXPECT_TRUE(definition->problems.empty());
    EXPECT_TRUE(definition->warnings.empty()) << definition->warnings[0];
    EXPECT_EQ((*snapshot)->revision(), (Revision{1, 2}));
    snapshot_ = *snapshot;
  }
  Answer ask(const object& context) const {
    const JsonAttributes attributes(context);
    const Resolution stage = snapshot_->evaluate("k.stage", attributes, 0);
    const Resolution on = snapshot_->evaluate("k", attributes, 0);
    EXPECT_NE(stage.variant, nullptr);
    EXPECT_NE(on.variant, nullptr);
    return {stage.variant->name, on.variant->value.as_bool()};
  }
  bool in(const object& context) const {
    const Answer answer = ask(context);
    EXPECT_EQ(answer.on, answer.stage == "live" || answer.stage == "rampdown" || answer.stage == "complete");
    return answer.on;
  }
  const Snapshot& snapshot() const { return *snapshot_; }

 private:
  std::shared_ptr<const Snapshot> snapshot_;
};

RolloutFlag live(double percentage) {
  RolloutFlag rollout;
  rollout.key = "k";
  rollout.reached = Stage::kLive;
  rollout.percentage = percentage;
  return rollout;
}

object user(int number, boost::json::value context = nullptr) {
  object result{{"targetingKey", "customer-" + std::to_string(number)}};
  if (!context.is_null()) result["context"] = std::move(context);
  return result;
}

TEST(RolloutFlag, WhoeverIsInStaysInWhileThePercentageGrows) {
  const double steps[] = {0, 0.01, 1, 5, 25, 50, 99.99, 100};
  std::vector<Published> published;
  for (double step : steps) published.emplace_back(live(step));
  int at_five = 0;
  for (int number = 0; number < 4000; ++number) {
    bool before = false;
    for (std::size_t i = 0; i < published.size(); ++i) {
      const bool now = published[i].in(user(number));
      ASSERT_TRUE(now || !before) << "user " << number << " fell out at " << steps[i] << " %";
      before = now;
      if (steps[i] == 5 && now) ++at_five;
    }
    ASSERT_TRUE(before) << "user " << number << " is out at 100 %";
  }
  EXPECT_NEAR(at_five, 200, 60);
}

TEST(RolloutFlag, ExclusionsWinWhereverTheyStand) {
  RolloutFlag rollout = live(100);
  rollout.internal_percentage = 100;
  rollout.rules = {{"internal", 100, true}, {"cron", 100, true}, {"cron", 0, false}};
  rollout.excluded = {"batch_processor"};
  const Published published(rollout);
  EXPECT_TRUE(published.in(user(1)));
  EXPECT_TRUE(published.in(user(1, "internal")));
  EXPECT_FALSE(published.in(user(1, "cron")));
  EXPECT_FALSE(published.in(user(1, "batch_processor")));
  EXPECT_FALSE(published.in(user(1, array{"internal", "batch_processor"})));
  EXPECT_TRUE(published.in(user(1, array{"other", "internal"})));
  EXPECT_TRUE(published.in(user(1, "batch_processor_2")));
}

TEST(RolloutFlag, InternalTrafficGoesFirstAndOtherRulesWaitForEverybodysSteps) {
  RolloutFlag rollout = live(0);
  rollout.internal_percentage = 100;
  rollout.rules = {{"internal", 100, true}, {"beta", 100, true}};
  const Published first(rollout);
  EXPECT_TRUE(first.in(user(1, "internal")));
  EXPECT_FALSE(first.in(user(1, "int")));
  EXPECT_FALSE(first.in(user(1, "beta")));
  EXPECT_FALSE(first.in(user(1)));
  rollout.percentage = 0.01;
  const Published second(rollout);
  EXPECT_TRUE(second.in(user(1, "beta")));
}

TEST(RolloutFlag, WithoutATargetingKeyThatIsTextNobodyIsIn) {
  const Published published(live(100));
  EXPECT_FALSE(published.in({}));
  EXPECT_FALSE(published.in({{"targetingKey", ""}}));
  EXPECT_FALSE(published.in({{"targetingKey", nullptr}}));
  EXPECT_FALSE(published.in({{"targetingKey", 42}}));
  EXPECT_FALSE(published.in({{"targetingKey", true}}));
  EXPECT_FALSE(published.in({{"targetingKey", array{"a"}}}));
  EXPECT_TRUE(published.in({{"targetingKey", "42"}}));
}

TEST(RolloutFlag, StagesBeforeLiveHoldForEverybody) {
  for (Stage stage : {Stage::kOff, Stage::kDualwrite, Stage::kShadow}) {
    RolloutFlag rollout = live(100);
    rollout.reached = stage;
    const Published published(rollout);
    EXPECT_EQ(published.ask(user(1)).stage, to_string(stage));
    EXPECT_FALSE(published.ask(user(1)).on);
  }
  RolloutFlag off = live(100);
  off.enabled = false;
  EXPECT_EQ(Published(off).ask(user(1)).stage, "dualwrite");
  RolloutFlag ramp = live(100);
  ramp.reached = Stage::kRampdown;
  EXPECT_EQ(Published(ramp).ask(user(1)).stage, "rampdown");
}

TEST(RolloutFlag, CompleteIsAConstantForEverybody) {
  RolloutFlag rollout = live(0);
  rollout.complete = true;
  rollout.excluded = {"batch_processor"};
  const Published published(rollout);
  EXPECT_EQ(published.ask({}).stage, "complete");
  EXPECT_TRUE(published.in(user(1, "batch_processor")));
  EXPECT_TRUE(published.snapshot().find("k.stage")->is_constant("complete"));
}

TEST(RolloutFlag, RefusesWhatCannotBeMeant) {
  const auto code = [](const RolloutFlag& rollout) {
    auto flags = compile_rollout_flag(rollout);
    return flags ? std::string() : flags.error().code;
  };
  EXPECT_EQ(code(live(101)), "flag.percentage");
  EXPECT_EQ(code(live(-0.1)), "flag.percentage");
  RolloutFlag rollout = live(1);
  rollout.key = "k.stage";
  EXPECT_EQ(code(rollout), "flag.key");
  rollout.key = "";
  EXPECT_EQ(code(rollout), "flag.key");
  rollout = live(1);
  rollout.others = Stage::kLive;
  EXPECT_EQ(code(rollout), "flag.stage");
  rollout = live(1);
  rollout.rules = {{"", 5, true}};
  EXPECT_EQ(code(rollout), "flag.context");
  const std::vector<object> twice{object{{"k", 1}}, object{{"k", 2}}};
  EXPECT_EQ(snapshot_document(twice, {}).error().code, "flag.duplicate_key");
}

}  // namespace
}  // namespace poundlock::flag
