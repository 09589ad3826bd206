#include "server/grpc/grpc_server.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <fstream>
#include <mutex>
#include <optional>
#include <sstream>

#include "server/grpc/endpoint.h"

namespace poundlock::server {
namespace {

// A snapshot of four megabytes is some more of them as one message of escaped text.
constexpr int kResponseBytesMax = 64 << 20;
constexpr int kHeaderBytesMax = 16 << 10;

// Both libraries write a line for each malformed message or handshake: strangers would fill our log.
void silence_libraries() {
  static std::once_flag once;
  std::call_once(once, [] {
    google::protobuf::SetLogHandler(nullptr);
    gpr_set_log_function([](gpr_log_func_args*) {});
  });
}

Result<std::string> read_pem(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf()))
    return fail(user_error("grpc.tls", fmt::format("cannot read {}", path))
                    .with_hint("a certificate and its key, each a PEM file that the server may read"));
  return text.str();
}

Result<std::shared_ptr<grpc::ServerCredentials>> credentials(const GrpcOptions& options) {
  if (options.tls_certificate_file.empty() && options.tls_key_file.empty())
    return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  PL_TRY(pair.cert_chain, read_pem(options.tls_certificate_file));
  PL_TRY(pair.private_key, read_pem(options.tls_key_file));
  grpc::SslServerCredentialsOptions tls;
  tls.pem_key_cert_pairs.push_back(std::move(pair));
  return grpc::SslServerCredentials(tls);
}

int in_ms(Millis duration) {
  return static_cast<int>(duration.count());
}

void limit(grpc::ServerBuilder& builder, const GrpcLimits& limits) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(limits.request_bytes_max));
  builder.SetMaxSendMessageSize(kResponseBytesMax);
  grpc::ResourceQuota quota("poundlockd");
  quota.Resize(limits.memory_bytes_max);
  builder.SetResourceQuota(quota);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.calls_per_connection_max);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kHeaderBytesMax);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, in_ms(limits.handshake_max));
  // Two servers on one port would each get some of the connections, and answer from different flags.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Providers ping each 30 s, also while they have no call; the default is to answer with a GOAWAY.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             in_ms(limits.client_ping_min));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, in_ms(limits.server_ping));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, in_ms(limits.server_ping_timeout));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
}

struct Listener {
  Listener(EndpointParts& parts, Serves serves) : endpoint(parts, serves) {}

  Status start(const std::string& address, const GrpcOptions& options, const char* setting) {
    PL_TRY(const auto secured, credentials(options));
    grpc::ServerBuilder builder;
    limit(builder, options.limits);
    builder.RegisterCallbackGenericService(&endpoint);
    builder.AddListeningPort(address, secured, &port);
    server = builder.BuildAndStart();
    if (server && port > 0) return {};
    const bool tls = !options.tls_certificate_file.empty();
    return fail(user_error(tls ? "grpc.tls" : "grpc.listen", fmt::format("cannot serve gRPC on {}", address))
                    .with_hint(fmt::format("is the port taken{}? {} names another",
                                           tls ? ", or the certificate not the key's" : "", setting)));
  }

  Endpoint endpoint;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
};

}  // namespace

struct GrpcServer::Parts {
  Parts(FlagFeed& feed, const Clock& clock, GrpcOptions given)
      : options(std::move(given)), hub(feed, clock, options), shared{feed, clock, options, hub} {}

  const GrpcOptions options;
  StreamHub hub;
  EndpointParts shared;
  Listener sync{shared, Serves::kSync};
  Listener evaluation{shared, Serves::kEvaluation};
};

GrpcServer::GrpcServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

GrpcServer::~GrpcServer() {
  stop(Millis{1'000});
}

Result<std::unique_ptr<GrpcServer>> GrpcServer::start(FlagFeed& feed, const Clock& clock,
                                                      GrpcOptions options) {
  silence_libraries();
  auto parts = std::make_unique<Parts>(feed, clock, std::move(options));
  std::unique_ptr<GrpcServer> out(new GrpcServer(std::move(parts)));
  Parts& all = *out->parts_;
  if (!all.options.sync_address.empty())
    PL_CHECK(all.sync.start(all.options.sync_address, all.options, "--grpc-sync"));
  if (!all.options.evaluation_address.empty())
    PL_CHECK(all.evaluation.start(all.options.evaluation_address, all.options, "--grpc-eval"));
  return out;
}

std::uint16_t GrpcServer::sync_port() const {
  return static_cast<std::uint16_t>(parts_->sync.port);
}

std::uint16_t GrpcServer::evaluation_port() const {
  return static_cast<std::uint16_t>(parts_->evaluation.port);
}

std::size_t GrpcServer::streams() const {
  return parts_->hub.count();
}

void GrpcServer::stop(Millis grace) {
  parts_->hub.shutdown();
  const auto deadline = std::chrono::system_clock::now() + grace;
  for (Listener* listener : {&parts_->sync, &parts_->evaluation}) {
    if (!listener->server) continue;
    listener->server->Shutdown(deadline);
    listener->server->Wait();
    listener->server.reset();
  }
}

}  // namespace poundlock::server
