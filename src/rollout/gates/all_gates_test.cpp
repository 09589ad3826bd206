// What holds for every gate, and the rules of judge_all: freshness, marks, waivers, the shared error budget.
#include <gmock/gmock.h>

#include <set>

#include "rollout/gates/gate_test_support.h"
#include "rollout/judging.h"

namespace poundlock::rollout {
namespace {

constexpr Moment kMoments[] = {Moment::kBaseline, Moment::kPrepare,    Moment::kDualWrite,
                               Moment::kExpose,   Moment::kObserve,    Moment::kRelease,
                               Moment::kExpand,   Moment::kBeforeDrop, Moment::kUndoExpand};

TEST(AllGates, SayWhoTheyAreAndWhenTheyAreJudged) {
  std::set<std::string_view> ids;
  for (const Gate* gate : all_gates()) {
    EXPECT_TRUE(ids.insert(gate->id).second) << gate->id;
    EXPECT_EQ(find_gate(gate->id), gate);
    EXPECT_FALSE(gate->title.empty()) << gate->id;
    EXPECT_FALSE(gate->why.empty()) << gate->id;
    EXPECT_FALSE(gate->unit.empty()) << gate->id;
    EXPECT_NE(gate->moments, 0U) << gate->id;
    EXPECT_NE(gate->judge, nullptr) << gate->id;
  }
  EXPECT_EQ(find_gate("no_such_gate"), nullptr);
}

TEST(AllGates, NeverPassWithANumberThatNobodyMeasured) {
  const GateBench bench;
  for (const Moment moment : kMoments) {
    const GateInput in{bench.seen, nullptr, bench.marks, bench.plan, {}, moment, 0.25, 1, bench.now};
    for (const GateReading& reading : judge_all(in, moment)) {
      EXPECT_FALSE(reading.verdict == Verdict::kPass && reading.value)
          << reading.gate << ": " << reading.reason;
      EXPECT_NE(reading.verdict, Verdict::kFail) << reading.gate << ": " << reading.reason;
      EXPECT_FALSE(reading.reason.empty()) << reading.gate;
    }
  }
}

TEST(AllGates, AskQuestionsThatTheCollectorCanTellApart) {
  const GateBench bench;
  std::map<std::string, std::string> texts;
  for (const Gate* gate : all_gates()) {
    if (!gate->questions) continue;
    for (const Question& question : gate->questions(bench.plan)) {
      EXPECT_FALSE(question.name.empty()) << gate->id;
      // Older than 15 s is unknown: a question that is asked less often would flap.
      EXPECT_LE(question.every, Millis{5000}) << question.name;
      const auto [known, fresh] = texts.try_emplace(question.name, question.sql);
      EXPECT_TRUE(fresh || known->second == question.sql) << question.name << " names two questions";
    }
  }
}

TEST(GateInput, TreatsWhatIsOlderThan15SecondsAsUnknown) {
  GateBench bench;
  bench.since("x", 7);
  const GateInput in{
      bench.seen, nullptr, bench.marks, bench.plan, {}, Moment::kExpose, 0, 1, bench.now + Millis{15'000}};
  EXPECT_EQ(in.value("x"), 107);
  EXPECT_EQ(in.since_mark("x"), 7);
  const GateInput late{
      bench.seen, nullptr, bench.marks, bench.plan, {}, Moment::kExpose, 0, 1, bench.now + Millis{15'001}};
  EXPECT_EQ(late.value("x"), std::nullopt);
  EXPECT_EQ(late.since_mark("x"), std::nullopt);
  EXPECT_EQ(in.since_mark("y"), std::nullopt);
}

TEST(GateInput, CountsFromZeroWhenStatisticsWereReset) {
  GateBench bench;
  bench.marks["x"] = 500;
  bench.observe("x", 3);
  const GateInput in{bench.seen, nullptr, bench.marks, bench.plan, {}, Moment::kExpose, 0, 1, bench.now};
  EXPECT_EQ(in.since_mark("x"), 3);
}

TEST(Settings, AreTheDefaultsThenThoseForAllThenTheGatesOwn) {
  GateBench bench;
  bench.plan.gates["all"] = {std::nullopt, 300, Millis{1000}, std::nullopt};
  bench.plan.gates["latency_p99"] = {1.5, std::nullopt, Millis{2000}, std::nullopt};
  const GateSettings p99 = settings_of(*find_gate("latency_p99"), bench.plan);
  EXPECT_EQ(p99.limit, 1.5);
  EXPECT_EQ(p99.min_samples, 300U);
  EXPECT_EQ(p99.deadline, Millis{2000});
  EXPECT_EQ(settings_of(*find_gate("latency_p95"), bench.plan).limit, 1.15);
  EXPECT_EQ(settings_of(*find_gate("breakers"), bench.plan).min_samples, 0U);
}

TEST(JudgeAll, AnswersAWaivedGateAsAPassThatSaysWhatItWouldHaveSaid) {
  GateBench bench;
  bench.plan.gates["breakers"].waived = "the client has none";
  const GateInput in{bench.seen, nullptr, bench.marks, bench.plan, {}, Moment::kExpose, 0.25, 1, bench.now};
  const auto readings = judge_all(in, Moment::kExpose);
  EXPECT_TRUE(
      std::is_sorted(readings.begin(), readings.end(), [](auto& a, auto& b) { return a.gate < b.gate; }));
  const auto breakers =
      std::find_if(readings.begin(), readings.end(), [](auto& one) { return one.gate == "breakers"; });
  ASSERT_NE(breakers, readings.end());
  EXPECT_TRUE(breakers->waived);
  EXPECT_FALSE(breakers->no_data);
  EXPECT_EQ(breakers->verdict, Verdict::kPass);
  EXPECT_THAT(breakers->reason, testing::HasSubstr("the client has none"));
  EXPECT_THAT(breakers->reason, testing::HasSubstr("unwaived: hold"));
}

TEST(JudgeAll, JudgesOnlyTheGatesOfTheMoment) {
  const GateBench bench;
  const GateInput in{bench.seen, nullptr, bench.marks, bench.plan, {}, Moment::kBeforeDrop, 1, 1, bench.now};
  for (const GateReading& reading : judge_all(in, Moment::kBeforeDrop)) {
    EXPECT_TRUE(has(find_gate(reading.gate)->moments, Moment::kBeforeDrop)) << reading.gate;
    EXPECT_EQ(reading.unit, find_gate(reading.gate)->unit);
  }
}

TEST(NumberTexts, ReadWell) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1234567), "1,234,567");
  EXPECT_EQ(percent_text(0), "0 %");
  EXPECT_EQ(percent_text(0.00025), "0.025 %");
  EXPECT_EQ(percent_text(0.0215), "2.15 %");
  EXPECT_EQ(percent_text(0.5), "50.0 %");
  EXPECT_EQ(counted(1, "row", "rows"), "1 row");
}

}  // namespace
}  // namespace poundlock::rollout
