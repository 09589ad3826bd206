// What operators ask for. Each request is accepted, or refused with a reason and changes nothing.
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "rollout/decider.h"

namespace poundlock::rollout {
namespace {

Error refused(const std::string& message, const std::string& hint) {
  return make_error(Disposition::kConflict, "rollout.mode", message).with_hint(hint);
}

bool finished(Mode mode) {
  return mode == Mode::kDone || mode == Mode::kAborted;
}

}  // namespace

void Decider::absorb_requests() {
  for (const Request& request : seen_.requests) answers_.push_back(answer(request));
}

std::optional<Error> Decider::answer(const Request& request) {
  const bool closed = finished(s_.mode) && !(request.kind == RequestKind::kRollback && destroyed());
  if (closed) {
    return refused(fmt::format("rollout {} is {}", s_.rollout, to_string(s_.mode)),
                   "a finished rollout takes no orders; `poundlock status` shows how it ended");
  }
  switch (request.kind) {
    case RequestKind::kPause:
      // A gate's pause ends by itself; an operator's does not.
      if (s_.mode != Mode::kRunning && !(s_.mode == Mode::kPaused && s_.paused_by_gate))
        return refused(fmt::format("only a running rollout can be paused; it is {}", to_string(s_.mode)),
                       "`poundlock status` shows what it waits for");
      pause(with_reason("paused by " + request.who, request.why), false);
      events_.back().who = request.who;
      return std::nullopt;
    case RequestKind::kResume: return resume(request);
    case RequestKind::kPromote: return promote(request);
    case RequestKind::kApprove: return approve(request);
    case RequestKind::kRollback: return begin_rollback(request, "operator:" + request.who);
    case RequestKind::kAbort: {
      Request all = request;
      all.subject = "prepare";
      auto error = begin_rollback(all, "operator:" + request.who);
      if (!error) s_.abort = true;
      return error;
    }
  }
  return internal_error("unknown request");
}

std::optional<Error> Decider::resume(const Request& request) {
  if (s_.mode != Mode::kPaused && s_.mode != Mode::kRolledBack)
    return refused(fmt::format("nothing to resume: the rollout is {}", to_string(s_.mode)),
                   "resume follows a pause or a rollback");
  if (s_.mode == Mode::kRolledBack) enter(s_.position);
  s_.mode = Mode::kRunning;
  s_.paused_by_gate = false;
  s_.pause_reason.clear();
  s_.retry_at = {};
  for (auto& [id, record] : s_.steps) record.attempts = 0;
  forget_final_verify();  // whatever was repaired meanwhile may have bypassed the trigger
  say(request.who, "resume", request.why);
  return std::nullopt;
}

std::optional<Error> Decider::promote(const Request& request) {
  const Item* item = present();
  if (s_.mode != Mode::kRunning)
    return refused(fmt::format("only a running rollout can be promoted; it is {}", to_string(s_.mode)),
                   "resume it first");
  if (!item || item->kind != ItemKind::kExposure)
    return refused("promote shortens the dwell of an exposure step, and none is under way",
                   "windows and approvals protect data and are not skipped; see `poundlock status`");
  if (gates_fail())
    return make_error(Disposition::kRefused, "rollout.gate", "a gate fails; promote does not overrule gates")
        .with_hint("`poundlock status` shows which");
  s_.dwelt = item->duration;
  say(request.who, "promote", with_reason(item->id, request.why));
  return std::nullopt;
}

std::optional<Error> Decider::approve(const Request& request) {
  const bool known = std::any_of(plan_.items.begin(), plan_.items.end(), [&](const Item& item) {
    return item.kind == ItemKind::kApproval && item.approval == request.subject;
  });
  if (!known)
    return user_error("rollout.approval",
                      fmt::format("this rollout asks for no approval '{}'", request.subject))
        .with_hint("`poundlock plan` lists the approvals");
  const Item* item = present();
  if (s_.mode == Mode::kRollingBack || s_.mode == Mode::kRolledBack || !item ||
      item->kind != ItemKind::kApproval || item->approval != request.subject) {
    // Given ahead, it would say yes to figures that nobody has seen yet, and a rollback takes it back.
    return refused(fmt::format("nothing waits for the approval '{}' now", request.subject),
                   "it is asked for in contract; `poundlock status` says when");
  }
  s_.approvals[request.subject] = request.who;
  say(request.who, "approve", with_reason(request.subject, request.why));
  return std::nullopt;
}

}  // namespace poundlock::rollout
