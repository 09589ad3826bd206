#include "server/view_json.h"

#include <boost/json.hpp>

namespace poundlock::server {
namespace {

namespace bj = boost::json;
constexpr std::size_t kJournalShown = 40;

bj::array gates_json(const std::vector<rollout::GateReading>& readings) {
  bj::array out;
  for (const auto& reading : readings) {
    out.push_back(bj::object{{"gate", reading.gate},
                             {"verdict", to_string(reading.verdict)},
                             {"value", reading.value ? bj::value(*reading.value) : bj::value(nullptr)},
                             {"limit", reading.limit},
                             {"unit", reading.unit},
                             {"reason", reading.reason},
                             {"waived", reading.waived}});
  }
  return out;
}

bj::array rollbacks_json(const std::vector<rollout::RollbackRecord>& records) {
  bj::array out;
  for (const auto& record : records) {
    const auto after = [&](TimePoint at) {
      return at.ms == 0 ? bj::value(nullptr) : bj::value((at - record.began).count());
    };
    out.push_back(bj::object{{"cause", record.cause},
                             {"reason", record.reason},
                             {"at", format_timestamp(record.began)},
                             {"at_ms", record.began.ms},
                             {"flag_off_ms", after(record.flag_off)},
                             {"everybody_back_ms", after(record.everybody_back)},
                             {"epoch", record.revision.epoch},
                             {"revision", record.revision.number}});
  }
  return out;
}

bj::object windows_json(const RolloutView& view) {
  bj::object out;
  for (const auto& item : view.plan->items) {
    if (item.kind != rollout::ItemKind::kWindow) continue;
    const auto window = view.state.windows.find(item.window);
    out[item.window] =
        bj::object{{"accumulated_ms", window == view.state.windows.end() ? 0 : window->second.count()},
                   {"required_ms", item.duration.count()}};
  }
  return out;
}

bj::array items_json(const RolloutView& view) {
  bj::array out;
  for (std::size_t i = 0; i < view.plan->items.size(); ++i) {
    const auto& item = view.plan->items[i];
    bj::object one{{"id", item.id},
                   {"kind", to_string(item.kind)},
                   {"phase", change::to_string(item.phase)},
                   {"title", item.title},
                   {"state", i < view.state.position    ? "done"
                             : i == view.state.position ? "present"
                                                        : "ahead"}};
    if (const auto record = view.state.steps.find(item.id); record != view.state.steps.end()) {
      bj::object figures;
      for (const auto& [name, value] : record->second.figures) figures[name] = value;
      one["figures"] = std::move(figures);
      one["detail"] = record->second.detail;
      one["attempts"] = record->second.attempts;
    }
    out.push_back(std::move(one));
  }
  return out;
}

bj::array instances_json(const std::vector<rollout::InstanceInfo>& instances) {
  bj::array out;
  for (const auto& one : instances) {
    out.push_back(bj::object{{"service", one.service},
                             {"instance", one.instance},
                             {"build", one.build},
                             {"legacy_path", one.legacy_path},
                             {"connected", one.connected},
                             {"departed", one.departed},
                             {"frozen", one.frozen},
                             {"epoch", one.applied.epoch},
                             {"revision", one.applied.number}});
  }
  return out;
}

}  // namespace

bj::object view_summary_json(const RolloutView& view) {
  const auto* item =
      view.state.position < view.plan->items.size() ? &view.plan->items[view.state.position] : nullptr;
  return {{"name", view.plan->rollout},
          {"mode", to_string(view.state.mode)},
          {"phase", item ? change::to_string(item->phase) : "contract"},
          {"item", item ? item->id : ""},
          {"headline", view.report.headline},
          {"next", view.report.next},
          {"progress", view.report.progress},
          {"started", format_timestamp(view.state.started)}};
}

bj::object view_json(const RolloutView& view, TimePoint now) {
  bj::object out = view_summary_json(view);
  out["now_ms"] = now.ms;
  out["generation"] = view.state.generation;
  out["position"] = view.state.position;
  out["profile"] = change::to_string(view.plan->profile);
  out["speed"] = view.plan->speed;
  out["trouble"] = view.trouble;
  out["pause_reason"] = view.state.pause_reason;
  out["paused_by_gate"] = view.state.paused_by_gate;
  out["waiting"] = bj::array(view.report.waiting.begin(), view.report.waiting.end());
  out["flag"] = bj::object{{"key", view.plan->flag ? view.plan->flag->key : ""},
                           {"stage", view.state.flag.stage},
                           {"percentage", view.state.flag.percentage},
                           {"internal_percentage", view.state.flag.internal_percentage},
                           {"exclusions", view.state.flag.exclusions},
                           {"epoch", view.state.flag_revision.epoch},
                           {"revision", view.state.flag_revision.number}};
  out["gates"] = gates_json(view.state.gates);
  out["windows"] = windows_json(view);
  out["rollbacks"] = rollbacks_json(view.state.rollbacks);
  out["items"] = items_json(view);
  out["instances"] = instances_json(view.instances);
  if (view.progress) {
    out["step_progress"] = bj::object{{"step", view.progress->step},
                                      {"activity", view.progress->activity},
                                      {"rows_done", view.progress->rows_done},
                                      {"rows_total", view.progress->rows_total},
                                      {"rows_per_second", view.progress->rows_per_second},
                                      {"throttle", view.progress->throttle}};
  }
  bj::array journal;
  const auto& lines = view.state.journal;
  for (std::size_t i = lines.size() > kJournalShown ? lines.size() - kJournalShown : 0; i < lines.size(); ++i)
    journal.push_back(bj::string(lines[i]));
  out["journal"] = std::move(journal);
  return out;
}

}  // namespace poundlock::server
