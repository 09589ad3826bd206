#include "engine/dry_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/checks/shadow_blockers.h"
#include "engine/ledger.h"
#include "engine/reach.h"
#include "engine/traffic_trial.h"
#include "engine/untried.h"
#include "schema/sql.h"

namespace poundlock::engine {
namespace {

constexpr Millis kWaitLimit{50};  // the design's bound for a statement of the application
constexpr int kTrafficSessions = 4;
constexpr int kSamples = 50;
constexpr int kShare = 5;  // the weakest mode that a writer has to wait for

bool blocks(const Trace& trace) {
  return std::any_of(trace.locks.begin(), trace.locks.end(), [](const TracedLock& lock) {
    const bool table = lock.kind == 'r' || lock.kind == 'p' || lock.kind == 'm' || lock.kind == 'f';
    return table && lock_strength(lock.mode) >= kShare;
  });
}

// Statements of the application beside the run itself, as long as the queue is not being measured.
class Replay {
 public:
  Replay(const CheckContext& context, ShadowUse& shadow) : context_(context), shadow_(shadow) {}
  ~Replay() { stop(); }
  void play(std::vector<ports::TrafficStatement> statements, std::string search_path) {
    statements_ = std::move(statements);
    search_path_ = std::move(search_path);
  }
  bool wanted() const { return context_.ports.traffic && !statements_.empty(); }
  Status start() {
    if (!wanted() || running_) return {};
    PL_CHECK(context_.ports.traffic->start(shadow_.database(), statements_, search_path_, kTrafficSessions,
                                           kWaitLimit));
    running_ = true;
    return {};
  }
  void stop() {
    if (!running_) return;
    running_ = false;
    const auto one = context_.ports.traffic->stop();
    total.statements += one.statements;
    total.errors += one.errors;
    total.row_errors += one.row_errors;
    if (total.first_error.empty()) total.first_error = one.first_error;
    total.long_waits += one.long_waits;
    total.longest_wait = std::max(total.longest_wait, one.longest_wait);
    total.longest_statement = std::max(total.longest_statement, one.longest_statement);
    total.deadlocks += one.deadlocks;
    if (total.first_deadlock.empty()) total.first_deadlock = one.first_deadlock;
  }
  ports::TrafficReport total;

 private:
  const CheckContext& context_;
  ShadowUse& shadow_;
  std::vector<ports::TrafficStatement> statements_;
  std::string search_path_;
  bool running_ = false;
};

class Run {
 public:
  Run(const CheckContext& context, ShadowUse& shadow, const DryRunOptions& options)
      : context_(context), shadow_(shadow), options_(options), replay_(context, shadow) {}

  // Migrations find their tables as the application does; steps name theirs in full.
  Status open(bool migrations) {
    PL_TRY(auto tracer, Tracer::open(shadow_.database(), *context_.ports.clock, context_.ports.sampler));
    tracer_.emplace(std::move(tracer));
    PL_TRY(search_path_, application_search_path(session(), context_.plan));
    if (migrations) {
      PL_CHECK(session().run("SET search_path = " + search_path_));
    }
    PL_TRY(const auto failed, try_traffic(shadow_.database(), options_.queue.traffic, search_path_));
    if (!failed) return {};
    return fail(user_error("traffic.fails", "the traffic fails before the change: " + failed->to_string())
                    .with_hint("play what the application does on this schema, as a role that may do it"));
  }

  // The traffic that was given, where the change is done: what fails now is the change's doing.
  Status after_change(bool by_contract, std::vector<std::string>& notes) {
    replay_.stop();
    PL_TRY(const auto failed, try_traffic(shadow_.database(), options_.queue.traffic, search_path_));
    if (!failed) return {};
    const bool gone = failed->error.sqlstate == "42703" || failed->error.sqlstate == "42P01";
    if (by_contract && gone)
      notes.push_back(
          "after the contract, which takes away the legacy form, the traffic fails as it should: " +
          failed->to_string());
    else
      report_.why_not.push_back("after the change a statement of the application fails: " +
                                failed->to_string());
    return {};
  }
  // From here on what fails beside it fails by what the plan takes away, as it is meant to.
  void begin_contract() { failed_before_contract_ = queue_ ? queue_->report().failed : 0; }

  Status take_paths() {
    PL_CHECK(install_ledger(session()));
    PL_TRY(const auto paths, sample_paths(session(), context_.plan, kSamples, search_path_));
    for (const auto& path : paths)
      if (path.problem.empty()) traffic_.push_back({path.name, path.legacy, path.samples});
    replay_.play(traffic_, search_path_);
    return {};
  }

  void prepare_queue() {
    if (!options_.measure_queue) return;
    QueueOptions queue = options_.queue;
    queue.search_path = search_path_;
    if (queue.traffic.empty()) queue.traffic = traffic_;
    queue_.emplace(context_.ports, shadow_.database(), std::move(queue));
  }

