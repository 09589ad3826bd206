// Staging and production are alike where the change touches them; otherwise a rehearsal on one says
// nothing about the other.
#include <fmt/format.h>

#include "rollout/gate.h"

namespace poundlock::rollout {
namespace {

GateReading judge(const GateInput& in) {
  const auto differences = in.value("parity.differences");
  if (!differences) {
    return no_data(in,
                   "parity is not proven: no staging database is configured or it was not compared; waive it "
                   "by name (gates: {parity: {waive: \"reason\"}}) or configure one");
  }
  if (*differences > in.settings.limit)
    return violated(in, differences,
                    fmt::format("staging and production differ: {}", in.detail("parity.differences")));
  return pass(in, differences, "staging and production are alike where the change touches them");
}

}  // namespace

const Gate& parity() {
  static const Gate gate{
      .id = "parity",
      .title = "parity of staging and production",
      .why =
          "a change that was proven on a staging database with another schema or other settings was not "
          "proven",
      .unit = "differences",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kBlock,
      .moments = static_cast<Moments>(Moment::kPrepare),
      .limit = 0,
      .min_samples = 0,
      .deadline = Millis{30 * 60'000},
      .questions = nullptr,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
