// What happens below the calls: TLS, pings, and connections that are no HTTP/2.
#include <arpa/inet.h>
#include <flagd/evaluation/v2/evaluation.pb.h>
#include <flagd/sync/v1/sync.pb.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "server/grpc/grpc_server.h"
#include "server/grpc/grpc_test_support.h"

namespace poundlock::server {
namespace {

namespace fs = std::filesystem;
namespace v2 = flagd::evaluation::v2;

// A connection that speaks HTTP/2 frame by frame (RFC 9113).
class RawConnection {
 public:
  explicit RawConnection(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
    const timeval patience{kPatience.count(), 0};
    (void)::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~RawConnection() { ::close(socket_); }

  bool connected() const { return connected_; }
  void send(const std::string& bytes) { (void)::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  void greet() { send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string("\0\0\0\4\0\0\0\0\0", 9)); }
  void ping() { send(std::string("\0\0\x08\6\0\0\0\0\0", 9) + "12345678"); }

  struct Frame {
    int type = -1;  // -1: the connection has ended
    std::string payload;
  };
  Frame read_frame() {
    const std::string head = read(9);
    if (head.size() < 9) return {};
    std::size_t size = 0;
    for (int i = 0; i < 3; ++i)
      size = size << 8 | static_cast<unsigned char>(head[static_cast<std::size_t>(i)]);
    return {head[3], read(size)};
  }
  // Reads on until a frame of that type (or of the other), or the end.
  Frame read_until(int type, int other = -1) {
    for (;;) {
      const Frame frame = read_frame();
      if (frame.type == type || frame.type == other || frame.type < 0) return frame;
    }
  }

 private:
  std::string read(std::size_t size) {
    std::string out(size, '\0');
    std::size_t got = 0;
    while (got < size) {
      const ssize_t more = ::recv(socket_, out.data() + got, size - got, 0);
      if (more <= 0) break;
      got += static_cast<std::size_t>(more);
    }
    out.resize(got);
    return out;
  }
  int socket_;
  bool connected_ = false;
};

constexpr int kPing = 6, kGoAway = 7;

class ConnectionTest : public GrpcFixture {};

TEST_F(ConnectionTest, AClientMayPingWithoutACall) {
  GrpcOptions options;
  options.limits.client_ping_min = Millis{0};  // so that this test need not wait between two
  start(options);
  RawConnection client(server_->sync_port());
  client.greet();
  for (int i = 0; i < 10; ++i) {
    client.ping();
    EXPECT_EQ(client.read_until(kPing).payload, "12345678") << i;
  }
}

// As flagd's Python provider does with its default settings, whenever its caller is idle.
TEST_F(ConnectionTest, AHastyPingCostsNoConnection) {
  start();
  RawConnection client(server_->sync_port());
  client.greet();
  for (int i = 0; i < 50; ++i) {
    client.ping();
    EXPECT_EQ(client.read_until(kPing).payload, "12345678") << i;
  }
}

TEST_F(ConnectionTest, AClientThatPingsAllTheTimeIsSentAway) {
  start();
  RawConnection client(server_->sync_port());
  client.greet();
  // A frame that the server sends by itself, such as its first WINDOW_UPDATE, forgives the pings before it:
  // on a busy machine it comes in the middle of them. So each ping is answered before the next, and there are
  // enough of them for one pardon.
  RawConnection::Frame last;
  for (int i = 0; i < 2'010 && last.type != kGoAway; ++i) {
    client.ping();
    last = client.read_until(kPing, kGoAway);
    ASSERT_GE(last.type, 0) << "no answer to ping " << i;
  }
  ASSERT_EQ(last.type, kGoAway);
  ASSERT_GE(last.payload.size(), 8U);
  EXPECT_EQ(last.payload[7], 0xb) << "ENHANCE_YOUR_CALM";
}

TEST_F(ConnectionTest, WhatIsNoHttp2IsClosed) {
  start();
  for (const std::string& bad :
       {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), std::string(10'000, '\xff')}) {
    RawConnection client(server_->sync_port());
    ASSERT_TRUE(client.connected());
    client.send(bad);
    EXPECT_EQ(client.read_until(1'000).type, -1);
  }
  EXPECT_TRUE(sync_->call<v2::EventStreamRequest>("/grpc.health.v1.Health/Check", "").status.ok());
}

TEST_F(ConnectionTest, HalfOpenConnectionsKeepNobodyOut) {
  start();
  std::vector<std::unique_ptr<RawConnection>> silent;
  for (int i = 0; i < 500; ++i) {
    silent.push_back(std::make_unique<RawConnection>(server_->sync_port()));
    ASSERT_TRUE(silent.back()->connected());
    if (i % 2) silent.back()->greet();
  }
  EXPECT_TRUE(sync_->call<v2::EventStreamRequest>("/grpc.health.v1.Health/Check", "").status.ok());
}

TEST_F(ConnectionTest, OneMoreThanTheBoundIsClosedAndWhoLeavesMakesRoom) {
  GrpcOptions options;
  options.limits.connections_max = 4;
  start(options);
  std::vector<std::unique_ptr<RawConnection>> held;
  for (int i = 0; i < 4; ++i) {  // the bound is of both addresses together
    const auto port = i % 2 ? server_->sync_port() : server_->evaluation_port();
    held.push_back(std::make_unique<RawConnection>(port));
    held.back()->greet();
    held.back()->ping();
    EXPECT_EQ(held.back()->read_until(kPing).payload, "12345678") << i;
  }
  for (int i = 0; i < 10; ++i) {
    RawConnection refused(server_->sync_port());
    refused.greet();
    EXPECT_EQ(refused.read_until(kPing).type, -1);
  }
  EXPECT_EQ(server_->connections(), 4U);
  held.pop_back();
  ASSERT_TRUE(comes_true([&] { return server_->connections() == 3; }));
  RawConnection next(server_->sync_port());
  next.greet();
  next.ping();
  EXPECT_EQ(next.read_until(kPing).payload, "12345678");
}

TEST_F(ConnectionTest, AConnectionWithoutACallIsNotHeldForEver) {
  GrpcOptions options;
  options.limits.connection_idle_max = Millis{200};
  start(options);
  RawConnection idle(server_->sync_port());
  idle.greet();
  EXPECT_EQ(idle.read_until(1'000).type, -1);
  ASSERT_TRUE(comes_true([&] { return server_->connections() == 0; }));
  const auto stream = sync_->stream("/flagd.sync.v1.FlagSyncService/SyncFlags", "");
  ASSERT_TRUE(stream->next<flagd::sync::v1::SyncFlagsResponse>());
  RawConnection later(server_->sync_port());
  later.greet();
  EXPECT_EQ(later.read_until(1'000).type, -1) << "as long as an idle one is held";
  set_bool("a", "on");
  EXPECT_TRUE(stream->next<flagd::sync::v1::SyncFlagsResponse>()) << "a stream is a call";
}

// A certificate for "localhost" that signs itself, and its key, as PEM files.
class Certificate {
 public:
  Certificate() {
    std::string name = (fs::temp_directory_path() / "poundlock-tls-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) folder_ = name;
    EVP_PKEY* key = EVP_RSA_gen(2048);
    X509* made = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(made), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    X509_set_pubkey(made, key);
    X509_NAME* who = X509_get_subject_name(made);
    X509_NAME_add_entry_by_txt(who, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"),
                               -1, -1, 0);
    X509_set_issuer_name(made, who);
    X509_sign(made, key, EVP_sha256());
    if (std::FILE* out = std::fopen(file().c_str(), "w")) {
      PEM_write_X509(out, made);
      std::fclose(out);
    }
    if (std::FILE* out = std::fopen(key_file().c_str(), "w")) {
      PEM_write_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
      std::fclose(out);
    }
    X509_free(made);
    EVP_PKEY_free(key);
  }
  ~Certificate() { fs::remove_all(folder_); }
  std::string file() const { return folder_ / "server.pem"; }
  std::string key_file() const { return folder_ / "server.key"; }
  std::string text() const {
    std::ifstream in(file());
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  fs::path folder_;
};

TEST_F(ConnectionTest, ServesTlsWhereItIsConfigured) {
  const Certificate certificate;
  GrpcOptions options;
  options.tls_certificate_file = certificate.file();
  options.tls_key_file = certificate.key_file();
  start(options);
  grpc::SslCredentialsOptions trust;
  trust.pem_root_certs = certificate.text();
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("localhost");
  Client client(server_->evaluation_port(), grpc::SslCredentials(trust), arguments);
  EXPECT_EQ(client.call<v2::EventStreamRequest>("/flagd.evaluation.v2.Service/ResolveBoolean", "").code(), 5);
  RawConnection plain(server_->evaluation_port());
  plain.greet();
  EXPECT_EQ(plain.read_until(kPing).type, -1) << "nothing is said without TLS";
}

TEST_F(ConnectionTest, ACertificateThatCannotBeUsedIsAnError) {
  const Certificate one, other;
  GrpcOptions options;
  options.sync_address = "127.0.0.1:0";
  options.tls_certificate_file = one.file();
  const auto code = [&](const std::string& key) {
    options.tls_key_file = key;
    const auto started = GrpcServer::start(*flags_, clock_, options);
    return started ? "none" : started.error().code;
  };
  EXPECT_EQ(code(""), "grpc.tls");
  EXPECT_EQ(code("no such file"), "grpc.tls");
  EXPECT_EQ(code(other.key_file()), "grpc.tls");
  EXPECT_EQ(code(one.key_file()), "none");
}

}  // namespace
}  // namespace poundlock::server
