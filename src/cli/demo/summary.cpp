#include "cli/demo/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "cli/fields.h"

namespace poundlock::cli {
namespace {

namespace bj = boost::json;
constexpr std::size_t kFaultsInjected = 2;

// Gates that an injected fault can break. Anything else that rolled back at that moment caught no fault.
bool is_caught(const FaultRecord& record) {
  static const std::set<std::string> slow{"gate:latency_p95", "gate:latency_p99", "gate:query_timeouts"};
  static const std::set<std::string> fail{"gate:breakers", "gate:error_rate", "gate:fallback_rate",
                                          "gate:slo_errors"};
  return (record.fault == "slow" ? slow : fail).contains(record.cause);
}

bj::object fault_json(const FaultRecord& record) {
  return {{"fault", record.fault},
          {"cause", record.cause},
          {"reason", record.reason},
          {"detected_ms", record.detected_ms},
          {"effective_ms", record.effective_ms},
          {"lost_writes", record.lost_writes}};
}

bj::object backfill_json(const bj::object& figures) {
  const double rows = number_at(figures, "rows").value_or(0);
  const double seconds = number_at(figures, "seconds").value_or(0);  // with every wait in it
  const double wal = number_at(figures, "wal_bytes").value_or(0);
  return {{"rows", rows},
          {"rows_per_second", seconds > 0 ? rows / seconds : 0},
          {"wal_bytes_per_row", rows > 0 ? wal / rows : 0},
          {"held_seconds", number_at(figures, "held_seconds").value_or(0)}};
}

bj::array gates_json(const std::map<std::string, bj::object>& gates) {
  bj::array out;
  for (const auto& [name, gate] : gates) {
    out.push_back(bj::object{{"name", name},
                             {"value", gate.contains("value") ? gate.at("value") : bj::value(nullptr)},
                             {"limit", gate.contains("limit") ? gate.at("limit") : bj::value(nullptr)},
                             {"verdict", text_at(gate, "verdict")},
                             {"worst", text_at(gate, "worst")}});
  }
  return out;
}

bool is_ok(const DemoResult& result, std::uint64_t mismatches) {
  const Story& story = result.story;
  const AppFigures& app = result.application;
  return story.mode == "done" && app.errors == 0 && app.user_errors == 0 && app.unknown == 0 &&
         app.crashes == 0 && app.statements > 0 && mismatches == 0 && story.verified_rows > 0 &&
         story.lost_writes == 0 && story.journaled_rows > 0 && story.excluded_reads_new == 0 &&
         !result.legacy_column_exists && !result.stall_watch_failed &&
         (!result.faults_expected || (story.faults.size() == kFaultsInjected &&
                                      std::all_of(story.faults.begin(), story.faults.end(), is_caught)));
}

}  // namespace

bj::object summary_json(const DemoResult& result) {
  const Story& story = result.story;
  const auto mismatches =
      story.mismatches + static_cast<std::uint64_t>(number_at(story.verify, "mismatches").value_or(0));
  bj::array phases, rollbacks;
  for (const auto& [name, seconds] : story.phases)
    phases.push_back(bj::object{{"name", name}, {"seconds", seconds}});
  bj::object worst = {{"cause", nullptr},
                      {"detected_ms", nullptr},
                      {"effective_ms", nullptr},
                      {"lost_writes", story.lost_writes}};
  double slowest = -1;
  for (const auto& record : story.faults) {
    rollbacks.push_back(fault_json(record));
    if (record.effective_ms <= slowest) continue;
    slowest = record.effective_ms;
    worst = {{"cause", record.cause},
             {"detected_ms", record.detected_ms},
             {"effective_ms", record.effective_ms},
             {"lost_writes", story.lost_writes}};
  }
  return {{"ok", is_ok(result, mismatches)},
          {"outcome", story.mode},
          {"phases", std::move(phases)},
          {"application", bj::object{{"statements", result.application.statements},
                                     {"errors", result.application.errors},
                                     {"user_errors", result.application.user_errors},
                                     {"crashes", result.application.crashes},
                                     {"figures_missing", result.application.unknown},
                                     {"max_stall_ms", result.max_stall_ms},
                                     {"fallbacks", result.application.fallbacks},
                                     {"injected_faults", result.application.faults}}},
          {"rollback", std::move(worst)},
          {"rollbacks", std::move(rollbacks)},
          {"backfill", backfill_json(story.backfill)},
          {"verify", bj::object{{"rows", story.verified_rows}, {"mismatches", mismatches}}},
          {"journaled_rows", story.journaled_rows},
          {"first_loss", story.first_loss},
          {"gates", gates_json(story.gates)},
          {"excluded_context_reads_new", story.excluded_reads_new},
          {"legacy_column_exists", result.legacy_column_exists}};
}

std::string verdict_line(const bj::object& summary) {
  if (!bool_at(summary, "ok")) return "NOT ok";
  const std::size_t times = list_at(summary, "rollbacks").size();
  if (times == 0) return "ok: forward and finished, nothing rolled back; nothing lost";
  const std::string often = times == 1 ? "once" : times == 2 ? "twice" : fmt::format("{} times", times);
  return fmt::format("ok: forward, back by itself {}, forward again and finished; nothing lost", often);
}

std::vector<std::string> summary_lines(const bj::object& summary) {
  std::vector<std::string> out;
  const auto number = [](const bj::object& object, std::string_view key) {
    return number_at(object, key).value_or(0);
  };
  const auto& application = summary.at("application").as_object();
  out.push_back(fmt::format(
      "application   {:.0f} statements, {:.0f} errors, longest stall behind us {:.1f} ms",
      number(application, "statements"), number(application, "errors"), number(application, "max_stall_ms")));
  out.push_back(fmt::format(
      "faults        {:.0f} statements failed or slow on the new path by injection, {:.0f} reads fell back",
      number(application, "injected_faults"), number(application, "fallbacks")));
  for (const auto& one : summary.at("rollbacks").as_array()) {
    const auto& rollback = one.as_object();
    out.push_back(fmt::format(
        "rollback      {}: caught by {} after {:.0f} ms, everybody back {:.0f} ms later, {:.0f} lost writes",
        text_at(rollback, "fault"), text_at(rollback, "cause"), number(rollback, "detected_ms"),
        number(rollback, "effective_ms"), number(rollback, "lost_writes")));
  }
  const auto& backfill = summary.at("backfill").as_object();
  out.push_back(fmt::format("backfill      {:.0f} rows, {:.0f} rows/s, {:.0f} bytes of WAL a row",
                            number(backfill, "rows"), number(backfill, "rows_per_second"),
                            number(backfill, "wal_bytes_per_row")));
  const auto& verify = summary.at("verify").as_object();
  out.push_back(
      fmt::format("verify        {:.0f} rows, {:.0f} mismatches; {:.0f} journaled rows compared at the end",
                  number(verify, "rows"), number(verify, "mismatches"), number(summary, "journaled_rows")));
  std::string phases = "phases       ";
  for (const auto& one : summary.at("phases").as_array())
    phases +=
        fmt::format(" {} {:.0f} s", text_at(one.as_object(), "name"), number(one.as_object(), "seconds"));
  out.push_back(std::move(phases));
  out.push_back(
      fmt::format("excluded      {:.0f} reads of the new side by batch_processor before its release",
                  number(summary, "excluded_context_reads_new")));
  out.push_back(
      fmt::format("legacy column {}", summary.at("legacy_column_exists").as_bool() ? "still there" : "gone"));
  if (const std::string loss = text_at(summary, "first_loss"); !loss.empty())
    out.push_back("first loss    " + loss);
  return out;
}

}  // namespace poundlock::cli
