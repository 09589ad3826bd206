// Health, figures and the audit trail.
#include <boost/json.hpp>
#include <charconv>

#include "server/service.h"
#include "telemetry/metrics_page.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;
constexpr int kAuditDefault = 50;
constexpr int kAuditMax = 1'000;

Response audit(Service& service, const Request& request) {
  int limit = kAuditDefault;
  if (const auto text = request.query_value("limit"); !text.empty()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc{} || end != text.data() + text.size() || limit < 1 || limit > kAuditMax)
      return error_response(400, "audit.limit", "limit is a whole number from 1 to 1000");
  }
  auto entries = service.store().audit(request.query_value("subject"), limit);
  if (!entries) return error_response(entries.error());
  bj::array out;
  for (const auto& entry : *entries) {
    out.push_back(bj::object{{"sequence", entry.sequence},
                             {"at", format_timestamp(entry.at)},
                             {"who", entry.who},
                             {"what", entry.what},
                             {"subject", entry.subject},
                             {"why", entry.why},
                             {"details", entry.details},
                             {"hash", entry.hash}});
  }
  return json_response(bj::object{{"audit", std::move(out)}});
}

Response verify(Service& service) {
  auto broken = service.store().verify_audit();
  if (!broken) return error_response(broken.error());
  bj::object out{{"intact", !broken->has_value()}};
  if (*broken) out["first_broken"] = **broken;
  return json_response(out);
}

// Ready once the store answers and every source gave its flags: they are served, and orders taken.
Response ready(Service& service) {
  auto entry = service.store().get("auth/admin");
  if (!entry) return error_response(entry.error());
  if (const auto missing = service.missing_flags(); !missing.empty())
    return error_response(412, "server.not_ready", "no flags could be read from " + missing.front(),
                          "see the log; the file is read again when it changes");
  return json_response(bj::object{{"ready", true}, {"revision", service.flags().view()->revision.number}});
}

// Set anew at each scrape, so that a rollout that is gone shows no stale figure.
Response metrics(Service& service) {
  telemetry::MetricsPage page;
  telemetry::Samples phases, exposure, gates;
  for (const auto& view : service.views()) {
    const auto& name = view.plan->rollout;
    const bool ahead = view.state.position < view.plan->items.size();
    const char* phase = ahead ? change::to_string(view.plan->items[view.state.position].phase) : "done";
    phases.push_back({{{"rollout", name}, {"phase", phase}, {"mode", to_string(view.state.mode)}}, 1});
    exposure.push_back(
        {{{"rollout", name}}, view.state.flag.stage == "live" ? view.state.flag.percentage : 0});
    for (const auto& reading : view.state.gates)
      gates.push_back({{{"rollout", name}, {"gate", reading.gate}}, static_cast<double>(reading.verdict)});
  }
  page.replace("poundlock_rollout", "1 for the phase and mode that a rollout is in.", std::move(phases));
  page.replace("poundlock_exposure_percent", "Share of everybody that reads the new side.",
               std::move(exposure));
  page.replace("poundlock_gate_verdict", "0 pass, 1 hold, 2 fail.", std::move(gates));
  page.set("poundlock_flag_revision", "Revision of the published flag snapshot.", {},
           static_cast<double>(service.flags().view()->revision.number));
  page.set("poundlock_flag_subscribers", "Open flag streams.", {},
           static_cast<double>(service.hub()->count()));
  telemetry::Samples refused;
  for (const auto& one : service.refused_flag_files())
    refused.push_back({{{"file", one.path}}, static_cast<double>(one.since.ms) / 1'000});
  page.set("poundlock_flag_files_refused", "Flag files whose content is refused now.", {},
           static_cast<double>(refused.size()));
  page.replace("poundlock_flag_file_refused_since_seconds", "Unix time since which a flag file is refused.",
               std::move(refused));
  Response out = text_response(page.render(&service.metrics()));
  out.content_type = telemetry::MetricsPage::kContentType;
  return out;
}

}  // namespace

void add_health_routes(Router& router, Service& service) {
  router.add(
      "GET", "/healthz", [](const Request&) { return text_response("ok\n"); }, Access::kHealth);
  router.add(
      "GET", "/readyz", [&](const Request&) { return ready(service); }, Access::kHealth, Run::kPrompt);
  router.add(
      "GET", "/metrics", [&](const Request&) { return metrics(service); }, Access::kRead, Run::kBlocking);
}

void add_ops_routes(Router& router, Service& service) {
  router.add(
      "GET", "/v1/audit", [&](const Request& r) { return audit(service, r); }, Access::kRead, Run::kBlocking);
  router.add(
      "GET", "/v1/audit/verify", [&](const Request&) { return verify(service); }, Access::kRead,
      Run::kBlocking);
}

}  // namespace poundlock::server
