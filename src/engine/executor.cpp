#include "engine/executor.h"

#include <fmt/format.h>

#include "engine/checks.h"

namespace poundlock::engine {
namespace {

rollout::StepOutcome failed(const rollout::Command& command, Error error) {
  rollout::StepOutcome out;
  out.step = command.step ? command.step->id : "";
  out.generation = command.generation;
  out.kind = rollout::OutcomeKind::kFailed;
  out.error = std::move(error);
  return out;
}

}  // namespace

void Executor::cancel() {
  std::lock_guard lock(mutex_);
  if (runner_) runner_->cancel();
}

rollout::StepOutcome Executor::carry_out(const rollout::Command& command) {
  if (!command.step) return failed(command, internal_error("a command without a step"));
  Result<rollout::StepOutcome> outcome = fail(internal_error("a command that no executor carries out"));
  if (command.kind == rollout::CommandKind::kProbeStep)
    outcome = probe(command);
  else if (command.step->kind == change::StepKind::kCheck)
    outcome = check(command);
  else if (command.kind != rollout::CommandKind::kPublish)
    outcome = run(command);
  if (!outcome) return failed(command, std::move(outcome).error());
  outcome->step = command.step->id;
  outcome->generation = command.generation;
  return std::move(*outcome);
}

RunnerOptions runner_options(const ExecutorPorts& ports, const rollout::Plan& plan) {
  RunnerOptions options;
  options.rollout = plan.rollout;
  options.seed = ports.seed;
  options.replicas = ports.databases.replicas;
  options.progress = ports.progress;
  return options;
}

Result<rollout::StepOutcome> Executor::run(const rollout::Command& command) {
  StepRunner runner(*ports_.databases.primary, *ports_.clock, runner_options(ports_, plan_));
  {
    std::lock_guard lock(mutex_);
    runner_ = &runner;
  }
  const Direction direction =
      command.kind == rollout::CommandKind::kUndoStep ? Direction::kUndo : Direction::kForward;
  auto outcome = runner.run(*command.step, direction, command.generation, StopToken{ports_.stopped});
  std::lock_guard lock(mutex_);
  runner_ = nullptr;
  return outcome;
}

// Is the step's effect there? Asked when a kill met a drop under way. The fence comes first: once it is
// through, no transaction of an earlier try can still commit.
Result<rollout::StepOutcome> Executor::probe(const rollout::Command& command) {
  PL_TRY(auto session, ports_.databases.primary->connect());
  PL_CHECK(session->run("BEGIN"));
  PL_CHECK(session->run(fence(plan_.rollout, command.generation)));
  PL_TRY(const auto rows, session->run(command.step->probe));
  PL_CHECK(session->run("COMMIT"));
  const bool done = !rows.rows.empty() && !rows.rows[0].empty() && rows.rows[0][0].value_or("f") == "t";
  rollout::StepOutcome out;
  out.kind = done ? rollout::OutcomeKind::kDone : rollout::OutcomeKind::kUndone;
  out.detail = done ? "found done by its probe" : "found not done by its probe";
  return out;
}

Result<rollout::StepOutcome> Executor::check(const rollout::Command& command) {
  const CheckContext context{ports_, plan_};
  const std::string& name = command.step->check;
  const TimePoint began = ports_.clock->steady();
  Result<CheckResult> result = fail(internal_error(fmt::format("there is no check '{}'", name)));
  if (name == "parity")
    result = check_parity(context);
  else if (name == "lint")
    result = check_lint(context);
  else if (name == "paths")
    result = check_paths(context);
  else if (name == "dry_run")
    result = check_dry_run(context);
  else if (name == "rehearsal")
    result = check_rehearsal(context);
  if (ports_.stopped && ports_.stopped()) {
    rollout::StepOutcome stopped;
    stopped.kind = rollout::OutcomeKind::kStopped;
    return stopped;
  }
  if (!result) return fail(std::move(result).error());
  rollout::StepOutcome out;
  out.kind = rollout::OutcomeKind::kDone;
  out.figures = std::move(result->figures);
  out.figures["seconds"] = static_cast<double>((ports_.clock->steady() - began).count()) / 1000.0;
  out.detail = std::move(result->detail);
  return out;
}

}  // namespace poundlock::engine
