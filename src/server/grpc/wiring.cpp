#include "server/grpc/wiring.h"

#include <boost/json.hpp>

namespace poundlock::server {
namespace {

// What is evaluated for the readers of event streams is known here.
void stranger(telemetry::AppMetrics& metrics, const StreamInfo& one, bool comes) {
  if (one.protocol != "flagd.sync.v1") return;
  if (comes)
    metrics.stranger_opened();
  else
    metrics.stranger_closed();
}

void add_bound(GrpcPorts& to, const char* name, const std::optional<ListenWish>& wish, std::uint16_t port) {
  to.bound.push_back({name, port == 0 ? "" : to_string(rollout::ListenAddress{wish->address.host, port})});
}

}  // namespace

Result<GrpcPorts> start_grpc(Service& service, const Clock& clock) {
  const ServiceOptions& options = service.options();
  GrpcPorts out;
  GrpcOptions grpc;
  const auto want = [](const std::optional<ListenWish>& wish, std::string& address, bool& required) {
    if (wish) address = to_string(wish->address);
    required = wish && wish->required;
  };
  want(options.grpc_eval, grpc.evaluation_address, grpc.evaluation_required);
  want(options.grpc_sync, grpc.sync_address, grpc.sync_required);
  if (!grpc.evaluation_address.empty() || !grpc.sync_address.empty()) {
    grpc.tls_certificate_file = options.tls_cert;
    grpc.tls_key_file = options.tls_key;
    grpc.limits.connections_max = service.room().grpc;
    grpc.static_context = options.context_values;
    grpc.evaluations = &service.evaluations();
    grpc.accept_token = [&service](std::string_view token) { return service.accepts(token); };
    grpc.token_needed = options.require_token;
    auto& metrics = service.metrics();
    grpc.on_open = [&metrics](const StreamInfo& one) {
      if (!one.vouched) return stranger(metrics, one, true);
      metrics.grpc_opened(one.service, one.instance, one.build, one.instance == one.address,
                          one.protocol == "flagd.sync.v1");
    };
    grpc.on_delivered = [&metrics](const StreamInfo& one, flag::Revision revision) {
      if (one.vouched) metrics.delivered(one.service, one.instance, revision);
    };
    grpc.on_close = [&metrics](const StreamInfo& one, StreamEnd) {
      if (!one.vouched) return stranger(metrics, one, false);
      metrics.stream_closed(one.service, one.instance);
    };
    PL_TRY(out.server, GrpcServer::start(service.flags(), clock, std::move(grpc)));
    out.warnings = out.server->doing_without();
  }
  add_bound(out, "grpc-eval", options.grpc_eval, out.server ? out.server->evaluation_port() : 0);
  add_bound(out, "grpc-sync", options.grpc_sync, out.server ? out.server->sync_port() : 0);
  return out;
}

}  // namespace poundlock::server
