// The change on the shadow with its locks traced and traffic beside it, as figures for the gates of the
// prepare phase: which steps block writers and for how long, and whether statements of the application had to
// wait. The tracing itself is engine/dry_run.h's, which the command line uses as well.
#include "engine/dry_run.h"

#include <fmt/format.h>

#include "engine/checks.h"

namespace poundlock::engine {
namespace {

constexpr std::size_t kDetailMax = 2'000;

std::string detail_of(const DryRunReport& report) {
  std::string out = report.shadow.description;
  for (const auto& one : report.statements) {
    if (one.trace.standalone || out.size() > kDetailMax) continue;
    std::string locks;
    for (const auto& lock : one.trace.locks)
      if (lock.table.empty() && lock.mode != "AccessShareLock")
        locks += (locks.empty() ? "" : ", ") + lock.mode + " on " + lock.relation;
    const bool rewrites = !one.trace.rewrites.empty();
    out += fmt::format("; {} {:.0f} ms ({}{})", one.source, one.trace.seconds * 1000,
                       locks.empty() ? "no table lock" : locks,
                       rewrites                   ? ", rewrites the table"
                       : !one.trace.scans.empty() ? ", scans the table"
                                                  : "");
  }
  for (const auto& note : report.notes) out += "; " + note;
  if (report.replayed)
    out += fmt::format("; {} statements replayed, longest wait {} ms", report.replay.statements,
                       report.replay.longest_wait.count());
  return out;
}

Result<CheckResult> dry_run_on(const CheckContext& context, ShadowUse& shadow) {
  PL_TRY(const auto report, dry_run_plan(context, shadow, {}));
  for (const auto& one : report.statements) {
    if (!one.trace.error) continue;
    Error error = *one.trace.error;
    error.message = "on the shadow, " + one.source + ": " + error.message;
    return fail(std::move(error));
  }
  CheckResult out;
  out.figures = {{"blocking_seconds", report.blocking_seconds},
                 {"total_seconds", report.seconds},
                 {"steps", static_cast<double>(report.statements.size())},
                 {"scale", report.shadow.scale}};
  out.detail = detail_of(report);
  if (!report.replayed) return out;
  const ports::TrafficReport& replay = report.replay;
  out.figures["contention"] = static_cast<double>(replay.long_waits + replay.deadlocks);
  out.figures["replayed"] = static_cast<double>(replay.statements);
  out.figures["longest_wait_ms"] = static_cast<double>(replay.longest_wait.count());
  out.figures["replay_errors"] = static_cast<double>(replay.errors);
  if (replay.errors == 0) return out;
  return fail(
      make_error(
          Disposition::kRefused, "dry_run.errors",
          fmt::format("{} of the application's statements failed while the change ran on the shadow: {}",
                      replay.errors, replay.first_error))
          .with_hint("the same would happen in production; see the first error"));
}

}  // namespace

Result<CheckResult> check_dry_run(const CheckContext& context) {
  if (!context.ports.shadow) return CheckResult{{}, "no shadow is configured"};
  return on_shadow(context, [&](ShadowUse& shadow) { return dry_run_on(context, shadow); });
}

}  // namespace poundlock::engine
