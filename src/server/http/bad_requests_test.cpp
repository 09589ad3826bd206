// Peers that mean no good, or know no better: each gets its answer, and everybody else gets theirs.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <vector>

#include "server/http/http_test_support.h"

namespace poundlock::server {
namespace {

using testing::HasSubstr;

constexpr char kPost[] = "POST /echo HTTP/1.1\r\nHost: localhost\r\n";

class BadRequestsTest : public HttpFixture {
 protected:
  BadRequestsTest() {
    router_.add(
        "POST", "/echo", [](const Request& r) { return text_response(r.body); }, Access::kRead);
    router_.add(
        "GET", "/busy", [](const Request&) { return error_response(503, "x", "x"); }, Access::kRead);
  }
  void expect_alive() {
    EXPECT_EQ(ask("POST /echo", {}, "hello"), std::make_pair(200, std::string("hello")));
  }
};

TEST_F(BadRequestsTest, AHundredMegabytesAreRefusedBeforeTheyAreSent) {
  start();
  for (const char* announced :
       {"Content-Length: 104857600\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n6400000\r\n"}) {
    Peer one = peer();
    one.send(kPost + std::string(announced));
    EXPECT_EQ(one.answer().first, 413) << announced;
    EXPECT_THAT(one.head(), HasSubstr("Connection: close\r\n"));
  }
  expect_alive();
}

TEST_F(BadRequestsTest, MalformedRequestsHarmNobodyElse) {
  start();
  const std::pair<std::string, int> cases[] = {
      {kPost + std::string("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
      {kPost + std::string("X: ") + std::string(20'000, 'x') + "\r\n\r\n", 431},
      {"\x16\x03\x01\x02\x05", 400},
      {"POST /%ff%fe HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 404},
      {"POST /\xff\xfe HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 404},
  };
  for (const auto& [text, status] : cases) {
    Peer one = peer();
    one.send(text);
    EXPECT_EQ(one.answer().first, status) << text.substr(0, 80);
    expect_alive();
  }
}

TEST_F(BadRequestsTest, HalfOpenConnectionsByTheThousandKeepNobodyOut) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const rlimit more{std::min<rlim_t>(files.rlim_max, 8'192), files.rlim_max};
  setrlimit(RLIMIT_NOFILE, &more);
  options_.connections_max = 1'000;
  options_.half_open_grace = Millis{20};
  start();
  std::vector<Peer> silent;
  for (int i = 0; i < 1'500; ++i) {
    silent.push_back(peer());
    ASSERT_TRUE(silent.back().connected()) << i;
    if (i % 2 == 0) silent.back().send("POST /echo HTTP/1.1\r\nHost: loc");
    if (i % 3 == 0) silent.back().send("alhost\r\nX");
  }
  ASSERT_TRUE(wait_for([&] { return ask("POST /echo", {}, "hello").first == 200; }));
  for (int i = 0; i < 50; ++i) expect_alive();
  EXPECT_LE(server_->connections(), 1'000U);
  silent.clear();
  setrlimit(RLIMIT_NOFILE, &files);
}

TEST_F(BadRequestsTest, HalfSentBodiesAndUnreadAnswersKeepNobodyOut) {
  options_.connections_max = 40;
  options_.half_open_grace = Millis{20};
  router_.add(
      "GET", "/big", [](const Request&) { return text_response(std::string(8 << 20, 'x')); }, Access::kRead);
  for (const std::string& text : {kPost + std::string("Content-Length: 20\r\n\r\nx"),
                                  kPost + std::string("Transfer-Encoding: chunked\r\n\r\n5\r\nx"),
                                  std::string("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")}) {
    if (!server_) start();
    std::vector<Peer> stuck;
    for (int i = 0; i < 60; ++i) {
      stuck.push_back(peer(4'096));
      stuck.back().send(text);
    }
    EXPECT_TRUE(wait_for([&] { return ask("POST /echo", {}, "hello").first == 200; })) << text;
    stuck.clear();
    ASSERT_TRUE(wait_for([&] { return server_->connections() == 0; }));
  }
}

TEST_F(BadRequestsTest, EveryRefusalForWantOfRoomSaysWhenToComeBack) {
  options_.connections_max = 1;
  start();
  EXPECT_EQ(ask("GET /busy").first, 503);
  EXPECT_THAT(head_, HasSubstr("Retry-After: 1\r\n"));
  ASSERT_TRUE(wait_for([&] { return server_->connections() == 0; }));
  Peer first = peer();
  ASSERT_TRUE(wait_for([&] { return server_->connections() == 1; }));
  Peer second = peer();
  EXPECT_EQ(second.answer().first, 503);
  EXPECT_THAT(second.head(), HasSubstr("Retry-After: 1\r\n"));
}

}  // namespace
}  // namespace poundlock::server
