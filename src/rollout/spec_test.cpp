// Rollout files: what is read, and that everything wrong is told with its place and what to do.
#include "rollout/spec.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "rollout/config.h"

namespace poundlock::rollout {
namespace {

using change::Profile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kFull = R"(rollout: orders_v2
database: app
change:
  - change_column:
      table: orders
      from: legacy_status
      to: {name: new_status, type: varchar(32)}
      up: legacy_status
      down: new_status
paths:
  - name: by_status
    legacy: SELECT id FROM orders WHERE legacy_status = $1
    new: SELECT id FROM orders WHERE new_status = $1
feature_flags:
  orders_v2:
    steps: [1, 5, 100]
    targeting_rules:
      - {context: internal, percentage: 100}
windows: {overlap: 14d}
gates: {}
)";

RolloutSpec parsed(std::string_view text) {
  auto spec = parse_rollout(text, "r.yaml");
  EXPECT_TRUE(spec) << spec.error().to_string();
  return spec ? std::move(*spec) : RolloutSpec{};
}

std::string with(std::string_view from, std::string_view to) {
  std::string text(kFull);
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

std::vector<double> steps_of(std::string_view lines) {
  const RolloutSpec spec = parsed(with("steps: [1, 5, 100]", lines));
  return spec.flag ? spec.flag->steps : std::vector<double>{};
}

// --- what is read ----------------------------------------------------------------------------------

TEST(Spec, TheExampleParsesAsItStands) {
  const RolloutSpec spec = parsed(example_rollout());
  EXPECT_EQ(spec.name, "orders_status_v2");
  EXPECT_EQ(spec.database, "app");
  EXPECT_EQ(spec.profile, Profile::kFull);
  ASSERT_EQ(spec.operations.size(), 1U);
  ASSERT_EQ(spec.paths.size(), 1U);
  EXPECT_EQ(spec.paths[0].name, "by_status");
  EXPECT_EQ(spec.paths[0].fresh, "SELECT id, new_status AS status FROM orders WHERE new_status = $1");
  EXPECT_EQ(spec.paths[0].where.line, 12);
  ASSERT_TRUE(spec.flag);
  EXPECT_EQ(spec.flag->key, "schema_v2_migration");
  EXPECT_EQ(spec.flag->initial_percentage, 1);
  EXPECT_EQ(spec.flag->interval, Millis{15 * 60'000});
  ASSERT_EQ(spec.flag->steps.size(), 21U);
  EXPECT_EQ(spec.flag->steps[1], 6);
  EXPECT_EQ(spec.flag->steps[19], 96);
  EXPECT_EQ(spec.flag->steps[20], 100);
  ASSERT_EQ(spec.flag->rules.size(), 2U);
  EXPECT_EQ(spec.flag->rules[0].percentage, 100);
  EXPECT_EQ(spec.flag->rules[1].context, "batch_processor");
  EXPECT_FALSE(spec.flag->rules[1].enabled);
  EXPECT_EQ(spec.windows.observe, Millis{72LL * 3'600'000});
  EXPECT_THAT(spec.approvals, ElementsAre("release", "drop"));
  EXPECT_EQ(spec.source, example_rollout());
}

TEST(Spec, StepsComeFromAListAnIncrementOrTheUsualOnes) {
  EXPECT_THAT(steps_of("steps: [1, 5, 25, 50, 100]"), ElementsAre(1, 5, 25, 50, 100));
  EXPECT_THAT(steps_of("increment_step: 40"), ElementsAre(1, 41, 81, 100));
  EXPECT_THAT(steps_of("initial_percentage: 20\n    increment_step: 40"), ElementsAre(20, 60, 100));
  EXPECT_THAT(steps_of("initial_percentage: 100\n    increment_step: 40"), ElementsAre(100));
  EXPECT_THAT(steps_of("initial_percentage: 99.7\n    increment_step: 0.1"),
              ElementsAre(99.7, 99.8, 99.9, 100));
  EXPECT_THAT(steps_of("enabled: true"), ElementsAre(1, 5, 25, 50, 100));
  EXPECT_THAT(steps_of("initial_percentage: 10"), ElementsAre(10, 25, 50, 100));
  const RolloutSpec spec = parsed(with("[1, 5, 100]", "[3, 100]"));
  EXPECT_EQ(spec.flag->initial_percentage, 3);  // internal's first share is the first step
}

TEST(Spec, TheProfileIsWhatTheChangeNeedsUnlessGiven) {
  EXPECT_EQ(parsed(kFull).profile, Profile::kFull);
  EXPECT_THAT(parsed(with("gates: {}", "approvals: []")).approvals, ElementsAre());
  EXPECT_THAT(parsed(with("gates: {}", "approvals: [expose]")).approvals, ElementsAre("expose"));
}

TEST(Spec, GatesTakeWhatDiffersAndAKeyForAll) {
  const RolloutSpec spec = parsed(with("gates: {}", R"(gates:
  all: {min_samples: 500, deadline: 2m}
  error_rate: {limit: 0.002, min_samples: 100, deadline: 10m}
  parity: {waive: "one environment only"})"));
  EXPECT_EQ(spec.gates.at("all").min_samples, 500U);
  EXPECT_EQ(spec.gates.at("all").deadline, Millis{120'000});
  EXPECT_EQ(spec.gates.at("error_rate").limit, 0.002);
  EXPECT_EQ(spec.gates.at("error_rate").min_samples, 100U);
  EXPECT_EQ(spec.gates.at("error_rate").deadline, Millis{600'000});
  EXPECT_FALSE(spec.gates.at("error_rate").waived);
  EXPECT_EQ(spec.gates.at("parity").waived, "one environment only");
}

TEST(Spec, APathMayHaveASampleAndWrite) {
  const RolloutSpec spec = parsed(with("  - name: by_status", R"(  - name: set_status
    legacy: UPDATE orders SET legacy_status = $2 WHERE id = $1
    new: UPDATE orders SET new_status = $2 WHERE id = $1;
    sample: SELECT id, '$9' FROM orders LIMIT 10
  - name: by_status)"));
  ASSERT_EQ(spec.paths.size(), 2U);
  EXPECT_EQ(spec.paths[0].sample, "SELECT id, '$9' FROM orders LIMIT 10");
  EXPECT_EQ(spec.paths[0].fresh, "UPDATE orders SET new_status = $2 WHERE id = $1");
}

TEST(Spec, EmptySectionsAreAsGoodAsNone) {
  const RolloutSpec spec = parsed(with("gates: {}", "gates:"));
  EXPECT_TRUE(spec.gates.empty());
  EXPECT_EQ(parsed(with("windows: {overlap: 14d}", "windows:")).windows.overlap, Millis{14LL * 86'400'000});
}

// --- what is refused -------------------------------------------------------------------------------

// In `to`, § stands before the character to which the error must point.
struct Bad {
  const char* what;
  const char* from;
  const char* to;
  const char* message;
  const char* hint;  // in the whole text: the message may carry the suggestion
};

void PrintTo(const Bad& bad, std::ostream* out) {
  *out << bad.what;
}

class BadInput : public ::testing::TestWithParam<Bad> {};

TEST_P(BadInput, IsToldWithPlaceAndHint) {
  const Bad& bad = GetParam();
  std::string text = with(bad.from, bad.to);
  const std::string mark = "§";
  const std::size_t at = text.find(mark);
  ASSERT_NE(at, std::string::npos);
  text.erase(at, mark.size());
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  const std::size_t column = at == 0 ? 1 : at - text.rfind('\n', at - 1);
  const auto spec = parse_rollout(text, "r.yaml");
  ASSERT_FALSE(spec) << text;
  const std::string told = spec.error().to_string();
  EXPECT_THAT(told,
              ::testing::StartsWith("r.yaml:" + std::to_string(line) + ":" + std::to_string(column) + ": "));
  EXPECT_THAT(told, HasSubstr(bad.message));
  EXPECT_THAT(told, HasSubstr(bad.hint));
  EXPECT_EQ(spec.error().disposition, Disposition::kUser);
}

constexpr Bad kBad[] = {
    {"UnknownKey", "windows:", "§windos:", "unknown key 'windos' in rollout", "did you mean 'windows'?"},
    {"MisspeltNameKey", "rollout: orders_v2", "§rolout: orders_v2", "unknown key 'rolout'",
     "did you mean 'rollout'?"},
    {"NoName", "rollout: orders_v2\n", "§", "rollout lacks the key 'rollout'", ""},
    {"BadName", "rollout: orders_v2", "rollout: §Orders-V2", "'Orders-V2' is no valid name",
     "write orders_v2"},
    {"LongName", "rollout: orders_v2", "rollout: §o123456789012345678901234567890123456789012345678",
     "is no valid name", "up to 47 of"},
    {"ChangeIsAMapping", "  - change_column:", "  §change_column:",
     "change: expected a list, found a mapping", "each item begins with '- '"},
    {"UnknownOperation", "- change_column:", "- §change_colum:", "change_colum", "change_column"},
    {"UnknownProfile", "gates: {}", "profile: §fully", "expected additive, quick or full, found 'fully'",
     "did you mean 'full'?"},
    {"ProfileTooSmall", "gates: {}", "profile: §additive", "profile 'additive' is too small",
     "write profile: "},
    {"TwoFlags", "windows: ", "  §other: {steps: [100]}\nwindows: ",
     "a second flag, 'other'; a rollout has one", "rollout of its own"},
    {"DuplicateFlag", "windows: ", "  §orders_v2: {steps: [100]}\nwindows: ", "duplicate key 'orders_v2'",
     "first at line 15"},
    {"FlagKeyCharset", "  orders_v2:\n", "  §orders v2:\n", "'orders v2' cannot be a flag key",
     "letters, digits"},
    {"FlagKeyStage", "  orders_v2:\n", "  §orders.stage:\n", "ends in '.stage'", "KEY.stage"},
    {"UnknownFlagKey", "steps: [", "§step: [", "unknown key 'step' in flag 'orders_v2'",
     "did you mean 'steps'?"},
    {"FlagDisabled", "steps: [", "enabled: §false\n    steps: [", "would never let anybody in",
     "approvals: [expose]"},
    {"Strategy", "steps: [", "rollout_strategy: §linear\n    steps: [",
     "expected 'percentage', found 'linear'", "targeting_rules"},
    {"HundredAndOne", "[1, 5, 100]", "[1, 5, §101]", "steps: expected a number from 0.01 to 100, found 101",
     ""},
    {"RuleHundredAndOne", "percentage: 100}", "percentage: §101}",
     "percentage: expected a number from 0 to 100, found 101", ""},
    {"InitialHundredAndOne", "steps: [", "initial_percentage: §101\n    steps: [", "found 101", ""},
    {"Negative", "[1, 5, 100]", "[§-1, 5, 100]", "found -1", ""},
    {"PerCentSign", "[1, 5, 100]", "[§1%, 5, 100]", "found '1%'", "without the sign"},
    {"TextForNumber", "[1, 5, 100]", "[§one, 5, 100]", "expected a number from 0.01 to 100, found 'one'", ""},
    {"TooFine", "[1, 5, 100]", "[§0.015, 5, 100]", "finer than 0.01 %", "two decimals"},
    {"Descending", "[1, 5, 100]", "[5, §1, 100]", "1 follows 5", "ascending order"},
    {"Repeated", "[1, 5, 100]", "[5, §5, 100]", "5 follows 5", "ascending order"},
    {"NotToTheEnd", "[1, 5, 100]", "[1, §50]", "the last is 50, expected 100", "holdback"},
    {"NoSteps", "[1, 5, 100]", "§[]", "steps: the list has no item", "[1, 5, 25, 50, 100]"},
    {"StepsAreText", "[1, 5, 100]", "§fast", "steps: expected a list, found a value", "'- '"},
    {"StepsAndIncrement", "[1, 5, 100]", "[1, 5, 100]\n    increment_step: §5", "exclude each other", "keep"},
    {"TooManySteps", "steps: [1, 5, 100]", "increment_step: §0.1", "at most 200 are allowed",
     "larger increment"},
    {"Interval", "steps: [", "increment_interval: §15\n    steps: [", "'15' is no duration", "15m"},
    {"NoInterval", "steps: [", "increment_interval: §0s\n    steps: [", "expected 1ms to 90d, found 0s", ""},
    {"RuleBoth", "percentage: 100}", "enabled: false, percentage: §5}",
     "has both enabled: false and a percentage", "keeps the context on legacy"},
    {"RuleNothing", "{context: internal, percentage: 100}", "§{context: internal}", "says nothing",
     "give a percentage"},
    {"RuleTwice", "percentage: 100}", "percentage: 100}\n      - §{context: internal, enabled: false}",
     "a second rule for the context 'internal'", "one rule"},
    {"RuleNoContext", "{context: internal, percentage: 100}", "§{percentage: 100}", "lacks the key 'context'",
     ""},
    {"RuleEmptyContext", "context: internal", "context: \"§\"", "context: expected text, found nothing", ""},
    {"RuleWrongType", "percentage: 100}", "enabled: \"§false\"}", "enabled: expected true or false", ""},
    {"SqlSyntax", "orders WHERE new_status = $1", "orders WERE §new_status = $1", "new: syntax error",
     "new_status"},
    {"SqlTwoStatements", "new: SELECT id FROM orders WHERE new_status = $1", "new: §SELECT 1; SELECT $1",
     "new: ", ""},
    {"SqlEmpty", "new: SELECT id FROM orders WHERE new_status = $1", "new: \"§\"",
     "new: expected text, found nothing", ""},
    {"SqlKind", "new: SELECT id FROM orders WHERE new_status = $1", "new: §DROP TABLE orders",
     "expected SELECT, INSERT, UPDATE, DELETE or MERGE, found DROP", ""},
    {"SqlSides", "new: SELECT id FROM orders WHERE new_status = $1",
     "new: §UPDATE orders SET new_status = $1", "one reads, the other writes", ""},
    {"SqlParameters", "new: SELECT id FROM orders WHERE new_status = $1",
     "new: §SELECT id FROM orders WHERE new_status = $2", "new has 2 parameters, legacy has 1",
     "number them alike"},
    {"Sample", "  - name: by_status", "  - name: by_status\n    sample: §SELECT $1",
     "expected a SELECT without parameters", "LIMIT 100"},
    {"PathTwice", "feature_flags:", "  - §{name: by_status, legacy: SELECT 1, new: SELECT 1}\nfeature_flags:",
     "a second path named 'by_status'; the first stands at line 11", "name of its own"},
    {"PathKey", "  - name: by_status", "  - name: by_status\n    §old: SELECT 1", "unknown key 'old' in path",
     ""},
    {"Window", "overlap: 14d", "overlap: §2 weeks", "overlap: '2 weeks' is no duration", "14d"},
    {"WindowTooLong", "overlap: 14d", "overlap: §400d", "overlap: expected 0s to 365d, found 400d", ""},
    {"WindowNegative", "overlap: 14d", "overlap: §-1d", "is no duration", ""},
    {"WindowKey", "overlap: 14d", "§overlaps: 14d", "unknown key 'overlaps' in windows",
     "did you mean 'overlap'?"},
    {"UnknownGate", "gates: {}", "gates: {§error_rat: {limit: 1}}", "unknown gate 'error_rat'",
     "did you mean 'error_rate'?"},
    {"FarGate", "gates: {}", "gates: {§zzzzzzzz: {limit: 1}}", "unknown gate 'zzzzzzzz'",
     "known gates: all, "},
    {"GateKey", "gates: {}", "gates: {error_rate: {§limits: 1}}", "unknown key 'limits' in gate 'error_rate'",
     "did you mean 'limit'?"},
    {"GateAllLimit", "gates: {}", "gates: {all: {§limit: 1}}", "unknown key 'limit' in gate 'all'", ""},
    {"GateWaiveTrue", "gates: {}", "gates: {parity: {waive: §true}}", "waive: expected the reason in words",
     "audit trail"},
    {"GateWaiveEmpty", "gates: {}", "gates: {parity: {waive: \"§  \"}}", "expected the reason in words", ""},
    {"GateLimit", "gates: {}", "gates: {error_rate: {limit: §low}}", "limit: expected a number",
     "found 'low'"},
    {"GateSamples", "gates: {}", "gates: {all: {min_samples: §-5}}", "min_samples: expected a whole number",
     "-5"},
    {"GateDeadline", "gates: {}", "gates: {all: {deadline: §0s}}", "deadline: expected 1s to 90d, found 0s",
     ""},
    {"GatesList", "gates: {}", "gates: §[error_rate]", "gates: expected a mapping, found a list",
     "write gates: {"},
    {"HoldbackTooLarge", "gates: {}", "holdback: §60", "holdback: expected a number from 0 to 50, found 60",
     ""},
    {"Approval", "gates: {}", "approvals: [§dorp]", "expected expose, release and drop, found 'dorp'",
     "did you mean 'drop'?"},
    {"ApprovalTwice", "gates: {}", "approvals: [drop, §drop]", "'drop' stands twice", ""},
    {"DatabaseName", "database: app", "database: §App", "'App' is no valid name", "write app"},
};

INSTANTIATE_TEST_SUITE_P(Spec, BadInput, ::testing::ValuesIn(kBad),
                         [](const auto& param) { return std::string(param.param.what); });

Error refused(std::string_view text) {
  const auto spec = parse_rollout(text, "r.yaml");
  EXPECT_FALSE(spec);
  return spec ? Error{} : spec.error();
}

std::string without(std::string_view from, std::string_view to) {
  std::string text(kFull);
  const std::size_t begin = text.find(from);
  const std::size_t end = text.find(to);
  return text.erase(begin, end - begin);
}

TEST(Spec, AFullRolloutNeedsAFlag) {
  const Error error = refused(without("feature_flags:", "windows:"));
  EXPECT_EQ(error.code, "spec.no_flag");
  EXPECT_EQ(error.where, (SourcePosition{"r.yaml", 1, 1}));
  EXPECT_THAT(error.hint, HasSubstr("add feature_flags"));
}

TEST(Spec, AHoldbackMustLeaveRoomForTheLastStep) {
  std::string text = with("[1, 5, 100]", "[1, 99, 100]");
  const Error error = refused(text + "holdback: 2\n");
  EXPECT_EQ(error.code, "spec.range");
  EXPECT_THAT(error.message, HasSubstr("leaves 98 % for the last step, and the step before is 99 %"));
  EXPECT_TRUE(parse_rollout(text + "holdback: 0.5\n", "r.yaml"));
}

constexpr std::string_view kAdditive =
    "rollout: idx\nchange:\n  - create_index: {table: orders, name: idx, columns: [a]}\n";

TEST(Spec, AnAdditiveChangeNeedsNoFlagAndRefusesWhatItWouldIgnore) {
  const RolloutSpec spec = parsed(kAdditive);
  EXPECT_EQ(spec.profile, Profile::kAdditive);
  EXPECT_FALSE(spec.flag);
  EXPECT_TRUE(spec.approvals.empty());
  for (const char* line : {"feature_flags: {k: {steps: [100]}}", "windows: {overlap: 1d}", "holdback: 1",
                           "approvals: [drop]", "paths: [{name: a, legacy: SELECT 1, new: SELECT 1}]"}) {
    const Error error = refused(std::string(kAdditive) + "profile: additive\n" + line + "\n");
    EXPECT_EQ(error.code, "spec.additive") << line;
    EXPECT_THAT(error.hint, HasSubstr("write profile: full")) << line;
    EXPECT_EQ(error.where->line, 5) << line;
  }
  // A flag without a profile asks for the whole ceremony.
  const std::string flagged = std::string(kAdditive) + "feature_flags: {k: {steps: [100]}}\n";
  EXPECT_EQ(parsed(flagged).profile, Profile::kFull);
  const RolloutSpec quick = parsed(flagged + "profile: quick\nwindows: {observe: 1h}\n");
  EXPECT_EQ(quick.profile, Profile::kQuick);
  EXPECT_TRUE(quick.approvals.empty());
  EXPECT_EQ(quick.windows.overlap, Millis{0});
  EXPECT_EQ(quick.windows.observe, Millis{3'600'000});
}

TEST(Spec, APathNeedsBothSides) {
  const Error error = refused(with("    new: SELECT id FROM orders WHERE new_status = $1\n", ""));
  EXPECT_EQ(error.where, (SourcePosition{"r.yaml", 11, 5}));
  EXPECT_THAT(error.message, HasSubstr("path lacks the key 'new'"));
}

// Whatever is torn off a file, the answer is a rollout or an error of the user's with a place.
TEST(Spec, ATornFileIsToldWithItsPlace) {
  const std::string text(example_rollout());
  for (std::size_t size = 0; size < text.size(); size += 5) {
    const auto spec = parse_rollout(text.substr(0, size), "r.yaml");
    if (spec) continue;
    EXPECT_EQ(spec.error().disposition, Disposition::kUser) << size;
    EXPECT_TRUE(spec.error().where) << spec.error().to_string();
  }
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    std::string torn = text;
    torn.erase(at, torn.find('\n', at) + 1 - at);
    const auto spec = parse_rollout(torn, "r.yaml");
    EXPECT_TRUE(spec || spec.error().where) << torn;
  }
}

TEST(Spec, AnEmptyFileOrAListIsNoRollout) {
  EXPECT_EQ(refused("").code, "yaml.type");
  EXPECT_EQ(refused("- a\n").code, "yaml.type");
  EXPECT_EQ(refused("rollout: [").code, "yaml.syntax");
}

}  // namespace
}  // namespace poundlock::rollout
