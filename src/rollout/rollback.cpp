// The way back. The flag goes first and needs no database; everything after it can be repeated.
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "rollout/decider.h"

namespace poundlock::rollout {
namespace {
constexpr std::size_t kRollbacksMax = 50;
// A job that reads each few minutes must be seen before its column goes.
constexpr Millis kUndoQuiet{5 * 60'000};
constexpr Millis kTwoLooks{10'000};  // of the gate's slowest question, whatever the plan's speed
}  // namespace

std::optional<Error> Decider::begin_rollback(const Request& request, const std::string& cause) {
  if (s_.mode == Mode::kRollingBack && request.subject != "prepare")
    return std::nullopt;  // already under way
  if (destroyed()) {
    if (request.subject == "restore") {
      begin_restore(request);
      return std::nullopt;
    }
    return make_error(Disposition::kConflict, "rollout.dropped", "the legacy side has been dropped")
        .with_hint("`poundlock rollback --restore` brings the column back and refills it through `down`");
  }
  if (drop_under_way()) {
    // Publishing legacy before the outcome is known could send everybody to a column that is gone. A second
    // order does not change that; it may only ask for more.
    if (!s_.pending_rollback)
      s_.pending_rollback = request;
    else if (request.subject == "prepare")
      s_.pending_rollback->subject = request.subject;
    return std::nullopt;
  }
  return roll_back(request, cause);
}

// A drop that was commanded may be committing, also while the rollout is paused.
bool Decider::drop_under_way() const {
  const Item* item = present();
  const bool active = s_.mode == Mode::kRunning || s_.mode == Mode::kPaused;
  return active && item && item->step && item->step->destructive && s_.steps.contains(item->id) &&
         !done(*item);
}

void Decider::begin_restore(const Request& request) {
  s_.restoring = true;
  s_.mode = Mode::kRollingBack;
  s_.retry_at = {};
  s_.paused_by_gate = false;
  s_.pause_reason.clear();
  // A second drop is approved anew, waits for windows of its own, and can be restored again.
  s_.approvals.erase("release");
  s_.approvals.erase("drop");
  s_.windows.clear();
  for (const change::Step& step : plan_.restore) s_.steps.erase(step.id);
  say(request.who, "restore", request.why);
}

std::optional<Error> Decider::roll_back(const Request& request, const std::string& cause) {
  const Item* item = present();
  const Phase phase = item ? item->phase : Phase::kContract;
  const bool all = request.subject == "prepare";
  // Where everybody is back already, a further rollback goes one phase deeper.
  const bool deeper = s_.mode == Mode::kRolledBack && phase == Phase::kExpose;
  if (s_.mode == Mode::kRolledBack && phase == Phase::kPrepare && !all)
    return make_error(Disposition::kConflict, "rollout.mode",
                      "nothing to roll back: the rollout is before its first step");

  const bool ordered = cause.starts_with("operator:");
  say(request.who, request.kind == RequestKind::kAbort ? "abort" : "rollback",
      ordered ? request.why : with_reason(cause, request.why));
  if (s_.mode != Mode::kRolledBack) {
    s_.rollbacks.push_back({cause, request.why, now_, {}, {}, {}});
    if (s_.rollbacks.size() > kRollbacksMax) s_.rollbacks.erase(s_.rollbacks.begin());
  }
  s_.mode = Mode::kRollingBack;
  s_.paused_by_gate = false;
  s_.pause_reason.clear();
  s_.retry_at = {};
  const bool installed = in_sync_installed();
  if (plan_.flag) set_flag({installed ? "dualwrite" : "off", 0, 0, true});
  if (s_.flag_revision != flag::Revision{} && !s_.rollbacks.empty() && s_.rollbacks.back().flag_off.ms == 0) {
    s_.rollbacks.back().flag_off = now_;  // nobody was let in yet: there is nothing to publish
    s_.rollbacks.back().revision = s_.flag_revision;
  }
  for (const char* window : {"observe", "observe_again", "closing"}) s_.windows.erase(window);
  s_.approvals.erase("release");
  s_.approvals.erase("drop");
  s_.undo.clear();
  if (phase == Phase::kPrepare || phase == Phase::kDualWrite || all || deeper) {
    for (auto it = plan_.items.rbegin(); it != plan_.items.rend(); ++it) {
      // Turning the sync off covers whatever opened it: taken back one by one, it would be on again.
      if (it->phase == Phase::kExpose && !plan_.close_sync.empty()) continue;
      // Also a step that was tried without success: it may have left something.
      const auto record = s_.steps.find(it->id);
      if (it->step && !it->step->undo.empty() && record != s_.steps.end()) s_.undo.push_back(it->id);
    }
    s_.undo_all = true;
    s_.undo_close = 0;
  }
  s_.gates.clear();  // they judged what is now left behind
  begin_mark();
  return std::nullopt;
}

void Decider::back() {
  if (s_.restoring) {
    if (restore_one()) return;
    s_.restoring = false;
    // The sync that was restored is that of before exposure: it is opened again before anybody is exposed.
    for (const Item& item : plan_.items)
      if (item.phase >= Phase::kExpose) s_.steps.erase(item.id);
    s_.position = plan_.first_of(Phase::kExpose);
    if (plan_.flag) set_flag({"dualwrite", 0, 0, true});
  }
  // Legacy first, for everybody; then the schema. A reader whose stream is silent is waited for only so
  // long: it keeps its last value, and the reference gate sees what it does.
  if (plan_.flag && s_.flag_revision == flag::Revision{}) return;
  const bool waited = !s_.rollbacks.empty() && now_ - s_.rollbacks.back().began > kAckWaitMax;
  if (plan_.flag && s_.undo_all && !readers_applied() && !waited) return;
  if (s_.undo_all && undo_one()) return;
  finish_rollback();
}

// One more thing to take back; true while there is one.
bool Decider::undo_one() {
  const bool retry_later = now_ < s_.retry_at;
  const bool touched = std::any_of(s_.undo.begin(), s_.undo.end(), [&](const std::string& id) {
    const Item* item = plan_.item(id);
    return item && item->phase == Phase::kDualWrite;
  });
  if (touched) {
    // Whoever still reads the new side would read what nobody keeps in step any more, and then a column that
    // is gone. What was read before everybody was back is counted, too, and must not hold this up for ever.
    // Before exposure nobody was ever sent there, and a trigger that hurts writers stops at once.
    const Item* at = present();
    const bool exposed = !at || at->phase >= Phase::kExpose;
    if (exposed && !unread()) return true;
    // Replacing the function takes no lock on the table.
    while (s_.undo_close < plan_.close_sync.size()) {
      const change::Step& step = plan_.close_sync[s_.undo_close];
      if (!s_.steps[step.id].done) {
        if (!retry_later) command(CommandKind::kRunStep, step);
        return true;
      }
      s_.undo_close += 1;
    }
    if (!unread()) return true;
  }
  if (s_.undo.empty()) return false;
  const Item* item = plan_.item(s_.undo.front());
  if (!item || !item->step) {
    s_.undo.erase(s_.undo.begin());
    return true;
  }
  if (!retry_later) command(CommandKind::kUndoStep, *item->step);
  return true;
}

// Has nobody referred to the new side for long enough? The gate alone passes with its first look, at which
// everything has been referred to zero times since the mark.
bool Decider::unread() {
  if (s_.gates.empty()) return false;  // nothing has been judged on this way back yet
  return !count_anew() && gates_pass() && unread_for().count() <= 0;
}

// How much longer nobody may refer to the new side before it is taken back.
Millis Decider::unread_for() const {
  const bool counted = std::any_of(s_.gates.begin(), s_.gates.end(),
                                   [](const GateReading& reading) { return !reading.waived; });
  if (!counted) return Millis{0};
  const auto wanted = static_cast<std::int64_t>(static_cast<double>(kUndoQuiet.count()) / plan_.speed);
  return std::max(Millis{wanted}, kTwoLooks) - (now_ - s_.mark_at);
}

bool Decider::restore_one() {
  for (const change::Step& step : plan_.restore) {
    if (s_.steps[step.id].done) continue;
    if (now_ >= s_.retry_at) command(CommandKind::kRunStep, step);
    return true;
  }
  return false;
}

void Decider::finish_rollback() {
  if (s_.undo_all) {
    // Everything begins anew; what was recorded belongs to a schema that is gone.
    s_.steps.clear();
    s_.windows.clear();
    s_.baseline.reset();
    s_.approvals.clear();
    s_.undo_all = false;
    s_.position = 0;
    if (plan_.flag) set_flag({"off", 0, 0, true});
  } else {
    std::size_t first = plan_.first_of(Phase::kExpose);
    while (first < plan_.items.size() && plan_.items[first].kind != ItemKind::kExposure) ++first;
    s_.position = std::min(s_.position, first);
  }
  s_.mode = s_.abort ? Mode::kAborted : Mode::kRolledBack;
  s_.item_since = now_;
  s_.gates.clear();
  say("controller", to_string(s_.mode),
      s_.position == 0 ? "nothing of the change is left in production"
                       : "everybody reads legacy; dual writing goes on");
}

// When has every live reader applied the snapshot of the rollback?
void Decider::note_everybody_back() {
  if (s_.rollbacks.empty()) return;
  RollbackRecord& record = s_.rollbacks.back();
  if (record.everybody_back.ms != 0 || record.flag_off.ms == 0) return;
  if (!seen_.app && had_application()) return;  // there were readers, and we do not know what they do now
  const bool back = !seen_.app || std::all_of(seen_.app->instances.begin(), seen_.app->instances.end(),
                                              [&](const InstanceInfo& one) {
                                                return one.departed || one.reached(record.revision);
                                              });
  if (!back) return;
  record.everybody_back = now_;
  if (s_.undo_all) begin_mark();  // from here on nobody has a reason to read the new side
}

}  // namespace poundlock::rollout
