// What applications call: register, acknowledge, report, leave. It changes no flag, only what is known of
// the caller; but gates are judged by it, so that it is open to this machine only, and asks others for the
// applications' token.
#include <boost/json.hpp>

#include "base/json.h"
#include "server/body.h"
#include "server/service.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;
constexpr std::size_t kNameMax = 128;

// Clients from before `?service=` name the instance only.
std::string service_of(Service& service, const Request& request) {
  const auto given = request.query_value("service");
  return given.empty() ? service.metrics().service_of(request.param("instance")) : std::string(given);
}

Response register_instance(Service& service, const Request& request) {
  auto body = body_object(request);
  if (!body) return error_response(body.error());
  flag::Report hello;
  hello.service = text_of(*body, "service", kNameMax);
  hello.instance = text_of(*body, "instance", kNameMax);
  hello.build = text_of(*body, "build", kNameMax);
  if (const auto* legacy = body->if_contains("legacy_path"); legacy && legacy->is_bool())
    hello.legacy_path = legacy->as_bool();
  if (hello.service.empty() || hello.instance.empty())
    return error_response(400, "instance.name", "service and instance are needed, at most 128 bytes each");
  if (service.metrics().ingest(hello) == telemetry::Ingested::kRefused)
    return error_response(503, "instance.limit", "there is no place for one more instance");
  return json_response(bj::object{{"instance", hello.instance}}, 201);
}

Response acknowledge(Service& service, const Request& request) {
  auto body = body_object(request);
  if (!body) return error_response(body.error());
  const auto* epoch = body->if_contains("epoch");
  const auto* number = body->if_contains("revision");
  boost::system::error_code bad_epoch, bad_number;
  const auto in_epoch = epoch ? epoch->to_number<std::uint64_t>(bad_epoch) : 0;
  const auto in_number = number ? number->to_number<std::uint64_t>(bad_number) : 0;
  if (!epoch || !number || bad_epoch || bad_number)
    return error_response(400, "instance.revision", "epoch and revision are needed, as whole numbers from 0");
  service.metrics().acknowledge(service_of(service, request), request.param("instance"),
                                {in_epoch, in_number});
  return json_response(bj::object{{"ok", true}});
}

// "" where it is not told; nullopt: it is neither a text nor a number.
std::optional<std::string> start_of(const bj::object& body) {
  const auto* value = body.if_contains("start_id");
  if (!value) return std::string();
  if (value->is_int64() || value->is_uint64()) return json::dump(*value);
  std::string text = text_of(body, "start_id", kNameMax);
  if (text.empty()) return std::nullopt;
  return text;
}

// For applications in any language: {"service": ..., "build"?, "legacy_path"?, "frozen"?, "epoch"? and
// "revision"? of the flags that it works with, "interval_ms"?, "start_id"? of
// its process}. The answer tells the present revision.
Response heartbeat(Service& service, const Request& request) {
  auto body = body_object(request);
  if (!body) return error_response(body.error());
  flag::Report hello;
  hello.service = text_of(*body, "service", kNameMax);
  hello.instance = std::string(request.param("instance"));
  hello.build = text_of(*body, "build", kNameMax);
  if (const auto* legacy = body->if_contains("legacy_path"); legacy && legacy->is_bool())
    hello.legacy_path = legacy->as_bool();
  if (const auto* frozen = body->if_contains("frozen"); frozen && frozen->is_bool())
    hello.frozen = frozen->as_bool();
  if (hello.service.empty() || hello.instance.empty() || hello.instance.size() > kNameMax)
    return error_response(400, "instance.name", "service and instance are needed, at most 128 bytes each");
  const auto epoch = json::optional_uint(*body, "epoch"), number = json::optional_uint(*body, "revision");
  const auto interval = json::optional_uint(*body, "interval_ms", 3'600'000);
  if (!epoch || !number || !interval || epoch->has_value() != number->has_value())
    return error_response(400, "instance.revision",
                          "epoch and revision belong together, and interval_ms is at most 3600000");
  std::optional<flag::Revision> applied;
  if (*epoch) applied = flag::Revision{**epoch, **number};
  const auto start = start_of(*body);
  if (!start)
    return error_response(400, "instance.start",
                          "start_id is a text of at most 128 bytes, or a whole number");
  const Millis every{static_cast<std::int64_t>(interval->value_or(0))};
  if (service.metrics().heartbeat(hello, applied, every, *start) == telemetry::Ingested::kRefused)
    return error_response(503, "instance.limit", "there is no place for one more instance");
  const auto now = service.flags().view()->revision;
  return json_response(bj::object{{"epoch", now.epoch}, {"revision", now.number}});
}

Response ingest(Service& service, const Request& request) {
  auto report = flag::report_from_json(request.body);
  if (!report) return error_response(report.error());
  if (service.metrics().ingest(*report) == telemetry::Ingested::kRefused)
    return error_response(503, "instance.limit", "there is no place for one more instance");
  return json_response(bj::object{{"ok", true}});
}

}  // namespace

void add_instance_routes(Router& router, Service& service) {
  router.add(
      "POST", "/v1/instances", [&](const Request& r) { return register_instance(service, r); },
      Access::kReport);
  router.add(
      "DELETE", "/v1/instances/{instance}",
      [&](const Request& r) {
        service.metrics().departed(service_of(service, r), r.param("instance"));
        return json_response(bj::object{{"ok", true}});
      },
      Access::kReport);
  router.add(
      "POST", "/v1/instances/{instance}/ack", [&](const Request& r) { return acknowledge(service, r); },
      Access::kReport);
  router.add(
      "POST", "/v1/instances/{instance}/heartbeat", [&](const Request& r) { return heartbeat(service, r); },
      Access::kReport);
  router.add(
      "POST", "/v1/telemetry", [&](const Request& r) { return ingest(service, r); }, Access::kReport);
}

}  // namespace poundlock::server
