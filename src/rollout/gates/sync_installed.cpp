#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "rollout/gate.h"
#include "rollout/judging.h"
#include "rollout/question_text.h"

namespace poundlock::rollout {
namespace {

// The same probes by which the steps were found done; NULL conflicts: none was counted yet.
std::vector<Question> questions(const Plan& plan) {
  std::vector<Question> out;
  int number = 0;
  for (const change::InStep& step : in_steps_of(plan)) {
    ++number;
    if (step.installed_probe.empty() || step.opened_probe.empty()) continue;
    Question& one = out.emplace_back();
    one.name = fmt::format("sync_{}", number);
    one.sql = fmt::format(
        "SELECT ({}) AS installed, ({}) AS opened, "
        "coalesce(pg_catalog.pg_sequence_last_value(pg_catalog.to_regclass($1)), 0) AS conflicts",
        step.installed_probe, step.opened_probe);
    one.params = {step.conflicts};
    one.every = Millis{2000};
  }
  return out;
}

// Before exposure legacy is the authority in every mode but "off"; from then on the new side has to be one.
GateReading judge(const GateInput& in) {
  if (in.dropped) return pass(in, std::nullopt, "a drop is under way, and takes the trigger with it");
  const bool exposed = judges_fresh(in.moment);
  double tables = 0;
  double wrong = 0;
  double conflicts = 0;
  std::string names;
  int number = 0;
  for (const change::InStep& step : in_steps_of(in.plan)) {
    ++number;
    if (step.installed_probe.empty() || step.opened_probe.empty()) continue;
    const std::string name = fmt::format("sync_{}", number);
    const auto installed = in.value(name + ".installed");
    const auto opened = in.value(name + ".opened");
    // Seen since the mark: an older look may have come before the step that opened the sync.
    const bool since = in.marks.contains(name + ".installed");
    if (!installed || !opened || !since) return no_data(in, "the trigger has not been looked at yet");
    ++tables;
    conflicts += in.since_mark(name + ".conflicts").value_or(0);
    if (*installed != 0 && (!exposed || *opened != 0)) continue;
    ++wrong;
    names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", step.table,
                         *installed == 0 ? "the trigger is missing, disabled or turned off"
                                         : "its function does not let the new side be written");
  }
  if (tables == 0) return pass(in, std::nullopt, "no trigger keeps anything in step");
  if (wrong > in.settings.limit) return violated(in, wrong, fmt::format("not kept in step: {}", names));
  return pass(in, wrong,
              fmt::format("trigger and function are as this phase needs them, {} since the mark",
                          counted(conflicts, "conflict", "conflicts")));
}

}  // namespace

const Gate& sync_installed() {
  static const Gate gate{
      .id = "sync_installed",
      .title = "the sync trigger is in place",
      .why =
          "A failover or a restore can lose the commit that opened the sync: each write to the new side is "
          "then taken back, and every row looks in step.",
      .unit = "count",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kRollback,
      .moments =
          Moment::kDualWrite | Moment::kExpose | Moment::kObserve | Moment::kRelease | Moment::kBeforeDrop,
      .limit = 0,
      .min_samples = 0,
      .questions = questions,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
