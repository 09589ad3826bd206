// The change on the shadow with its locks traced and traffic beside it: which steps block writers and for
// how long, which locks they take, whether anything is rewritten or scanned, and whether statements of the
// application had to wait.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "engine/checks.h"
#include "engine/ledger.h"

namespace poundlock::engine {
namespace {

constexpr Millis kWaitLimit{50};  // the design's bound for a statement of the application
constexpr int kTrafficSessions = 4;
constexpr int kSamples = 50;

struct Trace {
  double seconds = 0;
  std::set<std::string> locks;    // "AccessExclusiveLock on public.orders"
  std::set<std::string> notices;  // "rewriting table", "verifying table"
};

constexpr const char* kOwnLocks =
    "SELECT DISTINCT l.mode || ' on ' || l.relation::regclass::text FROM pg_catalog.pg_locks l"
    " JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relnamespace <> 'pg_catalog'::regnamespace"
    " WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.mode <> 'AccessShareLock'";

// A transactional step, statement by statement, with what it locks at its end.
Result<Trace> trace_transaction(const CheckContext& context, ports::Session& session,
                                const change::Step& step) {
  Trace out;
  PL_CHECK(session.run("BEGIN"));
  PL_CHECK(session.run("SET LOCAL client_min_messages = debug1"));
  (void)session.take_notices();
  const TimePoint began = context.ports.clock->steady();
  for (const auto& sql : step.sql) {
    if (auto rows = session.run(sql); !rows) {
      (void)session.run("ROLLBACK");
      return fail(std::move(rows).error());
    }
  }
  out.seconds = static_cast<double>((context.ports.clock->steady() - began).count()) / 1000.0;
  for (const auto& notice : session.take_notices()) {
    for (const char* what : {"rewriting table", "verifying table", "building index"})
      if (notice.find(what) != std::string::npos) out.notices.insert(what);
  }
  PL_TRY(const auto locks, session.run(kOwnLocks));
  for (const auto& row : locks.rows) out.locks.insert(row.at(0).value_or(""));
  PL_CHECK(session.run("COMMIT"));
  return out;
}

std::vector<ports::TrafficStatement> traffic_of(const std::vector<SampledPath>& paths) {
  std::vector<ports::TrafficStatement> out;
  for (const auto& path : paths)
    if (path.problem.empty()) out.push_back({path.name, path.legacy, path.samples});
  return out;
}

struct Totals {
  double blocking = 0, total = 0, steps = 0;
  std::string detail;
};

Status run_traced(const CheckContext& context, ShadowUse& shadow, ports::Session& session,
                  const change::Step& step, Totals& totals) {
  const TimePoint began = context.ports.clock->steady();
  Trace trace;
  if (step.kind == change::StepKind::kTransaction) {
    PL_TRY(trace, trace_transaction(context, session, step));
  } else {
    PL_CHECK(perform_on_shadow(context, shadow.database(), step, Direction::kForward));
    trace.seconds = static_cast<double>((context.ports.clock->steady() - began).count()) / 1000.0;
  }
  // A rewrite or a scan grows with the table; a change of the catalog does not.
  const bool grows = trace.notices.contains("rewriting table") || trace.notices.contains("verifying table");
  const double scaled = trace.seconds * (grows ? shadow.info().scale : 1.0);
  totals.total += trace.seconds;
  totals.steps += 1;
  if (step.blocks_writers) totals.blocking += scaled;
  if (step.kind == change::StepKind::kTransaction && totals.detail.size() < 2'000) {
    std::string locks;
    for (const auto& lock : trace.locks) locks += (locks.empty() ? "" : ", ") + lock;
    totals.detail += fmt::format("; {} {:.0f} ms ({}{})", step.id, trace.seconds * 1000,
                                 locks.empty() ? "no table lock" : locks, grows ? ", scans the table" : "");
  }
  return {};
}

Result<CheckResult> dry_run_on(const CheckContext& context, ShadowUse& shadow) {
  CheckResult out;
  PL_TRY(auto session, shadow.database().connect());
  PL_CHECK(install_ledger(*session));
  PL_TRY(const std::string search_path, application_search_path(*session, context.plan));
  PL_TRY(const auto paths, sample_paths(*session, context.plan, kSamples, search_path));
  const auto statements = traffic_of(paths);
  const bool replay = context.ports.traffic && !statements.empty();
  if (replay)
    PL_CHECK(context.ports.traffic->start(shadow.database(), statements, search_path, kTrafficSessions,
                                          kWaitLimit));
  Totals totals;
  Status status;
  for (const auto phase : {change::Phase::kDualWrite, change::Phase::kExpose}) {
    for (const auto* step : forward_steps(context.plan, phase))
      if (status) status = run_traced(context, shadow, *session, *step, totals);
  }
  // Before the contract the legacy statements end: from then on only the new ones are played.
  ports::TrafficReport traffic;
  if (replay) traffic = context.ports.traffic->stop();
  PL_CHECK(status);
  for (const auto* step : forward_steps(context.plan, change::Phase::kContract))
    if (!shadow.info().kept) PL_CHECK(run_traced(context, shadow, *session, *step, totals));
  out.figures = {{"blocking_seconds", totals.blocking},
                 {"total_seconds", totals.total},
                 {"steps", totals.steps},
                 {"scale", shadow.info().scale}};
  out.detail = shadow.info().description + totals.detail;
  if (shadow.info().kept) out.detail += "; without the contract, which a clone cannot take back";
  if (replay) {
    out.figures["contention"] = static_cast<double>(traffic.long_waits + traffic.deadlocks);
    out.figures["replayed"] = static_cast<double>(traffic.statements);
    out.figures["longest_wait_ms"] = static_cast<double>(traffic.longest_wait.count());
    out.figures["replay_errors"] = static_cast<double>(traffic.errors);
    out.detail = fmt::format("{}; {} statements replayed, longest wait {} ms", out.detail, traffic.statements,
                             traffic.longest_wait.count());
    if (traffic.errors > 0) {
      return fail(
          make_error(
              Disposition::kRefused, "dry_run.errors",
              fmt::format("{} of the application's statements failed while the change ran on the shadow: {}",
                          traffic.errors, traffic.first_error))
              .with_hint("the same would happen in production; see the first error"));
    }
  }
  return out;
}

}  // namespace

Result<CheckResult> check_dry_run(const CheckContext& context) {
  if (!context.ports.shadow) return CheckResult{{}, "no shadow is configured"};
  return on_shadow(context, [&](ShadowUse& shadow) { return dry_run_on(context, shadow); });
}

}  // namespace poundlock::engine
