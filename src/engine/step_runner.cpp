#include "engine/step_runner.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "engine/verify.h"
#include "ports/cells.h"

namespace poundlock::engine {

using change::Step;
using change::StepKind;
using rollout::OutcomeKind;
using rollout::StepOutcome;

struct StepRunner::Attempt {
  const Step& step;
  Direction direction;
  std::uint64_t generation;
  const StopToken& stop;
  StepOutcome outcome;
  std::string id;  // of the newest try
  bool stopped = false;
  int tries = 0;

  bool forward() const { return direction == Direction::kForward; }
  const std::vector<std::string>& sql() const { return forward() ? step.sql : step.undo; }
};

namespace {

constexpr Millis kFenceWait{1'000};  // for the rollout's own row, which only executors lock

std::string ms(Millis value) {
  return fmt::format("{}ms", value.count());
}

ports::Sql local_settings(Millis lock_timeout, Millis statement_timeout, bool deadlock_timeout) {
  std::string text =
      "SELECT pg_catalog.set_config('lock_timeout', $1, true), pg_catalog.set_config('statement_timeout', "
      "$2, true), "
      // An executor that is stopped in the middle must not keep its locks.
      "pg_catalog.set_config('idle_in_transaction_session_timeout', '5s', true)";
  // An autovacuum in the way is cancelled after deadlock_timeout only, 1 s by default.
  if (deadlock_timeout) text += ", pg_catalog.set_config('deadlock_timeout', '10ms', true)";
  return {std::move(text), {ms(lock_timeout), ms(statement_timeout)}};
}

bool worth_another_try(const Error& error) {
  return error.disposition == Disposition::kRetry || error.disposition == Disposition::kReconnect ||
         error.disposition == Disposition::kInDoubt;
}

Error mismatch_error(const change::InStep& in_step, const VerifyResult& result) {
  std::string keys;
  for (const auto& sample : result.samples) keys += (keys.empty() ? "" : ", ") + sample;
  return make_error(Disposition::kRefused, "verify.mismatches",
                    fmt::format("{} of {} rows of {} are out of step: {}", result.mismatches, result.rows,
                                in_step.table, keys))
      .with_hint(
          "look for writers that pass the trigger by (replica role, disabled trigger), then run the backfill "
          "again");
}

}  // namespace

StepRunner::StepRunner(ports::Database& database, Clock& clock, RunnerOptions options)
    : database_(database),
      clock_(clock),
      options_(std::move(options)),
      jitter_(options_.seed),
      replicas_(options_.replicas, clock) {}

void StepRunner::cancel() {
  const std::lock_guard lock(session_mutex_);
  if (session_) session_->cancel();
}

Status StepRunner::connect() {
  disconnect();
  PL_TRY(auto session, database_.connect());
  PL_CHECK(install_ledger(*session));
  auto settable = session->run(
      "SELECT pg_catalog.current_setting('is_superuser') = 'on' OR (SELECT count(*) > 0 FROM "
      "pg_catalog.pg_proc WHERE "
      "proname = 'has_parameter_privilege' AND pronamespace = 'pg_catalog'::regnamespace)");
  if (settable && ports::to_bool(settable->rows.at(0)[0])) {
    auto allowed = session->run(
        "SELECT pg_catalog.current_setting('is_superuser') = 'on' OR "
        "pg_catalog.has_parameter_privilege('deadlock_timeout', 'SET')");
    deadlock_timeout_settable_ = allowed && ports::to_bool(allowed->rows.at(0)[0]);
  }
  owner_ = fmt::format("{}", session->backend_pid());
  const std::lock_guard lock(session_mutex_);
  session_ = std::move(session);
  return {};
}

void StepRunner::disconnect() {
  std::unique_ptr<ports::Session> old;
  const std::lock_guard lock(session_mutex_);
  old = std::move(session_);
}

std::string StepRunner::new_attempt_id(std::uint64_t generation) {
  return fmt::format("{}/{}/{}/{}/{:016x}", options_.rollout, generation, owner_, clock_.now().ms,
                     jitter_.next());
}

Result<StepOutcome> StepRunner::run(const Step& step, Direction direction, std::uint64_t generation,
                                    const StopToken& stop) {
  if (step.kind == StepKind::kCheck)
    return fail(internal_error(fmt::format("step {} is a check, not work on the target", step.id)));
  const TimePoint begin = clock_.steady();
  Attempt attempt{step, direction, generation, stop, {}, {}, false, 0};
  attempt.outcome.step = step.id;
  attempt.outcome.generation = generation;
  const Status done = perform(attempt);
  disconnect();
  replicas_.close();
  auto& outcome = attempt.outcome;
  outcome.figures["seconds"] = static_cast<double>((clock_.steady() - begin).count()) / 1000.0;
  outcome.figures["lock_tries"] = attempt.tries;
  if (attempt.stopped || (!done && stop.stop() && done.error().code == "pg.canceled")) {
    outcome.kind = OutcomeKind::kStopped;
  } else if (!done) {
    outcome.kind = OutcomeKind::kFailed;
    outcome.error = done.error();
  } else {
    outcome.kind = attempt.forward() ? OutcomeKind::kDone : OutcomeKind::kUndone;
  }
  return std::move(attempt.outcome);
}

// Connections that break are opened again; each round begins with the probe, so nothing runs twice.
Status StepRunner::perform(Attempt& attempt) {
  const Step& step = attempt.step;
  if (!attempt.forward() && step.undo.empty()) return {};
  const bool rows = attempt.forward() && (step.kind == StepKind::kBackfill || step.kind == StepKind::kVerify);
  const bool standalone = attempt.forward() ? step.kind == StepKind::kStandalone : step.undo_standalone;
  for (int tries = 0;; ++tries) {
    if (attempt.stop.stop()) {
      attempt.stopped = true;
      return {};
    }
    Status done = connect();
    if (done)
      done = rows         ? perform_rows(attempt)
             : standalone ? perform_standalone(attempt)
                          : perform_transaction(attempt);
    if (done || attempt.stopped) return done;
    const Disposition disposition = done.error().disposition;
    const bool lost = disposition == Disposition::kReconnect || disposition == Disposition::kInDoubt;
    if (!lost || tries + 1 >= options_.connect_tries_max) return done;
    PL_CHECK(back_off(attempt, tries));
  }
}

Status StepRunner::back_off(Attempt& attempt, int tries) {
  Millis wait = options_.backoff_min;
  for (int i = 0; i < tries && wait < options_.backoff_max; ++i) wait *= 2;
  clock_.sleep(jitter_.around(std::min(wait, options_.backoff_max)));
  attempt.stopped = attempt.stopped || attempt.stop.stop();
  return {};
}

Result<bool> StepRunner::probe(const std::string& sql) {
  PL_TRY(const auto answer, session_->run(sql));
  if (answer.rows.size() != 1 || answer.rows[0].size() != 1)
    return fail(internal_error("a probe answers one boolean"));
  return ports::to_bool(answer.rows[0][0]);
}

// Whether the wished effect is there already: the catalog tells, or the ledger where it cannot.
Result<bool> StepRunner::in_effect(const Attempt& attempt) {
  const Step& step = attempt.step;
  bool there = false;
  if (!step.probe.empty()) {
    PL_TRY(there, probe(step.probe));
    if (attempt.forward()) return there;
    if (there && step.undo_when.empty()) return false;
  }
  if (!attempt.forward() && !step.undo_when.empty()) {
    PL_TRY(const bool ours, probe(step.undo_when));
    return !ours;
  }
  PL_TRY(const auto last, last_direction(*session_, options_.rollout, step.id));
  if (attempt.forward()) return last == Direction::kForward;
  // A transaction that has no row never committed. Half of a standalone step may be there with its probe
  // false, so that its undo runs unless it is known to have run.
  if (!last) return step.kind == StepKind::kTransaction;
  return last == Direction::kUndo;
}

// Fences, and writes the ledger row of an effect that is already there, or that a step is begun which no
// transaction holds together.
Status StepRunner::fenced_record(Attempt& attempt, bool with_record, bool begins) {
  std::vector<ports::Sql> all{{"BEGIN", {}},
                              local_settings(kFenceWait, kFenceWait * 10, false),
                              fence(options_.rollout, attempt.generation)};
  if (begins) {
    json::Array sql;
    for (const auto& statement : attempt.sql()) sql.emplace_back(statement);
    all.push_back(begin_step({options_.rollout, attempt.step.id, attempt.direction, attempt.generation, "",
                              json::dump(json::Value(std::move(sql)))}));
  }
  if (with_record) {
    all.push_back(record({options_.rollout, attempt.step.id, attempt.direction, attempt.generation,
                          new_attempt_id(attempt.generation),
                          json::dump(json::Object{{"detail", attempt.outcome.detail}})}));
    all.push_back(end_step(options_.rollout, attempt.step.id));
  }
  all.push_back({"COMMIT", {}});
  for (int tries = 0;; ++tries) {
    auto done = session_->pipeline(all);
    if (done) return {};
    if (session_->broken()) return fail(std::move(done).error());
    PL_CHECK(session_->run("ROLLBACK"));
    if (done.error().disposition != Disposition::kRetry || tries >= options_.connect_tries_max)
      return fail(std::move(done).error());
    PL_CHECK(back_off(attempt, tries));
  }
}

Result<bool> StepRunner::await_lock(Attempt& attempt) {
  if (attempt.step.relation.empty() || attempt.step.lock_mode.empty()) return true;
  LockWaitOptions wait = options_.lock_wait;
  wait.autovacuum_gives_way = deadlock_timeout_settable_;
  // Row locks and weaker table locks are not replayed; only this one stalls readers of a replica.
  Replicas* replicas = attempt.step.lock_mode == "AccessExclusiveLock" ? &replicas_ : nullptr;
  LockWait looking(clock_, jitter_, wait);
  ProgressCallback tell;
  if (options_.progress) {
    tell = [&](Progress progress) {
      progress.step = attempt.step.id;
      options_.progress(progress);
    };
  }
  return looking.until_free(*session_, replicas, attempt.step.relation, attempt.step.lock_mode, attempt.stop,
                            tell);
}

Status StepRunner::try_transaction(Attempt& attempt) {
  const Step& step = attempt.step;
  const Millis lock_timeout = step.lock_timeout.count() > 0 ? step.lock_timeout : kFenceWait;
  attempt.id = new_attempt_id(attempt.generation);
  std::vector<ports::Sql> all{
      {"BEGIN", {}},
      local_settings(lock_timeout, step.statement_timeout, deadlock_timeout_settable_),
      fence(options_.rollout, attempt.generation)};
  for (const auto& sql : attempt.sql()) all.push_back({sql, {}});
  all.push_back(record({options_.rollout, step.id, attempt.direction, attempt.generation, attempt.id,
                        json::dump(json::Object{{"tries", attempt.tries}})}));
  all.push_back({"COMMIT", {}});
  // One round trip: no lock is held while a packet travels.
  auto done = session_->pipeline(all);
  if (done) return {};
  if (!session_->broken()) {
    PL_CHECK(session_->run("ROLLBACK"));
  }
  return fail(std::move(done).error());
}

// The ledger's row tells whether the newest try committed. The fence waits for a backend that is still at it.
Result<bool> StepRunner::resolve_doubt(Attempt& attempt) {
  PL_CHECK(connect());
  PL_CHECK(fenced_record(attempt, false));
  return was_recorded(*session_, attempt.id);
}

Status StepRunner::perform_transaction(Attempt& attempt) {
  Error last = internal_error("no try was made");
  for (int tries = 0; tries < options_.lock_tries_max; ++tries) {
    if (attempt.stop.stop()) attempt.stopped = true;
    if (attempt.stopped) return {};
    PL_TRY(const bool there, in_effect(attempt));
    if (there) {
      attempt.outcome.detail = "was already in place";
      PL_TRY(const auto known, last_direction(*session_, options_.rollout, attempt.step.id));
      return fenced_record(attempt, known != attempt.direction);
    }
    PL_TRY(const bool free, await_lock(attempt));
    if (!free) {
      attempt.stopped = true;
      return {};
    }
    attempt.tries = tries + 1;
    Status done = try_transaction(attempt);
    if (!done && done.error().disposition == Disposition::kInDoubt) {
      PL_TRY(const bool committed, resolve_doubt(attempt));
      if (committed) done = {};
    }
    if (done) {
      if (attempt.step.probe.empty()) return {};
      PL_TRY(const bool effect, probe(attempt.step.probe));
      if (effect == attempt.forward()) return {};
      return fail(
          internal_error(fmt::format("step {} committed, but its probe says the opposite", attempt.step.id)));
    }
    last = done.error();
    if (!worth_another_try(last)) return fail(std::move(last));
    if (session_ == nullptr || session_->broken()) PL_CHECK(connect());
    PL_CHECK(back_off(attempt, tries));
  }
  last.message = fmt::format("gave up after {} tries: {}", options_.lock_tries_max, last.message);
  if (last.hint.empty()) last.hint = "nothing was changed; try again when the table is quieter";
  return fail(std::move(last));
}

// Waits for the session of an executor before us: while that lives, its statement may still be running.
Status StepRunner::take_advisory_lock(Attempt& attempt) {
  const TimePoint begin = clock_.steady();
  for (int tries = 0;; ++tries) {
    PL_TRY(const bool got, try_advisory_lock(*session_, options_.rollout));
    if (got) return {};
    if (clock_.steady() - begin > options_.lock_wait.limit) {
      return fail(make_error(
          Disposition::kConflict, "lock.busy",
          fmt::format("another session is working on rollout {} in this database", options_.rollout)));
    }
    PL_CHECK(back_off(attempt, std::min(tries, 3)));
    if (attempt.stopped) return {};
  }
}

Status StepRunner::try_standalone(Attempt& attempt, const std::vector<std::string>& sql) {
  PL_CHECK(
      session_->run("SELECT pg_catalog.set_config('lock_timeout', $1, false), "
                    "pg_catalog.set_config('statement_timeout', $2, false)",
                    {ms(attempt.step.lock_timeout), ms(attempt.step.statement_timeout)}));
  for (const auto& statement : sql) PL_CHECK(session_->run(statement));
  return {};
}

Status StepRunner::perform_standalone(Attempt& attempt) {
  PL_CHECK(take_advisory_lock(attempt));
  if (attempt.stopped) return {};
  PL_CHECK(fenced_record(attempt, false, true));
  const Step& step = attempt.step;
  // A half-done effect (an INVALID index) would make IF NOT EXISTS skip it, and its name is taken.
  // True: what was half done is done, as a partition that was being detached.
  auto repair = [&]() -> Result<bool> {
    if (!attempt.forward() || step.repair.empty()) return false;
    bool needed = true;
    if (!step.repair_when.empty()) {
      PL_TRY(needed, probe(step.repair_when));
    }
    if (!needed) return false;
    PL_CHECK(try_standalone(attempt, step.repair));
    return in_effect(attempt);
  };
  for (int tries = 0;; ++tries) {
    if (attempt.stop.stop()) attempt.stopped = true;
    if (attempt.stopped) return {};
    PL_TRY(const bool there, in_effect(attempt));
    if (there) return fenced_record(attempt, true);
    PL_TRY(const bool repaired, repair());
    if (repaired) return fenced_record(attempt, true);
    attempt.tries = tries + 1;
    Status done = try_standalone(attempt, attempt.sql());
    if (done && step.probe.empty()) return fenced_record(attempt, true);
    if (done) {
      PL_TRY(const bool effect, probe(step.probe));
      if (effect == attempt.forward()) return fenced_record(attempt, true);
      done = fail(make_error(Disposition::kRetry, "step.unfinished",
                             fmt::format("step {} ran, and its effect is not there", step.id)));
    }
    if (session_->broken()) return done;  // perform() connects and comes back: the probe decides
    PL_TRY(const bool finished, repair());
    if (finished) return fenced_record(attempt, true);
    const bool canceled = done.error().code == "pg.canceled" && attempt.stop.stop();
    if (canceled || done.error().disposition != Disposition::kRetry ||
        tries + 1 >= options_.standalone_tries_max)
      return done;
    PL_CHECK(back_off(attempt, tries));
  }
}

Status StepRunner::perform_rows(Attempt& attempt) {
  const Step& step = attempt.step;
  if (!step.in_step) return fail(internal_error(fmt::format("step {} has no predicate", step.id)));
  auto tell = [&](Progress progress) {
    progress.step = step.id;
    if (options_.progress) options_.progress(progress);
  };
  if (step.kind == StepKind::kVerify) {
    PL_CHECK(fenced_record(attempt, false));
    VerifyOptions how;
    how.open = step.open;
    PL_TRY(const auto result, verify(*session_, clock_, *step.in_step, how, attempt.stop, tell));
    for (const auto& [name, value] : result.figures()) attempt.outcome.figures[name] = value;
    attempt.stopped = result.stopped;
    if (result.stopped) return {};
    if (result.mismatches > 0) return fail(mismatch_error(*step.in_step, result));
    attempt.outcome.detail = fmt::format("{} rows compared, all in step", result.rows);
    return fenced_record(attempt, true);
  }
  Backfill backfill(*session_, replicas_, clock_, options_.backfill);
  PL_TRY(const auto result,
         backfill.run({options_.rollout, step.id, attempt.generation, *step.in_step}, attempt.stop, tell));
  for (const auto& [name, value] : result.figures()) attempt.outcome.figures[name] = value;
  attempt.stopped = result.stopped;
  if (result.stopped) return {};
  attempt.outcome.detail = fmt::format("{} rows brought in step", result.rows);
  return fenced_record(attempt, true);
}

}  // namespace poundlock::engine
