// What is known of a flag beside its definition: who has applied it, and who still needs it.
#include <algorithm>
#include <boost/json.hpp>

#include "base/json.h"
#include "flag/rollout_flag.h"
#include "server/service.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;
constexpr std::int64_t kDayMs = 24 * 3'600'000;
constexpr std::size_t kNamedMax = 1'000;  // instances listed by name; all are counted

bj::object reach_json(const std::vector<telemetry::InstanceReach>& all) {
  using telemetry::Reach;
  std::map<Reach, std::int64_t> counts{
      {Reach::kAcknowledged, 0}, {Reach::kDelivered, 0}, {Reach::kDeparted, 0}, {Reach::kUnknown, 0}};
  std::optional<Millis> slowest;
  bj::array named;
  for (const auto& one : all) {
    ++counts[one.reach];
    if (one.took) slowest = std::max(slowest.value_or(Millis{0}), *one.took);
    if (named.size() >= kNamedMax) continue;
    bj::object entry{{"service", one.info.service},
                     {"instance", one.info.instance},
                     {"build", one.info.build},
                     {"state", to_string(one.reach)},
                     {"epoch", one.info.applied.epoch},
                     {"revision", one.info.applied.number},
                     {"last_seen", format_timestamp(one.info.last_seen)}};
    if (one.took) entry["took_ms"] = one.took->count();
    named.push_back(std::move(entry));
  }
  bj::object out;
  for (const auto& [reach, count] : counts) out[to_string(reach)] = count;
  out["slowest_ms"] = slowest ? bj::value(slowest->count()) : bj::value();
  out["instances"] = std::move(named);
  return out;
}

// Streams of the client library: what left for the kernel was delivered; that it was applied its report says.
void note_deliveries(Service& service, flag::Revision revision) {
  for (const auto& one : service.hub()->subscribers())
    if (one.newest) service.metrics().delivered(one.info.service, one.info.instance, revision);
}

std::string day_text(std::int64_t day) {
  return format_timestamp({day * kDayMs}).substr(0, 10);
}

Response status(Service& service, const Request& request) {
  const auto key = request.param("key");
  const auto info = service.flags().find(key);
  const auto change = service.flags().last_change(key);
  if (!info || !change)
    return error_response(404, "flag.unknown", "there is no flag " + std::string(key),
                          "`poundlock flag list` shows them");
  note_deliveries(service, service.flags().view()->revision);
  service.metrics().take_evaluations();
  bj::object out{
      {"key", key},
      {"rollout", info->owner},
      {"source", info->source},
      {"state", info->definition.if_contains("state") ? info->definition.at("state") : bj::value()},
      {"epoch", change->revision.epoch},
      {"revision", change->revision.number}};
  if (!info->overridden.empty()) out["overridden"] = info->overridden;
  out["readers"] = reach_json(service.metrics().reach(change->revision, change->at));
  const auto usage = service.usage().all();
  const auto used = usage.find(key);
  out["last_evaluated"] = used == usage.end() ? bj::value() : bj::value(day_text(used->second.last_day));
  out["evaluations_known_since"] = format_timestamp(service.usage().since());
  bj::array variants, warnings;
  for (const auto& one : service.metrics().evaluation_totals())
    if (one.flag == key)
      variants.push_back(bj::object{{"variant", one.variant}, {"reason", one.reason}, {"count", one.count}});
  for (const auto& one : service.flags().shadowed())
    if (one.key == key) warnings.push_back(bj::value(one.to_string()));
  // Of every file: the refused one may be the one that defines this flag anew.
  for (const auto& one : service.refused_flag_files())
    warnings.push_back(
        bj::value(fmt::format("{} is refused since {}: {}", one.path, format_timestamp(one.since), one.why)));
  out["evaluations"] = std::move(variants);
  out["warnings"] = std::move(warnings);
  return json_response(out);
}

// Who follows the flags and tells nothing of its evaluations: their flags may be needed or not.
std::int64_t silent_evaluators(Service& service) {
  std::int64_t out = service.metrics().strangers();
  for (const auto& one : service.metrics().instances()) out += one.connected && !one.reports ? 1 : 0;
  return out;
}

struct Staleness {
  const std::map<std::string, telemetry::FlagUse, std::less<>>& usage;
  std::int64_t today = 0;
  std::int64_t days = 30;
  bool covered = false;  // records reach back as far as is asked for, and everybody reports
};

void add(bj::array& to, const FlagInfo& info, const char* kind, std::string text) {
  to.push_back(
      bj::object{{"key", info.key}, {"rollout", info.owner}, {"kind", kind}, {"reason", std::move(text)}});
}

void check_use(const FlagInfo& info, const Staleness& by, bj::array& out) {
  const auto used = by.usage.find(info.key);
  const bool ever = used != by.usage.end() && used->second.last_day >= 0;
  if (ever && by.today - used->second.last_day < by.days) return;
  if (ever && by.covered)
    add(out, info, "not_evaluated", "last evaluated on " + day_text(used->second.last_day));
  else if (by.covered)
    add(out, info, "not_evaluated", "never evaluated since records began");
  else
    add(out, info, "unknown",
        ever ? "last known evaluation on " + day_text(used->second.last_day) + ", but not everybody reports"
             : "no evidence: records are too short, or readers do not report their evaluations");
}

