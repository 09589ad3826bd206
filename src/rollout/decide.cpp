#include "rollout/decide.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "flag/rollout_flag.h"
#include "rollout/decider.h"

namespace poundlock::rollout {
namespace {
constexpr std::size_t kJournalMax = 200;

// Observations that only grow, unless statistics are reset.
constexpr std::array<std::string_view, 13> kCounters{
    "statements.write_calls", "statements.write_rows",  "statements.wal_bytes", "statements.wal_fpi",
    "statements.wal_records", "statements.own_rows",    "statements.versions",  "statements.legacy_refs",
    "statements.fresh_refs",  "statements.fresh_reads", "database.deadlocks",   "scans.index_scans",
    "scans.table_scans"};

// Where marks keep a counter's newest value: one that began at zero never falls below its mark.
std::string last_seen(std::string_view counter) {
  return fmt::format("last.{}", counter);
}
}  // namespace

Decision decide(const RolloutState& state, const Plan& plan, const Observations& seen, TimePoint now,
                std::optional<Millis> passed) {
  return Decider(state, plan, seen, now, passed).run();
}

std::optional<Moment> moment_of(const RolloutState& state, const Plan& plan) {
  return Decider(state, plan, {}, state.last_tick).moment();
}

RolloutState begin(const Plan& plan, TimePoint now) {
  RolloutState state;
  state.rollout = plan.rollout;
  state.started = state.item_since = state.mark_at = now;
  return state;
}

Decider::Decider(const RolloutState& state, const Plan& plan, const Observations& seen, TimePoint now,
                 std::optional<Millis> passed)
    : s_(state), plan_(plan), seen_(seen), now_(now), passed_(passed) {}

Decision Decider::run() {
  tick_windows();
  absorb_published();
  absorb_outcomes();
  absorb_requests();
  merge_figures();
  take_marks();
  judge();
  react_to_gates();
  // While a kill waits for a drop's outcome, only that is asked for: in whatever mode, and nothing begins.
  if (s_.pending_rollback && present() && present()->step)
    command(CommandKind::kProbeStep, *present()->step);
  else if (s_.mode == Mode::kRunning)
    forward();
  if (s_.mode == Mode::kRollingBack) back();
  note_everybody_back();
  if (plan_.flag && s_.flag_revision == flag::Revision{}) {
    commands_.push_back({CommandKind::kPublish, std::nullopt, flag_document(plan_, s_.flag), s_.generation});
  }
  report();
  return {std::move(s_), std::move(commands_), std::move(report_), std::move(events_), std::move(answers_)};
}

// --- what happened -------------------------------------------------------------------------------

void Decider::tick_windows() {
  if (s_.last_tick.ms != 0) {
    const Millis wall = now_ - s_.last_tick;
    const Millis passed = passed_.value_or(std::max(wall, Millis{0}));
    if (wall - passed > kClockJumpMin || passed - wall > kClockJumpMin) move_anchors(wall - passed);
    elapsed_ = std::clamp(passed, Millis{0}, kTickGapMax);
  }
  s_.last_tick = now_;
  // A clock that was set back while no controller ran leaves no jump to be seen, only moments to come.
  for (TimePoint* anchor : {&s_.item_since, &s_.holding_since, &s_.paused_since, &s_.mark_at})
    if (*anchor > now_) *anchor = now_;
  s_.retry_at = std::min(s_.retry_at, now_ + kBackoffMax);
  // These two run in every mode: they say how long a compatible state has lasted.
  if (in_sync_installed() && !destroyed()) s_.windows["dual_write"] += elapsed_;
  if (verified() && !destroyed()) s_.windows["overlap"] += elapsed_;
}

// The wall clock was set: what is counted from a moment in the past moves with it. Else a clock set back
// an hour would keep retries and marks waiting for that hour, and one set forward would pass deadlines.
void Decider::move_anchors(Millis jump) {
  std::vector<TimePoint*> anchors{&s_.item_since, &s_.holding_since, &s_.retry_at, &s_.paused_since,
                                  &s_.mark_at};
  if (!s_.rollbacks.empty() && s_.rollbacks.back().everybody_back.ms == 0)
    anchors.push_back(&s_.rollbacks.back().began);
  for (TimePoint* anchor : anchors)
    if (anchor->ms != 0) *anchor = *anchor + jump;
}

void Decider::absorb_published() {
  if (!seen_.published || !plan_.flag || s_.flag_revision != flag::Revision{}) return;
  if (seen_.published->flags != flag_document(plan_, s_.flag)) return;
  s_.flag_revision = seen_.published->revision;
  if (!s_.rollbacks.empty() && s_.rollbacks.back().flag_off.ms == 0 &&
      (s_.mode == Mode::kRollingBack || s_.mode == Mode::kRolledBack)) {
    s_.rollbacks.back().flag_off = now_;
    s_.rollbacks.back().revision = s_.flag_revision;
  }
}

void Decider::absorb_outcomes() {
  for (const StepOutcome& outcome : seen_.outcomes) {
    if (outcome.generation != s_.generation) continue;  // of an executor that is out of date
    StepRecord& record = s_.steps[outcome.step];
    record.at = now_;
    switch (outcome.kind) {
      case OutcomeKind::kDone:
        record = StepRecord{true, 0, now_, outcome.figures, outcome.detail};
        say("controller", "step_done", outcome.step + (outcome.detail.empty() ? "" : ": " + outcome.detail));
        break;
      case OutcomeKind::kUndone:
        record = StepRecord{false, 0, now_, {}, outcome.detail};
        forget_drop(outcome.step);
        if (!s_.undo.empty() && s_.undo.front() == outcome.step) {
          s_.undo.erase(s_.undo.begin());
          say("controller", "step_undone", outcome.step);
        }
        break;
      case OutcomeKind::kFailed: absorb_failure(outcome, record); break;
      case OutcomeKind::kStopped: break;
    }
    settle_pending_rollback(outcome);
  }
}

// A drop that is known not to have committed has not begun: what stopped it is looked at again first.
void Decider::forget_drop(const std::string& step) {
  const Item* item = plan_.item(step);
  if (item && item->step && item->step->destructive) s_.steps.erase(step);
}

// A rollback that met a drop under way: now its outcome is known.
void Decider::settle_pending_rollback(const StepOutcome& outcome) {
  const bool settles = outcome.kind == OutcomeKind::kDone || outcome.kind == OutcomeKind::kUndone;
  const Item* item = present();
  if (!s_.pending_rollback || !settles || !item || item->id != outcome.step) return;
  const Request request = *s_.pending_rollback;
  s_.pending_rollback.reset();
  if (outcome.kind == OutcomeKind::kDone) {
    s_.abort = false;
    say(request.who, "rollback_too_late", "the drop had committed; restore brings the legacy side back");
  } else {
    roll_back(request, request.who == "controller" ? "controller" : "operator:" + request.who);
  }
}

void Decider::absorb_failure(const StepOutcome& outcome, StepRecord& record) {
  const Error error = outcome.error.value_or(internal_error("the step failed without a reason"));
  record.attempts += 1;
  record.detail = error.to_string();
  const auto exponent = std::min<std::uint32_t>(record.attempts, 9);
  s_.retry_at = now_ + std::min(Millis{100LL << exponent}, kBackoffMax);
  const bool transient = error.disposition == Disposition::kRetry ||
                         error.disposition == Disposition::kReconnect ||
                         error.disposition == Disposition::kInDoubt;
  if (s_.mode == Mode::kRollingBack) return;  // a way back is tried for ever, at most every 30 s
  if (transient && record.attempts < kAttemptsMax) return;
  const Item* item = present();
  if (item && item->phase == Phase::kPrepare && s_.mode == Mode::kRunning) {
    // Nothing in production has changed: end this try with its verdict; resume starts it anew.
    begin_rollback({RequestKind::kRollback, "controller", error.to_string(), ""}, "step:" + outcome.step);
    return;
  }
  if (s_.mode == Mode::kRunning) pause(fmt::format("{} failed: {}", outcome.step, error.to_string()), false);
}

// What finished steps measured is there for gates as `check.figure`: "dry_run.blocking_seconds".
void Decider::merge_figures() {
  for (const Item& item : plan_.items) {
    if (!item.step) continue;
    const auto record = s_.steps.find(item.id);
    if (record == s_.steps.end() || !record->second.done) continue;
    std::string prefix = item.step->check;
    if (item.step->kind == change::StepKind::kVerify) prefix = "verify";
    if (item.step->kind == change::StepKind::kBackfill) prefix = "backfill";
    if (prefix.empty()) continue;
    for (const auto& [figure, value] : record->second.figures)
      seen_.values[prefix + "." + figure] = {value, now_, item.id, record->second.detail};
  }
}

void Decider::take_marks() {
  begin_anew_after_reset();
  for (const auto& [name, observation] : seen_.values) {
    if (observation.at < s_.mark_at) continue;  // measured before the mark began
    const auto [mark, fresh] = s_.marks.try_emplace(name, observation.value);
    // A counter that went back was reset: it counts anew from here.
    if (!fresh && observation.value < mark->second) mark->second = observation.value;
  }
  for (const std::string_view name : kCounters)
    if (const auto now = since_mark(name)) s_.marks[last_seen(name)] = now->value;
}

const Observation* Decider::since_mark(std::string_view name) const {
  const auto seen = seen_.values.find(std::string(name));
  return seen == seen_.values.end() || seen->second.at < s_.mark_at ? nullptr : &seen->second;
}

// A counter that went back was reset, and with it its neighbours: those that have not yet fallen below their
// mark would be compared with ones that count from zero, and rows be found to be written many times over.
void Decider::begin_anew_after_reset() {
  std::string_view fell;
  bool beyond_statements = false;
  for (const std::string_view name : kCounters) {
    const Observation* seen = since_mark(name);
    const auto last = s_.marks.find(last_seen(name));
    if (!seen || last == s_.marks.end() || seen->value >= last->second) continue;
    fell = name;
    beyond_statements = beyond_statements || !name.starts_with("statements.");
  }
  if (fell.empty()) return;
  // A view that evicts statements all the time would fill the audit trail.
  if (now_ - s_.mark_at > kTickGapMax)
    say("controller", "count_anew", fmt::format("{} went back: statistics were reset", fell));
  // Nothing is judged as so many statements to so many attempts: the application's samples may stay.
  if (beyond_statements)
    begin_mark();
  else
    count_from_now();
  // What was counted in the window that is to show no reference is not known any more.
  const Item* item = present();
  if (item && item->kind == ItemKind::kWindow && item->moment == Moment::kBeforeDrop)
    s_.windows[item->window] = Millis{0};
  forget_final_verify();
}

// --- gates ---------------------------------------------------------------------------------------

void Decider::judge() {
  const auto when = moment();
  if (!when || s_.mode == Mode::kDone || s_.mode == Mode::kAborted) {
    s_.gates.clear();
    s_.holding_since = {};
    return;
  }
  GateInput input{seen_, s_.baseline ? &*s_.baseline : nullptr, s_.marks, plan_, {}, *when, exposure(), 1,
                  now_,  destroyed() || drop_under_way()};
  s_.gates = judge_all(input, *when);
  const bool blind = std::any_of(s_.gates.begin(), s_.gates.end(), [](const GateReading& reading) {
    return reading.no_data && !reading.waived;
  });
  if (!blind) s_.holding_since = {};
  if (blind && s_.holding_since.ms == 0) s_.holding_since = now_;
}

// Sides that differ when everybody is on the new one: nobody is sent to a side that may be behind, and
// nothing is dropped. The next sample may miss the row, so that a person has to say that it goes on.
bool Decider::stop_out_of_step() {
  if (s_.flag.stage != "complete" || destroyed()) return false;
  for (const GateReading& reading : s_.gates) {
    const Gate* gate = find_gate(reading.gate);
    if (reading.waived || reading.verdict != Verdict::kFail || !gate || !gate->compares_sides) continue;
    if (s_.mode == Mode::kRunning || s_.paused_by_gate)
      pause(fmt::format("gate {}: {}", reading.gate, reading.reason), false);
    return true;
  }
  return false;
}

void Decider::react_to_gates() {
  const bool watching = s_.mode == Mode::kRunning || (s_.mode == Mode::kPaused);
  if (!watching || stop_out_of_step()) return;
  const GateReading* worst = nullptr;
  OnFailure reaction = OnFailure::kBlock;
  for (const GateReading& reading : s_.gates) {
    const Gate* gate = find_gate(reading.gate);
    if (reading.waived || !gate) continue;
    OnFailure what = gate->on_failure;
    const Millis deadline = settings_of(*gate, plan_).deadline;
    bool counts = reading.verdict == Verdict::kFail;
    if (counts && what == OnFailure::kPause && s_.paused_by_gate && now_ - s_.paused_since > deadline)
      what = OnFailure::kRollback;
    const bool exposed =
        s_.flag.stage == "live" || s_.flag.stage == "rampdown" || s_.flag.stage == "complete";
    if (reading.no_data && exposed && s_.holding_since.ms != 0 && now_ - s_.holding_since > deadline) {
      counts = true;  // nobody can see what the new side does: the deadline decides
      // Once the flag is closed, what only keeps the drop from going on says nothing against the new side.
      const bool only_drop = s_.flag.stage == "complete" && gate->on_failure == OnFailure::kBlock;
      what = only_drop ? OnFailure::kPause : OnFailure::kRollback;
    }
    if (counts && (!worst || static_cast<int>(what) < static_cast<int>(reaction))) {
      worst = &reading;
      reaction = what;
    }
  }
  if (!worst) {
    if (s_.mode == Mode::kPaused && s_.paused_by_gate) {
      s_.mode = Mode::kRunning;
      s_.paused_by_gate = false;
      say("controller", "resume", "no gate fails any more");
    }
    return;
  }
  const Item* item = present();
  const bool verdict_only = item && item->phase == Phase::kPrepare;
  if (reaction == OnFailure::kRollback && !destroyed()) {
    const GateReading reading = *worst;  // begin_rollback clears the readings
    begin_rollback({RequestKind::kRollback, "controller", reading.reason, ""}, "gate:" + reading.gate);
  } else if (s_.mode == Mode::kRunning &&
             (reaction == OnFailure::kPause || verdict_only || reaction == OnFailure::kRollback)) {
    // Behind the first drop there is no way back: the drops that are left wait.
    pause(fmt::format("gate {}: {}", worst->gate, worst->reason), true);
  }
}

// --- shared helpers ------------------------------------------------------------------------------

const Item* Decider::present() const {
  return s_.position < plan_.items.size() ? &plan_.items[s_.position] : nullptr;
}

std::optional<Moment> Decider::moment() const {
  if (s_.mode == Mode::kRollingBack) {
    return s_.undo.empty() ? std::nullopt : std::optional(Moment::kUndoExpand);
  }
  const Item* item = present();
  if (!item || s_.mode == Mode::kRolledBack || contracted()) return std::nullopt;
  if (item->moment) return item->moment;
  switch (item->phase) {  // gates are judged while waiting, too
    case Phase::kPrepare:
      return item->kind == ItemKind::kBaseline ? std::optional(Moment::kBaseline) : std::nullopt;
    case Phase::kDualWrite:
      return item->kind == ItemKind::kStep ? std::optional(Moment::kExpand)
                                           : std::optional(Moment::kDualWrite);
    case Phase::kExpose: return s_.flag.stage == "live" ? Moment::kExpose : Moment::kDualWrite;
    case Phase::kContract:
      // From closing on references count: also while a drop waits for its approval, and between two drops.
      return s_.flag.stage == "complete" && item->kind != ItemKind::kFlag ? Moment::kBeforeDrop
                                                                          : Moment::kRelease;
  }
  return std::nullopt;
}

bool Decider::done(const Item& item) const {
  const auto record = s_.steps.find(item.id);
  return record != s_.steps.end() && record->second.done;
}

bool Decider::destroyed() const {
  return std::any_of(plan_.items.begin(), plan_.items.end(),
                     [&](const Item& item) { return item.step && item.step->destructive && done(item); });
}

bool Decider::contracted() const {
  return destroyed() && std::all_of(plan_.items.begin(), plan_.items.end(), [&](const Item& item) {
           return !item.step || !item.step->destructive || done(item);
         });
}

// The step before each backfill installs the trigger; from the last one's commit on, all sides are kept.
// A change without a backfill is there with the last step of its expand.
bool Decider::in_sync_installed() const {
  const Item* before = nullptr;
  bool backfills = false;
  for (const Item& item : plan_.items) {
    if (item.phase != Phase::kDualWrite || !item.step) continue;
    if (item.step->kind == change::StepKind::kBackfill) {
      if (!before || !done(*before)) return false;
      backfills = true;
    }
    before = &item;
  }
  return backfills || (before && done(*before));
}

bool Decider::verified() const {
  bool any = false;
  for (const Item& item : plan_.items) {
    const bool first = item.phase == Phase::kDualWrite;  // the one before the drop ends no window
    if (!first || !item.step || item.step->kind != change::StepKind::kVerify) continue;
    if (!done(item)) return false;
    any = true;
  }
  return any;
}

bool Decider::gates_pass() const {
  return std::all_of(s_.gates.begin(), s_.gates.end(), [](const GateReading& reading) {
    return reading.waived || reading.verdict == Verdict::kPass;
  });
}

bool Decider::gates_fail() const {
  return std::any_of(s_.gates.begin(), s_.gates.end(), [](const GateReading& reading) {
    return !reading.waived && reading.verdict == Verdict::kFail;
  });
}

bool Decider::readers_applied() const {
  if (s_.flag_revision == flag::Revision{}) return false;
  // No application has ever registered, or, where one was seen before, we do not know what it does now.
  if (!seen_.app) return !had_application();
  return std::all_of(seen_.app->instances.begin(), seen_.app->instances.end(),
                     [&](const InstanceInfo& one) { return one.departed || one.reached(s_.flag_revision); });
}

bool Decider::had_application() const {
  return s_.baseline && s_.baseline->application;
}

// The share of users that a bad new side would hit: how much proof is asked for follows from it. At 100 %
// of internal traffic and none of everybody it is internal's own share, not 1.
double Decider::exposure() const {
  if (s_.flag.stage == "complete" || s_.flag.stage == "rampdown") return 1;
  if (s_.flag.stage != "live") return 0;
  double internal = 0;
  double all = 0;
  const auto excluded = s_.flag.exclusions ? plan_.excluded_contexts() : std::vector<std::string>{};
  for (const ContextStats& one : seen_.app ? seen_.app->contexts : std::vector<ContextStats>{}) {
    if (std::find(excluded.begin(), excluded.end(), one.context) != excluded.end()) continue;
    const double attempts = static_cast<double>(one.legacy + one.fresh);
    all += attempts;
    if (one.context == flag::kInternalContext) internal += attempts;
  }
  const double share = all >= kAttemptsToTrust ? internal / all : kInternalShareGuess;
  const double inside = std::max(s_.flag.internal_percentage, s_.flag.percentage);
  return (share * inside + (1 - share) * s_.flag.percentage) / 100.0;
}

void Decider::begin_mark() {
  s_.mark += 1;
  // What this tick has seen was counted before the mark: judged now, the breakers that tripped in a try that
  // was taken back would end the next one in the moment in which it is resumed.
  if (seen_.app) {
    seen_.app->newest = {};
    seen_.app->paths.clear();
    seen_.app->contexts.clear();
    seen_.app->breakers.clear();
    seen_.app->shadow_compared = seen_.app->shadow_mismatches = 0;
  }
  count_from_now();
}

// The database's counters alone; the application's figures go by the number of the mark.
void Decider::count_from_now() {
  s_.mark_at = now_;
  s_.marks.clear();
  s_.holding_since = {};
}

// A gate of references that holds with data has lost some of what it counts.
bool Decider::count_lost() const {
  return std::any_of(s_.gates.begin(), s_.gates.end(), [](const GateReading& reading) {
    return reading.gate.starts_with("references_") && !reading.waived && !reading.no_data &&
           reading.verdict == Verdict::kHold;
  });
}

bool Decider::count_anew() {
  if (!(gates_fail() || count_lost()) || now_ - s_.mark_at < kCountAnew) return false;
  begin_mark();
  return true;
}

bool Decider::quiet() const {
  for (const Item& item : plan_.items) {
    const bool counts = item.kind == ItemKind::kWindow && item.moment == Moment::kBeforeDrop;
    if (counts && now_ - s_.mark_at < item.duration) return false;
  }
  return gates_pass();
}

void Decider::set_flag(const FlagSetting& flag) {
  if (s_.flag == flag && s_.flag_revision != flag::Revision{}) return;
  s_.flag = flag;
  s_.flag_revision = {};
}

void Decider::say(const std::string& who, const std::string& what, const std::string& why) {
  events_.push_back({who, what, why});
  s_.journal.push_back(with_reason(fmt::format("{} {} {}", format_timestamp(now_), who, what), why));
  if (s_.journal.size() > kJournalMax) s_.journal.erase(s_.journal.begin());
}

void Decider::pause(const std::string& reason, bool by_gate) {
  s_.mode = Mode::kPaused;
  s_.pause_reason = reason;
  s_.paused_by_gate = by_gate;
  s_.paused_since = now_;
  say("controller", "pause", reason);
}

void Decider::command(CommandKind kind, const change::Step& step) {
  commands_.push_back({kind, step, {}, s_.generation});
}

}  // namespace poundlock::rollout
