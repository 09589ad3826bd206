// What a plan's settings publish: who reads the new side at each of them.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "flag/rollout_flag.h"
#include "flag/snapshot.h"
#include "rollout/flag_setting.h"

namespace poundlock::rollout {
namespace {

using boost::json::object;

Plan example() {
  Plan plan;
  FlagSpec flag;
  flag.key = "schema_v2";
  flag.steps = {1, 5, 25, 100};
  flag.rules = {{"internal", true, 100}, {"batch", false, std::nullopt}, {"beta", true, 50}};
  plan.flag = flag;
  return plan;
}

class Published {
 public:
  Published(const Plan& plan, const FlagSetting& setting) {
    const std::string document = R"({"flags": )" + flag_document(plan, setting) + "}";
    auto snapshot = flag::Snapshot::compile(document, "published");
    EXPECT_TRUE(snapshot) << snapshot.error().to_string();
    if (snapshot) snapshot_ = *snapshot;
  }
  std::string stage(const object& context) const { return variant("schema_v2.stage", context); }
  bool on(const object& context) const { return variant("schema_v2", context) == "on"; }
  // Of 4,000 users in this context, the share on the new side in per cent.
  double share(const char* context) const {
    int in = 0;
    for (int user = 0; user < 4'000; ++user) in += on(whom(user, context)) ? 1 : 0;
    return in / 40.0;
  }
  static object whom(int user, const char* context) {
    object who{{"targetingKey", "user" + std::to_string(user)}};
    if (*context) who["context"] = context;
    return who;
  }

 private:
  std::string variant(std::string_view key, const object& context) const {
    const auto got = snapshot_->evaluate(key, flag::JsonAttributes(context), 0);
    return got.variant ? got.variant->name : "nothing";
  }
  std::shared_ptr<const flag::Snapshot> snapshot_;
};

TEST(FlagDocument, StagesBeforeExposureHoldForEverybody) {
  const Plan plan = example();
  for (const char* stage : {"off", "dualwrite", "shadow"}) {
    const Published published(plan, {stage, 0, 0, true});
    for (const char* context : {"", "internal", "batch", "beta"}) {
      EXPECT_EQ(published.stage(Published::whom(1, context)), stage) << context;
      EXPECT_FALSE(published.on(Published::whom(1, context))) << context;
    }
    EXPECT_EQ(published.stage(object{}), stage);
  }
}

TEST(FlagDocument, TheFirstStepsLetInternalTrafficInOnly) {
  const Plan plan = example();
  const Published first(plan, {"live", 1, 0, true});
  EXPECT_NEAR(first.share("internal"), 1, 0.7);
  EXPECT_EQ(first.share(""), 0);
  EXPECT_EQ(first.share("beta"), 0);
  EXPECT_EQ(first.share("batch"), 0);
  const Published second(plan, {"live", 100, 0, true});
  EXPECT_EQ(second.share("internal"), 100);
  EXPECT_EQ(second.share(""), 0);
  EXPECT_EQ(second.stage(Published::whom(1, "")), "dualwrite");
}

TEST(FlagDocument, ExclusionsHoldUntilTheyAreReleased) {
  const Plan plan = example();
  const Published kept(plan, {"live", 100, 100, true});
  EXPECT_EQ(kept.share(""), 100);
  EXPECT_EQ(kept.share("batch"), 0);
  const object both{{"targetingKey", "u"}, {"context", boost::json::array{"internal", "batch"}}};
  EXPECT_FALSE(kept.on(both));
  const Published released(plan, {"live", 100, 100, false});
  EXPECT_EQ(released.share("batch"), 100);
  EXPECT_TRUE(released.on(both));
}

TEST(FlagDocument, ARulesPercentageHoldsUntilTheLastStepTakesEverybodyIn) {
  const Plan plan = example();
  EXPECT_NEAR(Published(plan, {"live", 100, 5, true}).share("beta"), 50, 4);
  EXPECT_NEAR(Published(plan, {"live", 100, 25, true}).share("beta"), 50, 4);
  EXPECT_NEAR(Published(plan, {"live", 100, 98, true}).share("beta"), 98, 1.5);
  EXPECT_EQ(Published(plan, {"live", 100, 100, true}).share("beta"), 100);
}

TEST(FlagDocument, CompleteIsAConstantEvenWithoutAKey) {
  const Plan plan = example();
  const FlagSetting complete{"complete", 100, 100, false};
  const Published published(plan, complete);
  for (const char* context : {"", "internal", "batch", "beta"}) {
    EXPECT_EQ(published.stage(Published::whom(1, context)), "complete");
  }
  EXPECT_TRUE(published.on(object{}));
  EXPECT_EQ(flag_document(plan, complete).find("targeting"), std::string::npos);
}

TEST(FlagDocument, EqualSettingsGiveEqualBytesAndOthersDoNot) {
  const Plan plan = example();
  EXPECT_EQ(flag_document(plan, {"live", 100, 5, true}), flag_document(plan, {"live", 100, 5, true}));
  EXPECT_NE(flag_document(plan, {"live", 100, 5, true}), flag_document(plan, {"live", 100, 25, true}));
}

TEST(FlagDocument, APlanWithoutAFlagPublishesNothing) {
  EXPECT_EQ(flag_document(Plan{}, {"live", 100, 5, true}), "{}");
}

TEST(FlagDocument, ASettingThatDoesNotExistIsRefused) {
  const Plan plan = example();
  EXPECT_EQ(compile_setting(*plan.flag, {"alive", 0, 0, true}).error().code, "flag.stage");
  EXPECT_EQ(compile_setting(*plan.flag, {"live", 0, 101, true}).error().code, "flag.percentage");
}

}  // namespace
}  // namespace poundlock::rollout
