// Steps on a shadow, by the same runner as in production.
#include "engine/checks.h"
#include "engine/checks/shadow_blockers.h"
#include "engine/ledger.h"
#include "engine/step_runner.h"

namespace poundlock::engine {

Status perform_on_shadow(const CheckContext& context, ports::Database& shadow, const change::Step& step,
                         Direction direction) {
  RunnerOptions options;
  options.rollout = context.plan.rollout;
  options.seed = context.ports.seed;
  options.backfill.throttle = false;  // nobody else is there to be spared
  StepRunner runner(shadow, *context.ports.clock, options);
  PL_TRY(const auto outcome, runner.run(step, direction, 1, StopToken{context.ports.stopped}));
  if (outcome.error) {
    Error error = *outcome.error;
    if (error.sqlstate == "2BP01") {
      PL_TRY(auto session, shadow.connect());
      error = explain_refused_drop(*session, context.plan, std::move(error));
    }
    error.message = "on the shadow, " + step.id + ": " + error.message;
    return fail(std::move(error));
  }
  if (outcome.kind == rollout::OutcomeKind::kStopped)
    return fail(make_error(Disposition::kRetry, "check.stopped", "the check was stopped"));
  return {};
}

Status forward_on_shadow(const CheckContext& context, ports::Database& shadow, change::Phase phase) {
  for (const auto* step : forward_steps(context.plan, phase))
    PL_CHECK(perform_on_shadow(context, shadow, *step, Direction::kForward));
  return {};
}

Status back_on_shadow(const CheckContext& check, ports::Database& shadow) {
  ExecutorPorts ports = check.ports;
  ports.stopped = {};  // who is told to stop takes back what was done all the same
  const CheckContext context{ports, check.plan};
  for (const auto& step : context.plan.close_sync)
    PL_CHECK(perform_on_shadow(context, shadow, step, Direction::kForward));
  const auto steps = forward_steps(context.plan, change::Phase::kDualWrite);
  for (auto it = steps.rbegin(); it != steps.rend(); ++it) {
    if (!(*it)->undo.empty()) PL_CHECK(perform_on_shadow(context, shadow, **it, Direction::kUndo));
  }
  return {};
}

Result<CheckResult> on_shadow(const CheckContext& context,
                              const std::function<Result<CheckResult>(ShadowUse& shadow)>& check) {
  PL_TRY(auto shadow, ShadowUse::create(context));
  const bool kept = shadow.info().kept;
  // What a killed run left in it.
  if (kept) PL_CHECK(back_on_shadow(context, shadow.database()));
  auto result = check(shadow);
  Status back;
  if (kept) back = back_on_shadow(context, shadow.database());
  const Status gone = shadow.end();
  if (!result) return fail(ports::and_what_stays(std::move(result).error(), gone));
  if (!back) return fail(ports::and_what_stays(back.error(), gone));
  PL_CHECK(gone);
  return result;
}

}  // namespace poundlock::engine
