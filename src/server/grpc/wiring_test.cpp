// The gRPC ports of a whole service, and what it knows of those who read there.
#include "server/grpc/wiring.h"

#include <arpa/inet.h>
#include <flagd/sync/v1/sync.pb.h>
#include <gmock/gmock.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "server/grpc/grpc_test_support.h"
#include "server/http/http_test_support.h"

namespace poundlock::server {
namespace {

using flagd::sync::v1::SyncFlagsResponse;
using testing::HasSubstr;

const std::string kSyncFlags = "/flagd.sync.v1.FlagSyncService/SyncFlags";

// Of this machine, as others see it; "" where it has none.
std::string outward_address() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return {};
  std::string found;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    char text[INET_ADDRSTRLEN] = "";
    const auto* name = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
    if ((one->ifa_flags & IFF_LOOPBACK) == 0 && inet_ntop(AF_INET, &name->sin_addr, text, sizeof text))
      found = text;
  }
  freeifaddrs(all);
  return found;
}

std::uint16_t port_in(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

class WiringTest : public testing::Test {
 protected:
  WiringTest() {
    std::string name = (std::filesystem::temp_directory_path() / "poundlock-wiring-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) folder_ = name;
    std::ofstream(folder_ / "f.json") << R"({"flags":{"k":{"state":"ENABLED",
      "variants":{"on":true,"off":false},"defaultVariant":"off"}}})";
  }
  ~WiringTest() override {
    ports_.server.reset();
    service_.reset();
    std::filesystem::remove_all(folder_);
  }
  ServiceOptions options(const std::string& host = "127.0.0.1") {
    ServiceOptions out;
    out.state_dir = (folder_ / "state").string();
    out.http.port = 0;
    out.grpc_sync = ListenWish{{host, 0}, true};
    out.flags = {{(folder_ / "f.json").string(), ""}};
    return out;
  }
  Result<GrpcPorts> open(ServiceOptions options) {
    auto started = Service::start(std::move(options), clock_);
    EXPECT_TRUE(started) << started.error().to_string();
    service_ = std::move(*started);
    std::ifstream(folder_ / "state" / "admin-token") >> token_;
    return start_grpc(*service_, clock_);
  }
  void start(ServiceOptions options) {
    auto opened = open(std::move(options));
    ASSERT_TRUE(opened) << opened.error().to_string();
    ports_ = std::move(*opened);
  }
  json::Object ask(const std::string& line, const std::string& body = "") {
    Peer peer(port_in(service_->url()));
    peer.send(line + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token_ +
              "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    const auto [status, text] = peer.answer();
    EXPECT_EQ(status, 200) << line << text;
    const auto value = json::parse(text, "answer");
    return value && value->is_object() ? value->as_object() : json::Object{};
  }
  json::Object readers() { return ask("GET /v1/flags/k/status").at("readers").as_object(); }
  bool counts(const char* what, int number) {
    return comes_true([&] { return readers().at(what).to_number<int>() == number; });
  }

  RealClock clock_;
  std::filesystem::path folder_;
  std::string token_;
  std::unique_ptr<Service> service_;
  GrpcPorts ports_;
};

TEST_F(WiringTest, AReaderOfTheStreamCountsAsDeliveredToOnceItHasTheFlag) {
  start(options());
  Client client(ports_.server->sync_port());
  const auto named =
      client.stream(kSyncFlags, "", {{"poundlock-service", "orders"}, {"poundlock-instance", "i1"}});
  Client other(ports_.server->sync_port());
  const auto nameless = other.stream(kSyncFlags, "");
  ASSERT_TRUE(named->next<SyncFlagsResponse>());
  ASSERT_TRUE(nameless->next<SyncFlagsResponse>());
  EXPECT_TRUE(counts("delivered", 2));
  ask("PUT /v1/flags/k", R"({"value":true})");
  ASSERT_TRUE(named->next<SyncFlagsResponse>());
  ASSERT_TRUE(nameless->next<SyncFlagsResponse>());
  EXPECT_TRUE(counts("delivered", 2)) << "the order, too";
  EXPECT_TRUE(counts("acknowledged", 0)) << "the protocol has no word for it";
}

TEST_F(WiringTest, AReaderOnAnotherMachineCountsWithATokenOnly) {
  const std::string address = outward_address();
  if (address.empty()) GTEST_SKIP() << "this machine has a loopback address only";
  start(options("0.0.0.0"));
  Client client(ports_.server->sync_port(), address);
  CallHeaders headers{{"poundlock-service", "orders"}, {"poundlock-instance", "i1"}};
  auto stranger = client.stream(kSyncFlags, "", headers);
  ASSERT_TRUE(stranger->next<SyncFlagsResponse>()) << "it may read";
  ASSERT_TRUE(comes_true([&] { return service_->metrics().strangers() == 1; }));
  EXPECT_EQ(service_->metrics().instances().size(), 0U);
  EXPECT_EQ(ask("GET /v1/stale-flags").at("readers_without_reports"), 1) << "it may need any flag";
  headers["authorization"] = "Bearer " + token_;
  const auto known = client.stream(kSyncFlags, "", headers);
  ASSERT_TRUE(known->next<SyncFlagsResponse>());
  EXPECT_TRUE(counts("delivered", 1));
  stranger.reset();
  EXPECT_TRUE(comes_true([&] { return service_->metrics().strangers() == 0; }));
  EXPECT_TRUE(service_->metrics().instances().at(0).connected) << "who left under its name was not it";
}

TEST_F(WiringTest, AUsualPortThatIsTakenIsDoneWithoutAndANamedOneIsNot) {
  start(options());
  auto second = options();
  second.state_dir = (folder_ / "second").string();
  second.grpc_sync = ListenWish{{"127.0.0.1", ports_.server->sync_port()}, false};
  second.grpc_eval = ListenWish{{"127.0.0.1", 0}, false};
  auto beside = Service::start(second, clock_);
  ASSERT_TRUE(beside) << beside.error().to_string();
  {
    const auto without = start_grpc(**beside, clock_);
    ASSERT_TRUE(without) << without.error().to_string();
    EXPECT_THAT(without->warnings, testing::ElementsAre(HasSubstr(to_string(second.grpc_sync->address))));
    EXPECT_EQ(without->server->sync_port(), 0);
    EXPECT_NE(without->server->evaluation_port(), 0);
    EXPECT_EQ(without->bound.at(1).address, "");
  }
  beside->reset();
  second.grpc_sync->required = true;
  beside = Service::start(second, clock_);
  ASSERT_TRUE(beside) << beside.error().to_string();
  const auto refused = start_grpc(**beside, clock_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "grpc.listen");
  EXPECT_THAT(refused.error().to_string(), HasSubstr("--grpc-sync names another"));
}

TEST(ThisMachine, IsKnownByItsLoopbackAddresses) {
  for (const char* one : {"ipv4:127.0.0.1:5", "ipv4:127.3.2.1:5", "ipv6:%5B::1%5D:5", "ipv6:[::1]:5"})
    EXPECT_TRUE(is_this_machine(one)) << one;
  for (const char* one : {"ipv4:12.7.0.1:5", "ipv4:192.0.2.2:127", "ipv6:%5B::12%5D:5", "ipv6:[fd00::1]:5"})
    EXPECT_FALSE(is_this_machine(one)) << one;
}

}  // namespace
}  // namespace poundlock::server