void check_branches(const FlagInfo& info, const flag::CompiledFlag* compiled, const Staleness& by,
                    bj::array& out) {
  const auto used = by.usage.find(info.key);
  if (!compiled || compiled->branches == 0 || used == by.usage.end() || used->second.branches.empty()) return;
  if (by.today - used->second.last_day >= by.days) return;  // the whole flag is named already
  for (int branch = 0; branch < compiled->branches; ++branch) {
    const auto at = used->second.branches.find(branch);
    if (at != used->second.branches.end() && by.today - at->second < by.days) continue;
    const bool last = branch + 1 == compiled->branches;
    add(out, info, by.covered ? "branch_never_matched" : "unknown",
        (last ? std::string("the else of its rule")
              : "branch " + std::to_string(branch + 1) + " of its rule") +
            (at == used->second.branches.end() ? " was never taken"
                                               : " was last taken on " + day_text(at->second)));
  }
}

// When everybody was back on the legacy side, or the pause began; 0 where that was not recorded.
TimePoint at_zero_since(const rollout::RolloutState& state) {
  if (state.mode == rollout::Mode::kPaused) return state.paused_since;
  if (state.rollbacks.empty()) return {};
  const auto& last = state.rollbacks.back();
  return last.everybody_back.ms != 0 ? last.everybody_back : last.flag_off;
}

// A rollback, or a pause, that nobody has taken up again.
void check_at_zero(const RolloutView& view, const FlagInfo& info, TimePoint now, std::int64_t days,
                   bj::array& out) {
  const char* word = view.state.mode == rollout::Mode::kPaused ? "paused" : "rolled back";
  const TimePoint since = at_zero_since(view.state);
  if (since.ms == 0)
    add(out, info, "unknown", std::string("its rollout is ") + word + " at 0 %; since when is not recorded");
  else if (now - since >= Millis{days * kDayMs})
    add(out, info, "at_zero",
        std::string("its rollout is ") + word + " at 0 % since " + day_text(since.ms / kDayMs) +
            ": resume it, or abort it and take the flag out");
}

// Everybody has the new side, and had it for as long as it was to be watched.
void check_at_full(const RolloutView& view, const FlagInfo& info, TimePoint now, std::int64_t days,
                   bj::array& out) {
  const auto& items = view.plan->items;
  const auto window = std::find_if(items.begin(), items.end(), [](const rollout::Item& item) {
    return item.kind == rollout::ItemKind::kWindow && item.moment == rollout::Moment::kObserve;
  });
  const Millis required = window == items.end() ? Millis{0} : window->duration;
  const auto grown =
      window == items.end() ? view.state.windows.end() : view.state.windows.find(window->window);
  const bool observed = grown != view.state.windows.end() && grown->second >= required;
  const TimePoint since = view.state.mark_at;
  if (since.ms == 0) {
    add(out, info, "unknown", "its rollout is at 100 %; since when is not recorded");
  } else if (now - since >= required && (observed || now - since >= required + Millis{days * kDayMs})) {
    add(out, info, "at_full",
        "everybody has the new side since " + day_text(since.ms / kDayMs) +
            (observed ? ", and its observe window is over: close the rollout"
                      : ", and its observe window does not fill: see `poundlock status`"));
  }
}

void check_rollouts(Service& service, TimePoint now, std::int64_t days, bj::array& out) {
  using rollout::Mode;
  for (const auto& view : service.views()) {
    if (!view.plan->flag) continue;
    FlagInfo info;
    info.key = view.plan->flag->key;
    info.owner = view.plan->rollout;
    const auto& setting = view.state.flag;
    const bool exposes = setting.stage == "live" || setting.stage == "rampdown";
    const bool at_zero = !exposes || (setting.percentage <= 0 && setting.internal_percentage <= 0);
    const Mode mode = view.state.mode;
    if (mode == Mode::kDone || setting.stage == "complete")
      add(out, info, "closed", "its rollout is closed: code that asks for it can go");
    else if (mode == Mode::kAborted)
      add(out, info, "closed", "its rollout was aborted: code that asks for it can go");
    else if (at_zero && (mode == Mode::kRolledBack || mode == Mode::kPaused))
      check_at_zero(view, info, now, days, out);
    else if (exposes && setting.percentage >= 100)
      check_at_full(view, info, now, days, out);
  }
}

Response stale(Service& service, const Request& request) {
  std::int64_t days = 30;
  if (const std::string text(request.query_value("days")); !text.empty()) {
    char* end = nullptr;
    days = std::strtoll(text.c_str(), &end, 10);
    if (*end != '\0' || days < 1 || days > 3'650)
      return error_response(400, "flag.days", "days is a whole number from 1 to 3650");
  }
  service.metrics().take_evaluations();
  const auto usage = service.usage().all();
  const auto all = service.flags().list();
  const auto now = service.clock().now();
  const std::int64_t silent = silent_evaluators(service);
  // What found no place in the counts may have been any flag.
  const bool long_enough =
      now - service.usage().since() >= Millis{days * kDayMs} && service.evaluations().dropped() == 0;
  const Staleness by{usage, now.ms / kDayMs, days, long_enough && silent == 0};
  bj::array out;
  for (const auto& info : all) {
    if (info.key.ends_with(flag::kStageSuffix) && !info.owner.empty()) continue;  // told with its KEY
    check_use(info, by, out);
    if (info.owner.empty()) check_branches(info, service.flags().view()->snapshot->find(info.key), by, out);
  }
  check_rollouts(service, now, days, out);
  return json_response(bj::object{{"days", days},
                                  {"evaluations_known_since", format_timestamp(service.usage().since())},
                                  {"readers_without_reports", silent},
                                  {"stale", std::move(out)}});
}

}  // namespace

void add_flag_status_routes(Router& router, Service& service) {
  router.add(
      "GET", "/v1/flags/{key}/status", [&](const Request& r) { return status(service, r); }, Access::kRead,
      Run::kPrompt);
  router.add(
      "GET", "/v1/stale-flags", [&](const Request& r) { return stale(service, r); }, Access::kRead,
      Run::kBlocking);
}

}  // namespace poundlock::server