  Status replay() {
    replaying_ = true;
    return replay_.start();
  }
  void end_replay() {
    replaying_ = false;
    replay_.stop();
  }

  // False: it was not done, and nothing after it may be.
  Result<bool> transaction(const std::string& begin, const std::vector<ScriptStatement>& statements,
                           const std::string& source, std::optional<bool> blocks_writers,
                           const std::string& end = "COMMIT");
  Result<bool> alone(const ScriptStatement& statement, const std::string& source,
                     std::optional<bool> blocks_writers);
  Status perform(const change::Step& step);
  // Before the contract of a shadow that is thrown away: what the views' owners will have done by then.
  Status set_aside(std::vector<std::string>& notes) {
    PL_TRY(const auto views, set_views_aside(session(), context_.plan));
    notes.insert(notes.end(), views.begin(), views.end());
    return {};
  }
  DryRunReport finish();

 private:
  ports::Session& session() { return tracer_->session(); }
  void tell(const std::string& what) {
    if (options_.progress) options_.progress(what);
  }
  Status stopped() const {
    if (!context_.ports.stopped || !context_.ports.stopped()) return {};
    return fail(make_error(Disposition::kRetry, "check.stopped", "the dry run was stopped"));
  }
  Status measure(const std::string& name, const std::vector<ScriptStatement>& statements);
  bool add(Trace trace, const ScriptStatement& statement, const std::string& source,
           std::optional<bool> blocks_writers);

