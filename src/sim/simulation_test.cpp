// The product against its invariants: many seeds with every fault, a death at every commit and every round
// trip, and, for each invariant, a deliberate fault that it has to notice.
#include "sim/simulation.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <set>

namespace poundlock::sim {
namespace {

std::string story(const SimulationResult& result) {
  std::string out = "seed " + std::to_string(result.seed) + " ended " + result.ended + "\n";
  const std::size_t from = result.trace.size() > 50 ? result.trace.size() - 50 : 0;
  for (std::size_t i = from; i < result.trace.size(); ++i) out += result.trace[i] + "\n";
  return out;
}

// POUNDLOCK_SIM_SEEDS and POUNDLOCK_SIM_STRIDE make the search as long as there is time for.
int setting(const char* name, int fallback) {
  const char* text = std::getenv(name);
  return text ? std::max(1, std::atoi(text)) : fallback;
}

TEST(Simulation, WithoutFaultsTheRolloutIsDone) {
  const auto result = simulate({.seed = 1});
  ASSERT_FALSE(result.violation) << story(result);
  EXPECT_EQ(result.ended, "done") << story(result);
  EXPECT_EQ(result.processes, 1);
  EXPECT_EQ(result.rollbacks, 0);
}

TEST(Simulation, HoldsItsInvariantsUnderEveryFault) {
  const int seeds = setting("POUNDLOCK_SIM_SEEDS", 30);
  std::set<std::string> endings;
  int processes = 0;
  int rollbacks = 0;
  for (int seed = 1; seed <= seeds; ++seed) {
    const auto result = simulate({.seed = static_cast<std::uint64_t>(seed), .faults = Faults::all()});
    ASSERT_FALSE(result.violation) << story(result);
    endings.insert(result.ended);
    processes += result.processes;
    rollbacks += result.rollbacks;
  }
  EXPECT_THAT(endings, ::testing::Contains("done"));
  EXPECT_GT(processes, seeds) << "nothing crashed, so that nothing was shown";
  EXPECT_GT(rollbacks, seeds / 2);
}

TEST(Simulation, TheSameSeedGivesTheSameBytes) {
  for (const std::uint64_t seed : {3U, 4U}) {
    const auto one = simulate({.seed = seed, .faults = Faults::all()});
    const auto two = simulate({.seed = seed, .faults = Faults::all()});
    EXPECT_EQ(one.trace, two.trace);
    EXPECT_EQ(one.trace_hash, two.trace_hash);
    EXPECT_EQ(one.end_state, two.end_state);
  }
  EXPECT_NE(simulate({.seed = 5, .faults = Faults::all()}).trace_hash,
            simulate({.seed = 6, .faults = Faults::all()}).trace_hash);
}

// The seed goes back between the check that refuses NULLs and the default: rows of the old side are still
// inserted while the sync is off, and the function that turns it off has to answer for them.
TEST(Simulation, ARollbackFromTheMiddleOfTheExpandRefusesNoWrite) {
  const auto result = simulate({.seed = 167, .faults = Faults::all()});
  EXPECT_FALSE(result.violation) << story(result);
}

TEST(Simulation, AnAbortInExposureLeavesNothing) {
  const auto result = simulate({.seed = 2, .abort = true});
  ASSERT_FALSE(result.violation) << story(result);
  EXPECT_EQ(result.ended, "aborted") << story(result);
}

// Dies, or is overtaken, at each of `count` places; the end has to be the same each time.
void dies_everywhere(CrashPoint::Where where, int count, int stride) {
  const auto undisturbed = simulate({.seed = 1});
  for (int index = 0; index < count; index += stride) {
    const auto result = simulate({.seed = 1, .crash = CrashPoint{where, index}});
    ASSERT_FALSE(result.violation) << "at " << index << ": " << story(result);
    ASSERT_EQ(result.end_state, undisturbed.end_state) << "at " << index << ": " << story(result);
    if (index < count - 5) {  // the last ones come when all is done
      EXPECT_GT(result.processes, 1) << index;
    }
  }
}

TEST(Simulation, ADeathAtAnyCommitChangesNothingAboutTheEnd) {
  const int commits = simulate({.seed = 1}).commits;
  const int stride = setting("POUNDLOCK_SIM_STRIDE", 23);
  dies_everywhere(CrashPoint::Where::kBeforeCommit, commits, stride);
  dies_everywhere(CrashPoint::Where::kAfterCommit, commits, stride);
}

TEST(Simulation, ADeathAtAnyRoundTripChangesNothingAboutTheEnd) {
  const int statements = simulate({.seed = 1}).statements;
  const int stride = setting("POUNDLOCK_SIM_STRIDE", 23);
  dies_everywhere(CrashPoint::Where::kBeforeStatement, statements, stride);
  dies_everywhere(CrashPoint::Where::kAfterStatement, statements, stride);
}

TEST(Simulation, AnExecutorThatIsOvertakenAtAnyRoundTripDoesNoHarm) {
  const int statements = simulate({.seed = 1}).statements;
  dies_everywhere(CrashPoint::Where::kTakeover, statements, setting("POUNDLOCK_SIM_STRIDE", 23));
}

struct MutationCase {
  Mutation mutation;
  const char* invariant;
};

class EachInvariant : public ::testing::TestWithParam<MutationCase> {};

TEST_P(EachInvariant, NoticesItsFault) {
  // Some faults show only where something else goes wrong at the same time.
  std::string seen;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SimulationOptions options{.seed = seed, .faults = Faults::all(), .mutation = GetParam().mutation};
    options.faults.operators = false;
    if (GetParam().mutation == Mutation::kNoFence) {
      options.faults = {};
      options.crash = CrashPoint{CrashPoint::Where::kTakeover, static_cast<int>(30 + 2 * seed)};
    }
    const auto result = simulate(options);
    if (!result.violation) continue;
    if (result.violation->invariant == GetParam().invariant) return;
    seen += result.violation->invariant + ": " + result.violation->detail + "\n";
  }
  FAIL() << "not noticed; others were: " << seen;
}

INSTANTIATE_TEST_SUITE_P(Mutations, EachInvariant,
                         ::testing::Values(MutationCase{Mutation::kNoFence, "stale_generations"},
                                           MutationCase{Mutation::kLostCommits, "committed_before_effects"},
                                           MutationCase{Mutation::kNoProbe, "step_once"},
                                           MutationCase{Mutation::kDropsUnapproved, "drop_is_guarded"},
                                           MutationCase{Mutation::kDropsReaders, "readers_can_read"},
                                           MutationCase{Mutation::kExposesEarly, "new_is_verified"},
                                           MutationCase{Mutation::kLeaksExclusion, "exclusions_hold"},
                                           MutationCase{Mutation::kShortWindow, "windows_last"},
                                           MutationCase{Mutation::kStickyFlag, "rollback_is_quick"},
                                           MutationCase{Mutation::kStopsSync, "rollback_keeps_schema"},
                                           MutationCase{Mutation::kLeavesRemains, "nothing_left"},
                                           MutationCase{Mutation::kLosesWrites, "writes_survive"},
                                           MutationCase{Mutation::kDeaf, "progress"}),
                         [](const auto& one) { return std::string(one.param.invariant); });

TEST(Simulation, EveryInvariantHasAFaultThatItNotices) {
  EXPECT_EQ(invariants().size(), 13U) << "add a mutation for the new invariant above";
}

TEST(Faults, AreNamed) {
  EXPECT_TRUE(faults_from("all")->clock);
  EXPECT_FALSE(faults_from("none")->crashes);
  const auto two = faults_from("crashes,clock");
  ASSERT_TRUE(two);
  EXPECT_TRUE(two->crashes && two->clock && !two->store);
  ASSERT_FALSE(faults_from("crash"));
  EXPECT_THAT(faults_from("crash").error().hint, ::testing::HasSubstr("crashes"));
}

}  // namespace
}  // namespace poundlock::sim
