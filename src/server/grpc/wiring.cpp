#include "server/grpc/wiring.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>

namespace poundlock::server {
namespace {

bool is_free(const rollout::ListenAddress& address) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(address.port);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(address.port);
  const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
  const bool is_v4 = inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1;
  if (!is_v4 && inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return true;  // start() tells
  const auto* name = is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  const int probe = ::socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return true;
  const int on = 1;
  (void)::setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool free = ::bind(probe, name, is_v4 ? sizeof v4 : sizeof v6) == 0;
  ::close(probe);
  return free;
}

std::string wanted(const std::optional<ListenWish>& wish, const char* name,
                   std::vector<std::string>& warnings) {
  if (!wish) return {};
  if (!wish->required && !is_free(wish->address)) {
    warnings.push_back(fmt::format("no {} port: {} is taken", name, to_string(wish->address)));
    return {};
  }
  return to_string(wish->address);
}

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
  grpc.evaluation_address = wanted(options.grpc_eval, "grpc-eval", out.warnings);
  grpc.sync_address = wanted(options.grpc_sync, "grpc-sync", out.warnings);
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
  }
  add_bound(out, "grpc-eval", options.grpc_eval, out.server ? out.server->evaluation_port() : 0);
  add_bound(out, "grpc-sync", options.grpc_sync, out.server ? out.server->sync_port() : 0);
  return out;
}

}  // namespace poundlock::server
