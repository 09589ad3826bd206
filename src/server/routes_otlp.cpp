// OTLP/HTTP metrics (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP Request"): the figures of applications that
// do not link the client library. Everything that is not about a flag is let pass and forgotten.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <boost/json.hpp>

#include "server/otlp/reports.h"
#include "server/service.h"

namespace poundlock::server {
namespace {

constexpr std::size_t kUnfoldedMax = 4 << 20;

// ExportMetricsServiceResponse{partial_success = 1 {rejected_data_points = 1, error_message = 2}}; an empty
// message where everything was taken.
std::string response_bytes(std::uint64_t rejected, std::string_view why) {
  if (rejected == 0) return {};
  std::string inner = "\x08";
  for (; rejected >= 0x80; rejected >>= 7) inner += static_cast<char>(rejected | 0x80);
  inner += static_cast<char>(rejected);
  inner += '\x12';
  inner += static_cast<char>(why.size());  // under 128 bytes, and so is all of it
  inner += why;
  return std::string("\x0A") + static_cast<char>(inner.size()) + inner;
}

Response taken(bool json, std::uint64_t rejected) {
  constexpr std::string_view kWhy = "points without a temporality, or over a limit";
  if (json) {
    boost::json::object out;
    if (rejected)
      out["partialSuccess"] =
          boost::json::object{{"rejectedDataPoints", std::to_string(rejected)}, {"errorMessage", kWhy}};
    return json_response(out);
  }
  Response out;
  out.content_type = "application/x-protobuf";
  out.body = response_bytes(rejected, kWhy);
  return out;
}

Response ingest(Service& service, otlp::Reports& reports, const Request& request) {
  const auto type = request.header("content-type");
  const bool json = type.starts_with("application/json");
  if (!json && !type.starts_with("application/x-protobuf"))
    return error_response(415, "otlp.type", "OTLP is application/x-protobuf or application/json");
  std::string unfolded;
  std::string_view body = request.body;
  if (const auto coding = request.header("content-encoding"); coding == "gzip") {
    auto text = otlp::inflate(body, kUnfoldedMax);
    if (!text) return error_response(text.error());
    unfolded = std::move(*text);
    body = unfolded;
  } else if (!coding.empty() && coding != "identity") {
    return error_response(415, "otlp.coding", "the body may be plain or gzip");
  }
  const auto resources = json ? otlp::decode_json(body) : otlp::decode_protobuf(body);
  if (!resources) return error_response(resources.error());
  auto read = reports.take(*resources, request.peer);
  // Never asked for again: the sums have moved on, and the same export would hold nothing new.
  for (const auto& report : read.reports)
    if (service.metrics().ingest(report) == telemetry::Ingested::kRefused)
      read.rejected += report.paths.size() + report.evaluations.size();
  static std::atomic<bool> told{false};
  if (read.coarse && !told.exchange(true))
    spdlog::warn(
        "OpenTelemetry histograms with buckets wider than 15 % tell no latency: let the exporter use "
        "base2 exponential buckets (docs/PARTICIPATE.md)");
  return taken(json, read.rejected);
}

}  // namespace

void add_otlp_routes(Router& router, Service& service) {
  const auto reports = std::make_shared<otlp::Reports>();
  router.add(
      "POST", "/v1/metrics",
      [&service, reports](const Request& request) { return ingest(service, *reports, request); },
      Access::kReport, Run::kBlocking);
}

}  // namespace poundlock::server
