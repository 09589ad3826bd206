// Health, figures and the audit trail.
#include <boost/json.hpp>
#include <charconv>

#include "server/service.h"

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

// Ready once the store answers: flags are served and orders taken.
Response ready(Service& service) {
  auto entry = service.store().get("auth/admin");
  if (!entry) return error_response(entry.error());
  return json_response(bj::object{{"ready", true}, {"revision", service.flags().revision().number}});
}

}  // namespace

void add_ops_routes(Router& router, Service& service) {
  router.add(
      "GET", "/healthz", [](const Request&) { return text_response("ok\n"); }, Access::kRead);
  router.add(
      "GET", "/readyz", [&](const Request&) { return ready(service); }, Access::kRead, Run::kBlocking);
  router.add(
      "GET", "/v1/audit", [&](const Request& r) { return audit(service, r); }, Access::kRead, Run::kBlocking);
  router.add(
      "GET", "/v1/audit/verify", [&](const Request&) { return verify(service); }, Access::kRead,
      Run::kBlocking);
}

}  // namespace poundlock::server