  const CheckContext& context_;
  ShadowUse& shadow_;
  const DryRunOptions& options_;
  std::optional<Tracer> tracer_;
  std::string search_path_;
  std::vector<ports::TrafficStatement> traffic_;
  Replay replay_;
  bool replaying_ = false;  // until the contract; the queue's rounds interrupt it
  std::optional<LockQueue> queue_;
  std::optional<std::uint64_t> failed_before_contract_;  // of the traffic beside the queue
  DryRunReport report_;
};

// No transaction is open any more where the statement failed.
bool Run::add(Trace trace, const ScriptStatement& statement, const std::string& source,
              std::optional<bool> blocks_writers) {
  DryRunStatement out;
  out.source = source;
  out.line = statement.line;
  out.blocks_writers = blocks_writers.value_or(blocks(trace));
  out.scaled_seconds = trace.seconds * scale_of(trace, shadow_.info(), out.basis);
  const bool done = !trace.error;
  if (!done) trace.error = explain_refused_drop(session(), context_.plan, std::move(*trace.error));
  if (!done) report_.why_not.push_back(fmt::format("{}: {}", source, trace.error->to_string()));
  if (const std::string why = why_untried(trace, shadow_.info()); !why.empty()) {
    report_.left_out.push_back({source, statement.line, trace.sql, why});
    report_.why_not.push_back(fmt::format("not tried: {}: {}: {}", source, trace.sql, why));
    report_.notes.push_back(
        "what found no rows in the sample is tried on all of them with --template, or on a clone with "
        "--shadow");
  }
  report_.seconds += trace.seconds;
  if (out.blocks_writers) report_.blocking_seconds += out.scaled_seconds;
  out.trace = std::move(trace);
  report_.statements.push_back(std::move(out));
  return done;
}

Status Run::measure(const std::string& name, const std::vector<ScriptStatement>& statements) {
  if (!queue_) return {};
  tell("the lock queue of " + name);
  replay_.stop();
  std::vector<std::string> sql;
  for (const auto& one : statements) sql.push_back(one.sql);
  PL_CHECK(queue_->measure(*tracer_, name, sql));
  return {};
}

Result<bool> Run::transaction(const std::string& begin, const std::vector<ScriptStatement>& statements,
                              const std::string& source, std::optional<bool> blocks_writers,
                              const std::string& end) {
  PL_CHECK(stopped());
  PL_CHECK(measure(source, statements));
  if (replaying_) {
    PL_CHECK(replay_.start());
  }
  PL_CHECK(session().run(begin));
  for (const auto& one : statements) {
    tell(one.sql);
    PL_TRY(auto trace, tracer_->in_transaction(one.sql));
    const bool failed = trace.error.has_value();
    if (!trace.row_locks.empty()) blocks_writers = true;  // and so until the end
    if (failed) {
      PL_CHECK(session().run("ROLLBACK"));
    }
    add(std::move(trace), one, source, blocks_writers);
    if (failed) return false;
  }
  auto ended = session().run(end);
  if (ended) return true;
  if (session().broken()) return fail(std::move(ended).error());
  report_.why_not.push_back(fmt::format("{}: {}", source, ended.error().to_string()));
  PL_CHECK(session().run("ROLLBACK"));
  return false;
}

Result<bool> Run::alone(const ScriptStatement& statement, const std::string& source,
                        std::optional<bool> blocks_writers) {
  PL_CHECK(stopped());
  PL_CHECK(measure(source, {statement}));
  if (replaying_) {
    PL_CHECK(replay_.start());
  }
  tell(statement.sql);
  PL_TRY(auto trace, tracer_->alone(statement.sql));
  if (!trace.row_locks.empty()) blocks_writers = true;
  return add(std::move(trace), statement, source, blocks_writers);
}

// Backfill and verify, in batches, by the same runner as in production.
Status Run::perform(const change::Step& step) {
  PL_CHECK(stopped());
  tell(step.title);
  Trace trace;
  trace.sql = "-- " + step.title;
  if (step.in_step && step.kind == change::StepKind::kBackfill)
    trace.sql = fmt::format("UPDATE {} SET {} WHERE {}", step.in_step->table, step.in_step->assignment,
                            step.in_step->out_of_step);
  const TimePoint began = context_.ports.clock->steady();
  PL_CHECK(perform_on_shadow(context_, shadow_.database(), step, Direction::kForward));
  trace.seconds = static_cast<double>((context_.ports.clock->steady() - began).count()) / 1000.0;
  trace.standalone = true;
  if (step.in_step) trace.scans.push_back(step.in_step->table);  // batch by batch, all of its rows
  add(std::move(trace), {}, step.id, false);
  return {};
}

DryRunReport Run::finish() {
  replay_.stop();
  report_.replayed = replay_.wanted();
  report_.replay = replay_.total;
  if (queue_) report_.queue = queue_->report();
  const std::uint64_t failed = failed_before_contract_.value_or(report_.queue.failed);
  if (failed > 0)
    report_.why_not.push_back(fmt::format("{} of the application's statements failed beside the change: {}",
                                          failed, report_.queue.first_failed));
  if (report_.queue.failed > failed)
    report_.notes.push_back(
        fmt::format("{} of the application's statements failed beside the contract, which takes away the "
                    "legacy form",
                    report_.queue.failed - failed));
  report_.shadow = shadow_.info();
  for (const auto& one : report_.shadow.left_out) report_.notes.push_back("the shadow is without " + one);
  if (report_.blocking_seconds >= kBlockingSecondsMax)
    report_.why_not.push_back(
        fmt::format("statements that block writers take {:.0f} s, the limit is {:.0f} s",
                    report_.blocking_seconds, kBlockingSecondsMax));
  const std::uint64_t contention = report_.replay.long_waits + report_.replay.deadlocks;
  if (contention > 0)
    report_.why_not.push_back(fmt::format(
        "{} statements of the application waited longer than {} ms or were in a deadlock, the longest {} ms",
        contention, kWaitLimit.count(), report_.replay.longest_wait.count()));
  if (report_.replay.errors > 0)
    report_.why_not.push_back(fmt::format("{} of the application's statements failed: {}",
                                          report_.replay.errors, report_.replay.first_error));
  if (report_.queue.deadlocks > 0)
    report_.why_not.push_back(fmt::format("{} deadlocks with the traffic", report_.queue.deadlocks));
  report_.passed = report_.why_not.empty();
  return std::move(report_);
}

struct Group {
  std::string begin, end;  // "": the one statement stands alone
  std::vector<ScriptStatement> statements;
};

// By the statements' own BEGIN and COMMIT. What does not parse is the server's to judge.
std::vector<Group> groups_of(const Script& script) {
  std::vector<Group> out;
  bool open = false;
  for (const auto& one : script.statements) {
    auto kind = schema::StatementKind::kOther;
    if (const auto parsed = schema::parse_statement(one.sql)) kind = parsed->kind();
    if (script.in_transaction) {
      if (out.empty()) out.push_back({"BEGIN", "COMMIT", {}});
      out.back().statements.push_back(one);
    } else if (kind == schema::StatementKind::kBegin && !open) {
      out.push_back({one.sql, "", {}});
      open = true;
    } else if (open && (kind == schema::StatementKind::kCommit || kind == schema::StatementKind::kRollback)) {
      out.back().end = one.sql;
      open = false;
    } else if (open) {
      out.back().statements.push_back(one);
    } else {
      out.push_back({"", "", {one}});
    }
  }
  // PostgreSQL takes back what nobody commits.
  if (open) out.back().end = "ROLLBACK";
  return out;
}

Result<bool> run_script(Run& run, const Script& script, std::vector<std::string>& notes) {
  for (const auto& group : groups_of(script)) {
    bool done = true;
    if (group.begin.empty()) {
      PL_TRY(done, run.alone(group.statements.front(), script.file, std::nullopt));
    } else {
      PL_TRY(done, run.transaction(group.begin, group.statements, script.file, std::nullopt, group.end));
      if (group.end == "ROLLBACK")
        notes.push_back(script.file +
                        ": a transaction is rolled back at its end, so that nothing of it stays");
    }
    if (!done) return false;
  }
  return true;
}

Result<bool> run_step(Run& run, const change::Step& step) {
  if (step.kind == change::StepKind::kBackfill || step.kind == change::StepKind::kVerify) {
    PL_CHECK(run.perform(step));
    return true;
  }
  std::vector<ScriptStatement> statements;
  for (const auto& sql : step.sql) statements.push_back({sql, 0});
  if (statements.empty()) return true;
  if (step.kind == change::StepKind::kTransaction)
    return run.transaction("BEGIN", statements, step.id, step.blocks_writers);
  for (const auto& one : statements) {
    PL_TRY(const bool done, run.alone(one, step.id, step.blocks_writers));
    if (!done) return false;
  }
  return true;
}

Result<bool> run_phase(Run& run, const CheckContext& context, change::Phase phase) {
  for (const auto* step : forward_steps(context.plan, phase)) {
    PL_TRY(const bool done, run_step(run, *step));
    if (!done) return false;
  }
  return true;
}

}  // namespace

double scale_of(const Trace& trace, const ports::ShadowInfo& shadow, std::string& basis) {
  std::vector<std::string> tables = trace.rewrites;
  tables.insert(tables.end(), trace.scans.begin(), trace.scans.end());
  double largest = 1;
  for (const auto& table : tables) {
    const auto size = std::find_if(shadow.tables.begin(), shadow.tables.end(),
                                   [&](const ports::TableSize& one) { return one.table.to_sql() == table; });
    if (size == shadow.tables.end()) {
      // A table that only a foreign key names.
      if (shadow.scale > largest) {
        largest = shadow.scale;
        basis = fmt::format("x {:.1f}: as the largest table of the change; the size of {} was not read",
                            largest, table);
      }
      continue;
    }
    const double rows = size->shadow_rows > 0 ? size->source_rows / size->shadow_rows : 1;
    const double bytes = size->shadow_bytes > 0 ? static_cast<double>(size->source_bytes) /
                                                      static_cast<double>(size->shadow_bytes)
                                                : 1;
    if (std::max(rows, bytes) <= largest) continue;
    largest = std::max(rows, bytes);
    basis =
        fmt::format("x {:.1f}: {} has {:.0f} rows and {} MB, {:.0f} rows and {} MB here", largest, table,
                    size->source_rows, size->source_bytes >> 20, size->shadow_rows, size->shadow_bytes >> 20);
  }
  return largest;
}

Result<DryRunReport> dry_run_scripts(const CheckContext& context, ShadowUse& shadow,
                                     const std::vector<Script>& scripts, const DryRunOptions& options) {
  PL_TRY(auto notes, within_database(scripts));
  Run run(context, shadow, options);
  PL_CHECK(run.open(true));
  run.prepare_queue();
  bool done = true;
  for (const auto& script : scripts) {
    PL_TRY(done, run_script(run, script, notes));
    if (!done) break;
  }
  if (done) PL_CHECK(run.after_change(false, notes));
  auto report = run.finish();
  report.notes.insert(report.notes.end(), notes.begin(), notes.end());
  return report;
}

Result<DryRunReport> dry_run_plan(const CheckContext& context, ShadowUse& shadow,
                                  const DryRunOptions& options) {
  std::vector<const change::Step*> steps;
  for (const auto phase :
       {change::Phase::kPrepare, change::Phase::kDualWrite, change::Phase::kExpose, change::Phase::kContract})
    for (const auto* step : forward_steps(context.plan, phase)) steps.push_back(step);
  PL_TRY(auto notes, within_database(steps));
  Run run(context, shadow, options);
  PL_CHECK(run.open(false));
  PL_CHECK(run.take_paths());
  run.prepare_queue();
  PL_CHECK(run.replay());
  bool done = true;
  for (const auto phase : {change::Phase::kPrepare, change::Phase::kDualWrite, change::Phase::kExpose}) {
    if (!done) break;
    PL_TRY(done, run_phase(run, context, phase));
  }
  // Before the contract the legacy statements end: from then on only the new ones are played.
  run.end_replay();
  const bool kept = shadow.info().kept;
  if (done) PL_CHECK(run.after_change(false, notes));
  if (done && !kept) {
    run.begin_contract();
    PL_CHECK(run.set_aside(notes));
    PL_TRY(done, run_phase(run, context, change::Phase::kContract));
    if (done) PL_CHECK(run.after_change(true, notes));
  }
  auto report = run.finish();
  report.notes.insert(report.notes.end(), notes.begin(), notes.end());
  if (kept) report.notes.push_back("without the contract, which a clone cannot take back");
  return report;
}

}  // namespace poundlock::engine
