#include <fmt/format.h>

#include "engine/checks/rehearsal.h"
#include "engine/ledger.h"
#include "engine/step_runner.h"

namespace poundlock::engine {
namespace {

constexpr Millis kBuildLimit{300};  // long enough for a build to begin, and to wait for the old snapshot
constexpr int kPolls = 4;           // of a backfill, which asks before each of its batches
constexpr int kBatchRows = 200;

Status stop_transaction(ports::Session& session, const change::Step& step) {
  PL_CHECK(session.run("BEGIN"));
  Status failed;
  for (const auto& sql : step.sql) {
    if (auto done = session.run(sql); !done) {
      failed = fail(std::move(done).error());
      break;
    }
  }
  PL_CHECK(session.run("ROLLBACK"));
  return failed;
}

// No ledger row is written and nothing is repaired: so a killed executor leaves it.
Status stop_build(ports::Database& shadow, ports::Session& session, const change::Step& step) {
  PL_TRY(auto reader, shadow.connect());
  PL_CHECK(reader->run("BEGIN ISOLATION LEVEL REPEATABLE READ"));
  PL_CHECK(reader->run("SELECT 1"));
  PL_CHECK(session.run("SELECT pg_catalog.set_config('statement_timeout', $1, false)",
                       {fmt::format("{}ms", kBuildLimit.count())}));
  for (const auto& sql : step.sql) {
    const auto done = session.run(sql);
    if (done) continue;  // it waited for nobody
    if (done.error().sqlstate != "57014") return fail(done.error());
    break;
  }
  return {};
}

Status stop_rows(const CheckContext& context, ports::Database& shadow, const change::Step& step) {
  RunnerOptions options;
  options.rollout = context.plan.rollout;
  options.seed = context.ports.seed;
  options.backfill.throttle = false;
  options.backfill.rows_start = options.backfill.rows_min = options.backfill.rows_max = kBatchRows;
  StepRunner runner(shadow, *context.ports.clock, options);
  int polls = 0;
  PL_TRY(const auto outcome,
         runner.run(step, Direction::kForward, 1, StopToken{[&] { return ++polls > kPolls; }}));
  if (outcome.error) return fail(*outcome.error);
  return {};
}

}  // namespace

Status stop_in_the_middle(const CheckContext& context, ports::Database& shadow, const change::Step& step) {
  PL_TRY(auto session, shadow.connect());
  PL_CHECK(install_ledger(*session));
  switch (step.kind) {
    case change::StepKind::kTransaction: return stop_transaction(*session, step);
    case change::StepKind::kStandalone: return stop_build(shadow, *session, step);
    case change::StepKind::kBackfill:
    case change::StepKind::kVerify: return stop_rows(context, shadow, step);
    case change::StepKind::kCheck: return {};
  }
  return {};
}

}  // namespace poundlock::engine
