#include "server/grpc/grpc_server.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <chrono>
#include <fstream>
#include <mutex>
#include <optional>
#include <sstream>

#include "server/grpc/acceptor.h"
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

// gRPC would take any two, and then refuse each connection.
Status check_pair(const std::string& certificate, const std::string& key) {
  const auto in = [](const std::string& text) {
    return std::unique_ptr<BIO, decltype(&BIO_free)>(
        BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free);
  };
  // No password is asked for on the server's terminal.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  const std::unique_ptr<X509, decltype(&X509_free)> first(
      PEM_read_bio_X509(in(certificate).get(), nullptr, no_password, nullptr), &X509_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> its(
      PEM_read_bio_PrivateKey(in(key).get(), nullptr, no_password, nullptr), &EVP_PKEY_free);
  const bool fits = first && its && X509_check_private_key(first.get(), its.get()) == 1;
  ERR_clear_error();
  if (fits) return {};
  return fail(
      user_error("grpc.tls", "the certificate and the key do not belong together, or are no PEM files")
          .with_hint("a key with a password is of no use to a server"));
}

Result<std::shared_ptr<grpc::ServerCredentials>> credentials(const GrpcOptions& options) {
  if (options.tls_certificate_file.empty() && options.tls_key_file.empty())
    return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  PL_TRY(pair.cert_chain, read_pem(options.tls_certificate_file));
  PL_TRY(pair.private_key, read_pem(options.tls_key_file));
  PL_CHECK(check_pair(pair.cert_chain, pair.private_key));
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
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, in_ms(limits.connection_idle_max));
  // Providers ping each 30 s, also while they have no call; the default is to answer with a GOAWAY.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             in_ms(limits.client_ping_min));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, limits.ping_strikes_max);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, in_ms(limits.server_ping));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, in_ms(limits.server_ping_timeout));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
}

struct Listener {
  Listener(EndpointParts& parts, Serves serves) : endpoint(parts, serves) {}

  Result<std::uint16_t> bind(const std::string& address, const char* setting, Acceptor& acceptor) {
    auto bound = acceptor.listen(address, [this](int connection) {
      External::NewConnectionParameters handed;
      handed.fd = connection;
      external->HandleNewConnection(&handed);
    });
    if (bound) return bound;
    return fail(
        std::move(bound).error().with_hint(fmt::format("is the port taken? {} names another", setting)));
  }

  // The connections come from an acceptor, which is started when all are ready.
  Status start(const std::string& address, const GrpcOptions& options) {
    PL_TRY(const auto secured, credentials(options));
    grpc::ServerBuilder builder;
    limit(builder, options.limits);
    builder.RegisterCallbackGenericService(&endpoint);
    using Builder = grpc::ServerBuilder::experimental_type;
    external = builder.experimental().AddExternalConnectionAcceptor(Builder::ExternalConnectionType::FROM_FD,
                                                                    secured);
    server = builder.BuildAndStart();
    if (server) return {};
    return fail(user_error("grpc.listen", fmt::format("cannot serve gRPC on {}", address)));
  }

  using External = grpc::experimental::ExternalConnectionAcceptor;
  Endpoint endpoint;
  std::uint16_t port = 0;
  std::unique_ptr<External> external;
  std::unique_ptr<grpc::Server> server;
};

}  // namespace

struct GrpcServer::Parts {
  Parts(FlagFeed& feed, const Clock& clock, GrpcOptions given)
      : options(std::move(given)), hub(feed, clock, options), shared{feed, clock, options, hub} {}

  Status open(Listener& listener, const std::string& address, bool required, const char* setting) {
    if (address.empty()) return {};
    auto bound = listener.bind(address, setting, acceptor);
    if (!bound && required) return fail(std::move(bound).error());
    if (!bound) {
      doing_without.push_back(bound.error().message);
      return {};
    }
    listener.port = *bound;
    return listener.start(address, options);
  }

  const GrpcOptions options;
  std::vector<std::string> doing_without;
  StreamHub hub;
  EndpointParts shared;
  Listener sync{shared, Serves::kSync};
  Listener evaluation{shared, Serves::kEvaluation};
  Acceptor acceptor{options.limits.connections_max};  // ends first: it hands over to the listeners
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
  const GrpcOptions& given = all.options;
  PL_CHECK(all.open(all.sync, given.sync_address, given.sync_required, "--grpc-sync"));
  PL_CHECK(all.open(all.evaluation, given.evaluation_address, given.evaluation_required, "--grpc-eval"));
  PL_CHECK(all.acceptor.start());
  return out;
}

std::uint16_t GrpcServer::sync_port() const {
  return parts_->sync.port;
}

std::uint16_t GrpcServer::evaluation_port() const {
  return parts_->evaluation.port;
}

const std::vector<std::string>& GrpcServer::doing_without() const {
  return parts_->doing_without;
}

std::size_t GrpcServer::streams() const {
  return parts_->hub.count();
}

std::size_t GrpcServer::connections() const {
  return parts_->acceptor.connections();
}

void GrpcServer::stop(Millis grace) {
  parts_->acceptor.stop();  // gRPC would not close what it is handed later
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
