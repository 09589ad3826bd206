// What a person is told: the same words in command line, API and dashboard.
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "rollout/decider.h"

namespace poundlock::rollout {
namespace {

std::string percent(double value) {
  return fmt::format("{:g} %", value);
}

}  // namespace

void Decider::report() {
  report_.headline = headline();
  report_.next = next();
  waiting_for(report_.waiting);
  report_.progress =
      plan_.items.empty() ? 1 : static_cast<double>(s_.position) / static_cast<double>(plan_.items.size());
  if (s_.mode == Mode::kDone) report_.progress = 1;
}

std::string Decider::headline() const {
  const Item* item = present();
  switch (s_.mode) {
    case Mode::kDone:
      return destroyed() ? "done: the new side is the only side"
                         : "done: the change is expanded and verified";
    case Mode::kAborted: return "aborted: nothing of the change is left in production";
    case Mode::kRolledBack:
      return s_.position == 0 ? "rolled back: nothing of the change is in production"
                              : "rolled back: everybody reads legacy, dual writing goes on";
    case Mode::kRollingBack: return s_.restoring ? "restoring the legacy side" : "rolling back";
    case Mode::kPaused:
    case Mode::kRunning: break;
  }
  if (!item) return "done";
  std::string text = fmt::format("{}: {}", change::to_string(item->phase), item->title);
  if (s_.mode == Mode::kPaused) text = "paused in " + text;
  if (s_.flag.stage == "live")
    text += fmt::format(" ({} of everybody, {} of internal reads the new side)", percent(s_.flag.percentage),
                        percent(s_.flag.internal_percentage));
  return text;
}

std::string Decider::next() const {
  const Item* item = present();
  switch (s_.mode) {
    case Mode::kDone:
    case Mode::kAborted: return "nothing: this rollout is closed";
    case Mode::kPaused: return fmt::format("nothing before it is resumed: {}", s_.pause_reason);
    case Mode::kRolledBack: {
      const std::string cause =
          s_.rollbacks.empty()
              ? ""
              : fmt::format(" (it was rolled back by {})",
                            with_reason(s_.rollbacks.back().cause, s_.rollbacks.back().reason));
      return "nothing before `poundlock resume`" + cause;
    }
    case Mode::kRollingBack:
      return s_.undo.empty() ? "everybody is brought back to legacy"
                             : fmt::format("taking back {}", s_.undo.front());
    case Mode::kRunning: break;
  }
  if (!item) return "nothing";
  const std::size_t after = s_.position + 1;
  const std::string then = after < plan_.items.size() ? plan_.items[after].title : "the rollout is done";
  Millis left{0};
  if (item->kind == ItemKind::kExposure) left = item->duration - s_.dwelt;
  if (item->kind == ItemKind::kWindow) {
    const auto window = s_.windows.find(item->window);
    left = item->duration - (window == s_.windows.end() ? Millis{0} : window->second);
  }
  if (left.count() > 0) return fmt::format("in {} at the earliest: {}", format_duration(left), then);
  return "then: " + then;
}

void Decider::waiting_for(std::vector<std::string>& out) const {
  const Item* item = present();
  if (s_.mode == Mode::kRunning && item) {
    if (item->kind == ItemKind::kApproval)
      out.push_back(
          fmt::format("approval '{}': poundlock approve {} {}", item->approval, s_.rollout, item->approval));
    if (item->kind == ItemKind::kStep) {
      const auto record = s_.steps.find(item->id);
      if (record != s_.steps.end() && record->second.attempts > 0)
        out.push_back(fmt::format("another try of {} (failed {} times): {}", item->id,
                                  record->second.attempts, record->second.detail));
    }
    const std::string thin = item->kind == ItemKind::kBaseline ? thin_paths() : "";
    if (item->kind == ItemKind::kBaseline && baseline_needs_application())
      out.emplace_back(seen_.app && !seen_.app->paths.empty()
                           ? "enough samples of the application on legacy" +
                                 (thin.empty() ? "" : "; few so far on " + thin)
                           : "the application's figures: no instance has reported a path of this flag yet");
    if (item->flag && !readers_applied()) {
      for (const auto& one : seen_.app ? seen_.app->instances : std::vector<InstanceInfo>{})
        if (!one.departed && !one.reached(s_.flag_revision))
          out.push_back(fmt::format("reader {} of {} to apply the flag", one.instance, one.service));
    }
  }
  if (s_.pending_rollback && item) {
    out.push_back(fmt::format(
        "the outcome of {}: unless it has committed, everybody is brought back to legacy", item->id));
  }
  if (s_.mode == Mode::kRollingBack && !s_.undo.empty()) {
    const auto record = s_.steps.find(s_.undo.front());
    if (record != s_.steps.end() && record->second.attempts > 0) out.push_back(record->second.detail);
    if (const Millis left = unread_for(); !s_.gates.empty() && left.count() > 0)
      out.push_back(fmt::format("nobody to refer to the new side for another {}; then it is taken back",
                                format_duration(left)));
  }
  for (const GateReading& reading : s_.gates)
    if (!reading.waived && reading.verdict != Verdict::kPass)
      out.push_back(fmt::format("gate {}: {}", reading.gate, reading.reason));
}

}  // namespace poundlock::rollout
