// The way forward: when is the present item finished, and what has to be done until then?
#include <fmt/format.h>

#include <algorithm>

#include "rollout/decider.h"
#include "rollout/question_text.h"
#include "rollout/statistics.h"

namespace poundlock::rollout {
namespace {

constexpr Millis kUnreadBeforeExposure{24 * 3'600'000};

// Windows that belong to one item; "dual_write" and "overlap" run through several (tick_windows).
bool own_window(const std::string& name) {
  return name != "dual_write" && name != "overlap";
}

bool is_final_verify(const Item& item) {
  return item.phase == Phase::kContract && item.step && item.step->kind == change::StepKind::kVerify;
}

}  // namespace

void Decider::forward() {
  for (std::size_t guard = 0; guard <= plan_.items.size(); ++guard) {
    const Item* item = present();
    if (!item || !item_finished(*item)) return;
    if (!may_expose(*item, guard > 0)) return;
    advance();
    // Whatever comes next is judged by readings of its own, at the next tick. A step needs none, but for a
    // drop, which nothing takes back.
    const Item* following = present();
    if (!following || following->kind != ItemKind::kStep || following->step->destructive) return;
  }
}

// An exposure is live with its entry: what must hold before anybody reads the new side (replicas have
// replayed its column) is judged before it, by readings of the item in front of it.
bool Decider::may_expose(const Item& item, bool moved) {
  const std::size_t after = s_.position + 1;
  const bool first = after < plan_.items.size() && plan_.items[after].kind == ItemKind::kExposure &&
                     item.kind != ItemKind::kExposure;
  if (!first || (!moved && gates_pass())) return true;
  count_anew();
  return false;
}

bool Decider::item_finished(const Item& item) {
  switch (item.kind) {
    case ItemKind::kStep: return step_finished(item);
    case ItemKind::kBaseline: return baseline_finished(item);
    case ItemKind::kGates:
      if (item.moment != Moment::kBeforeDrop) return gates_pass();
      return !count_anew() && quiet();
    case ItemKind::kFlag: return flag_finished(item);
    case ItemKind::kExposure: return exposure_finished(item);
    case ItemKind::kWindow: return window_finished(item);
    case ItemKind::kApproval: return s_.approvals.contains(item.approval);
  }
  return false;
}

bool Decider::step_finished(const Item& item) {
  if (done(item)) return true;
  if (item.step->destructive && !may_drop(item)) return false;
  if (now_ < s_.retry_at) return false;
  s_.steps.try_emplace(item.id);  // a rollback takes back what was begun, and this is how it knows
  command(CommandKind::kRunStep, *item.step);
  return false;
}

bool Decider::may_drop(const Item& item) {
  // A reference that turns up while a drop still waits for its lock stops it.
  if (count_anew()) {
    forget_final_verify();
    return false;
  }
  const Item* check = unverified();
  // A comparison of hours goes on, whatever a gate lacks for a moment.
  const bool comparing = check && s_.steps.contains(check->id);
  if (!comparing && !quiet()) return false;
  if (!check) return true;
  if (now_ < s_.retry_at) return false;
  // A drop that was begun may have committed, and then there is nothing to compare any more.
  if (s_.steps.contains(item.id)) {
    command(CommandKind::kProbeStep, *item.step);
  } else {
    s_.steps.try_emplace(check->id);
    command(CommandKind::kRunStep, *check->step);
  }
  return false;
}

// What has to be compared again before a drop. Between two drops there is one side less to compare with.
const Item* Decider::unverified() const {
  if (destroyed()) return nullptr;
  for (const Item& item : plan_.items)
    if (is_final_verify(item) && !done(item)) return &item;
  return nullptr;
}

void Decider::forget_final_verify() {
  for (const Item& item : plan_.items)
    if (is_final_verify(item)) s_.steps.erase(item.id);
}

bool Decider::baseline_finished(const Item& item) {
  if (now_ - s_.mark_at < std::max(item.duration, kBaselineMin) || !gates_pass()) return false;
  const bool application = baseline_needs_application();
  if (application && !seen_.app) return false;
  const Gate* latency = find_gate("latency_p99");
  const std::uint64_t enough = latency ? settings_of(*latency, plan_).min_samples : 1;
  Baseline baseline;
  baseline.at = now_;
  baseline.application = seen_.app.has_value();
  baseline.seconds = static_cast<double>((now_ - s_.mark_at).count()) / 1000.0;
  std::uint64_t all = 0;
  for (const PathStats& path : seen_.app ? seen_.app->paths : std::vector<PathStats>{}) {
    if (path.legacy.counts.attempts == 0) continue;
    all += path.legacy.counts.attempts;
    baseline.paths[path.path] = {path.legacy.counts.attempts, path.legacy.counts.errors(),
                                 path.legacy.latency};
  }
  // Of all paths together, and of each that carries a share: one that is used once an hour would keep the
  // baseline from ever ending.
  if (application && (baseline.paths.empty() || all < enough)) return false;
  for (const auto& [name, path] : baseline.paths) {
    const bool matters = static_cast<double>(path.attempts) > kShareThatMatters * static_cast<double>(all);
    if (application && matters && path.attempts < std::min(enough, kControlSamplesMin)) return false;
  }
  for (const auto& [name, observation] : seen_.values) {
    baseline.values[name] = observation.value;
    if (const auto mark = s_.marks.find(name); mark != s_.marks.end())
      baseline.differences[name] = observation.value - mark->second;
  }
  say("controller", "baseline",
      fmt::format("recorded over {:.1f} s on {} paths{}", baseline.seconds, baseline.paths.size(),
                  thin_paths().empty() ? "" : "; too few samples to compare with on " + thin_paths()));
  s_.baseline = std::move(baseline);
  return true;
}

// An application that reports nothing is never waited for where every gate that would compare it is waived.
bool Decider::baseline_needs_application() const {
  const auto gates = all_gates();
  return std::any_of(gates.begin(), gates.end(), [&](const Gate* gate) {
    return gate->compares_application && !settings_of(*gate, plan_).waived;
  });
}

// Paths that have fewer samples on legacy than a comparison needs: "by_note (3)".
std::string Decider::thin_paths() const {
  std::vector<std::string> names;
  for (const PathStats& path : seen_.app ? seen_.app->paths : std::vector<PathStats>{}) {
    const auto samples = path.legacy.latency.count();
    if (path.legacy.counts.attempts > 0 && samples < kControlSamplesMin)
      names.push_back(fmt::format("{} ({})", path.path, samples));
  }
  return name_list(names);
}

bool Decider::flag_finished(const Item&) {
  return readers_applied();
}

bool Decider::exposure_finished(const Item& item) {
  if (!readers_applied()) return false;
  s_.dwelt += elapsed_;
  const bool finished = s_.dwelt >= item.duration && gates_pass();
  if (finished && s_.baseline && seen_.app) {
    for (const PathStats& path : seen_.app->paths)
      if (path.legacy.latency.count() >= kControlSamplesMin)
        s_.baseline->controls[path.path] = path.legacy.latency;
  }
  return finished;
}

bool Decider::window_finished(const Item& item) {
  // References must stay at zero for the whole window: one that is seen begins it anew.
  if (item.moment == Moment::kBeforeDrop && count_anew()) s_.windows[item.window] = Millis{0};
  // A read of the new side does not undo the days for which both were written, but what reads once a day has
  // to be given a day to be seen again.
  if (item.moment == Moment::kDualWrite && count_anew()) {
    const auto day =
        static_cast<std::int64_t>(static_cast<double>(kUnreadBeforeExposure.count()) / plan_.speed);
    Millis& window = s_.windows[item.window];
    window = std::min(window, item.duration - std::min(item.duration, Millis{day}));
  }
  if (own_window(item.window) && gates_pass()) s_.windows[item.window] += elapsed_;
  return s_.windows[item.window] >= item.duration && gates_pass();
}

void Decider::advance() {
  const Item& done = plan_.items[s_.position];
  if (done.kind != ItemKind::kStep)
    say("controller", "item_done", fmt::format("{}: {}", done.id, done.title));
  enter(s_.position + 1);
  if (!present()) {
    s_.mode = Mode::kDone;
    say("controller", "done", fmt::format("rollout {} is finished", s_.rollout));
  }
}

void Decider::enter(std::size_t position) {
  const auto before = moment();
  s_.position = position;
  s_.item_since = now_;
  s_.dwelt = Millis{0};
  s_.retry_at = {};
  s_.gates.clear();
  const Item* item = present();
  if (!item) return;
  if (item->flag) set_flag(*item->flag);
  if (item->kind == ItemKind::kWindow && own_window(item->window)) s_.windows[item->window] = Millis{0};
  // Gates count from here, except where the same moment goes on: references must have stayed at zero
  // through the whole closing window, up to the drop. A flag lets others in, who are judged for themselves.
  const bool counts_anew =
      item->kind == ItemKind::kExposure || item->kind == ItemKind::kBaseline || item->kind == ItemKind::kFlag;
  if (counts_anew || (item->moment && item->moment != before)) begin_mark();
}

}  // namespace poundlock::rollout
