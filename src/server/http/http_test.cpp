// The HTTP server over real sockets: framing, bounds, time-outs, access.
#include <gmock/gmock.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <atomic>

#include "server/http/http_test_support.h"

namespace poundlock::server {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr char kGet[] = "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n";

class HttpTest : public HttpFixture {
 protected:
  HttpTest() {
    router_.add(
        "GET", "/echo", [](const Request&) { return text_response("hello"); }, Access::kRead);
    router_.add(
        "POST", "/echo", [](const Request& r) { return text_response(r.body); }, Access::kRead);
    router_.add(
        "GET", "/items/{name}",
        [](const Request& r) {
          return text_response(std::string(r.param("name")) + "|" + std::string(r.query_value("q")));
        },
        Access::kRead);
    router_.add(
        "GET", "/items/all", [](const Request&) { return text_response("all"); }, Access::kRead);
    router_.add(
        "POST", "/change", [](const Request& r) { return text_response(r.admin ? "changed" : "not admin"); },
        Access::kWrite);
    router_.add(
        "GET", "/throws", [](const Request&) -> Response { throw std::runtime_error("odd"); }, Access::kRead);
  }
};

TEST_F(HttpTest, AnswersWithSecurityHeadersAndItsBoundAddress) {
  start();
  EXPECT_GT(server_->port(), 0);
  EXPECT_EQ(server_->url(), "http://127.0.0.1:" + std::to_string(server_->port()));
  EXPECT_EQ(ask("GET /echo"), std::make_pair(200, std::string("hello")));
  EXPECT_THAT(head_, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head_, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
  EXPECT_THAT(head_, HasSubstr("Content-Security-Policy: default-src 'none'\r\n"));
  EXPECT_THAT(head_, HasSubstr("Cache-Control: no-store\r\n"));
  EXPECT_THAT(head_, HasSubstr(" GMT\r\n"));
}

TEST_F(HttpTest, KeepsTheConnectionAndAnswersPipelinedRequestsInOrder) {
  start();
  Peer one = peer();
  std::string requests;
  for (int i = 0; i < 500; ++i) {
    requests += "GET /items/" + std::to_string(i) + "?q=a%20b HTTP/1.1\r\nHost: localhost\r\n\r\n";
  }
  one.send(requests);
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(one.answer(), std::make_pair(200, std::to_string(i) + "|a b"));
  }
  one.send(kGet);
  EXPECT_EQ(one.answer().second, "hello");
  EXPECT_EQ(server_->connections(), 1U);
  EXPECT_EQ(server_->requests(), 501U);
}

TEST_F(HttpTest, ReadsARequestThatComesByteByByte) {
  start();
  Peer one = peer();
  for (const char c :
       std::string("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabcde")) {
    one.send(std::string(1, c));
  }
  EXPECT_EQ(one.answer(), std::make_pair(200, std::string("abcde")));
}

TEST_F(HttpTest, ReadsChunkedBodies) {
  start();
  Peer one = peer();
  one.send(
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(one.answer(), std::make_pair(200, std::string("abcde")));
  one.send(kGet);
  EXPECT_EQ(one.answer().second, "hello");
}

TEST_F(HttpTest, AnswersHeadWithoutABody) {
  start();
  Peer one = peer();
  one.send("HEAD /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  const std::string text = one.read_to_end();
  EXPECT_THAT(text, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(text, Not(HasSubstr("hello")));
}

TEST_F(HttpTest, AHalfClosedPeerStillGetsItsAnswers) {
  std::atomic<bool> release{false};
  router_.add(
      "GET", "/slow",
      [&](const Request&) {
        wait_for([&] { return release.load(); });
        return text_response("slow");
      },
      Access::kRead, Run::kBlocking);
  start();
  Peer one = peer();
  one.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n" + std::string(kGet));
  one.close_sending();
  release = true;
  EXPECT_EQ(one.answer().second, "slow");
  EXPECT_EQ(one.answer().second, "hello");
  one.read_to_end();
  EXPECT_TRUE(one.ended());
}

TEST_F(HttpTest, RefusesContentLengthTogetherWithTransferEncoding) {
  start();
  for (const char* headers : {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                              "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                              "Content-Length: 4\r\nContent-Length: 5\r\n"}) {
    Peer one = peer();
    one.send(std::string("POST /echo HTTP/1.1\r\nHost: localhost\r\n") + headers + "\r\n0\r\n\r\n" + kGet);
    const std::string text = one.read_to_end();
    EXPECT_THAT(text, StartsWith("HTTP/1.1 400 ")) << headers;
    EXPECT_THAT(text, Not(HasSubstr("hello"))) << headers;
    EXPECT_TRUE(one.ended()) << headers;
  }
}

TEST_F(HttpTest, RefusesATransferEncodingThatOthersCouldReadDifferently) {
  start();
  for (const char* encoding : {"xchunked", "identity", "chunked, identity", "gzip, chunked, x"}) {
    Peer one = peer();
    one.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: " + std::string(encoding) +
             "\r\n\r\n" + kGet);
    const std::string text = one.read_to_end();
    EXPECT_THAT(text, testing::AnyOf(StartsWith("HTTP/1.1 501 "), StartsWith("HTTP/1.1 400 "))) << encoding;
    EXPECT_THAT(text, Not(HasSubstr("hello"))) << encoding;
  }
}

TEST_F(HttpTest, RefusesMalformedRequests) {
  start();
  const std::pair<const char*, int> cases[] = {
      {"GARBAGE\r\n\r\n", 400},
      {"GET /echo HTTP/1.1\r\n\r\n", 400},
      {"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET /echo HTTP/2.0\r\nHost: localhost\r\n\r\n", 505},
      {"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"GET /a%00b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400},
      {"GET /echo HTTP/1.1\r\nHost : localhost\r\n\r\n", 400},
  };
  for (const auto& [text, status] : cases) {
    Peer one = peer();
    one.send(text);
    EXPECT_EQ(one.answer().first, status) << text;
  }
}

TEST_F(HttpTest, RefusesAnOversizedHeader) {
  start();
  for (const std::size_t size : {std::size_t{17'000}, std::size_t{500'000}}) {
    Peer one = peer();
    one.send("GET /echo HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(size, 'x'));
    EXPECT_EQ(one.answer().first, 431) << size;
  }
}

TEST_F(HttpTest, RefusesAnOversizedBodyAndThePeerReadsWhy) {
  options_.body_bytes_max = 100'000;
  start();
  {
    Peer one = peer();
    one.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 600000\r\n\r\n" +
             std::string(600'000, 'x'));
    const std::string text = one.read_to_end();
    EXPECT_THAT(text, StartsWith("HTTP/1.1 413 "));
    EXPECT_FALSE(one.reset());
  }
  Peer chunked = peer();
  chunked.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 4; ++i) chunked.send("8000\r\n" + std::string(0x8000, 'x') + "\r\n");
  EXPECT_EQ(chunked.answer().first, 413);
}

TEST_F(HttpTest, TakesABodyUpToTheLimit) {
  start();
  const std::string body(options_.body_bytes_max, 'b');
  const auto got = ask("POST /echo", {}, body);
  EXPECT_EQ(got.first, 200);
  EXPECT_EQ(got.second.size(), body.size());
  EXPECT_EQ(ask("POST /echo", {}, body + "x").first, 413);
}

TEST_F(HttpTest, TheBodiesOfAllConnectionsTogetherAreBounded) {
  options_.bodies_bytes_max = 1'000'000;
  start();
  Peer first = peer();
  first.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\nabc");
  Peer second = peer();
  ASSERT_TRUE(wait_for([&] {
    Peer probe = peer();
    probe.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n");
    return probe.read_until("503", 50);
  }));
  first.send(std::string(899'997, 'x'));
  EXPECT_EQ(first.answer().first, 200);
  EXPECT_EQ(ask("POST /echo", {}, std::string(200'000, 'x')).first, 200);
}

TEST_F(HttpTest, AsksForTheBodyWhereTheClientWaitsForThat) {
  start();
  Peer one = peer();
  one.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(one.read_until("HTTP/1.1 100 Continue\r\n\r\n"));
  one.send("abc");
  ASSERT_TRUE(one.read_until("abc"));
  Peer refused = peer();
  refused.send(
      "POST /change HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(refused.answer().first, 401);
}

TEST_F(HttpTest, ASlowHeaderIsCutOff) {
  options_.header_timeout = Millis{60};
  start();
  Peer slow = peer();
  slow.send("GET /echo HTTP/1.1\r\nHost: localhost\r\n");
  const auto began = std::chrono::steady_clock::now();
  // Drips on: each byte comes in time, the header never does.
  while (!slow.read_until("\r\n\r\n", 10) &&
         std::chrono::steady_clock::now() - began < std::chrono::seconds(4)) {
    slow.send("X");
  }
  EXPECT_THAT(slow.text(), StartsWith("HTTP/1.1 408 "));
  slow.read_to_end();
  EXPECT_TRUE(slow.ended() || slow.reset());
  Peer silent = peer();
  EXPECT_EQ(silent.read_to_end(), "");
  EXPECT_TRUE(silent.ended());
  EXPECT_TRUE(wait_for([&] { return server_->connections() == 0; }));
}

TEST_F(HttpTest, BlankLinesHoldNoConnection) {
  options_.header_timeout = Millis{100};
  options_.idle_timeout = Millis{100};
  start();
  Peer few = peer();
  few.send("\r\n\r\n" + std::string(kGet));
  EXPECT_EQ(few.answer().second, "hello");
  few.send("\r\n" + std::string(kGet));
  EXPECT_EQ(few.answer().second, "hello");
  Peer flood = peer();
  for (int i = 0; i < 20; ++i) flood.send("\r\n");
  EXPECT_EQ(flood.answer().first, 400);
  for (const bool answered : {false, true}) {
    Peer drip = peer();
    if (answered) {
      drip.send(kGet);
      EXPECT_EQ(drip.answer().second, "hello");
    }
    int sent = 0;
    for (; sent < 8 && !drip.ended() && !drip.reset(); ++sent) {
      drip.send("\r\n");
      drip.read_until("never", 40);
    }
    EXPECT_LT(sent, 8) << "cut off by time, " << answered;
  }
}

TEST_F(HttpTest, ASlowBodyAndAnIdleConnectionAreCutOff) {
  options_.request_timeout = Millis{60};
  options_.idle_timeout = Millis{60};
  start();
  Peer slow = peer();
  slow.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(slow.answer().first, 408);
  Peer idle = peer();
  idle.send(kGet);
  EXPECT_EQ(idle.answer().first, 200);
  EXPECT_EQ(idle.read_to_end(), "");
  EXPECT_TRUE(idle.ended());
}

TEST_F(HttpTest, AReaderThatDoesNotReadHoldsUpOnlyItself) {
  options_.write_timeout = Millis{200};
  router_.add(
      "GET", "/big", [](const Request&) { return text_response(std::string(1 << 20, 'x')); }, Access::kRead);
  start();
  Peer greedy = peer(4'096);
  std::string requests;
  for (int i = 0; i < 200; ++i) requests += "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";
  greedy.send(requests);
  EXPECT_EQ(ask("GET /echo").first, 200);
  EXPECT_TRUE(wait_for([&] { return server_->connections() == 0; }));
  EXPECT_LT(server_->requests(), 100U);  // it was not served ahead of what it read
}

TEST_F(HttpTest, ConnectionsAreCapped) {
  options_.connections_max = 3;
  start();
  std::vector<Peer> kept;
  for (int i = 0; i < 3; ++i) kept.push_back(peer());
  ASSERT_TRUE(wait_for([&] { return server_->connections() == 3; }));
  Peer extra = peer();
  EXPECT_THAT(extra.read_to_end(), StartsWith("HTTP/1.1 503 "));
  kept.pop_back();
  ASSERT_TRUE(wait_for([&] { return server_->connections() == 2; }));
  EXPECT_EQ(ask("GET /echo").first, 200);
}

TEST_F(HttpTest, AConnectionThatIsIdleMakesRoom) {
  options_.connections_max = 2;
  start();
  std::vector<Peer> idle;
  for (int i = 0; i < 2; ++i) {
    idle.push_back(peer());
    idle.back().send(kGet);
    EXPECT_EQ(idle.back().answer().second, "hello");
  }
  EXPECT_EQ(ask("GET /echo").first, 200);
  EXPECT_EQ(idle[0].read_to_end(), "");
  EXPECT_TRUE(idle[0].ended()) << "the one that was idle longest";
  idle[1].send(kGet);
  EXPECT_EQ(idle[1].answer().second, "hello");
}

TEST_F(HttpTest, WritesNeedTheAdminToken) {
  start();
  const auto refused = ask("POST /change");
  EXPECT_EQ(refused.first, 401);
  EXPECT_THAT(refused.second, HasSubstr(R"("code":"auth.missing")"));
  EXPECT_THAT(refused.second, HasSubstr(R"("hint":)"));
  EXPECT_THAT(head_, HasSubstr("WWW-Authenticate: Bearer"));
  EXPECT_EQ(ask("POST /change", "Authorization: Bearer plk_wrong\r\n").first, 401);
  EXPECT_EQ(ask("POST /change", "Authorization: Basic " + token_ + "\r\n").first, 401);
  EXPECT_EQ(ask("POST /change", "Authorization: Bearer " + token_ + "\r\n"),
            std::make_pair(200, std::string("changed")));
  EXPECT_EQ(ask("POST /change", "authorization: bearer " + token_ + "\r\n").first, 200);
}

TEST_F(HttpTest, ManyWrongTokensAreLimitedAndTheRightOneStillPasses) {
  start();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ask("POST /change", "Authorization: Bearer wrong\r\n").first, 401);
  EXPECT_EQ(ask("POST /change", "Authorization: Bearer wrong\r\n").first, 429);
  EXPECT_THAT(head_, HasSubstr("Retry-After: "));
  EXPECT_EQ(ask("POST /change").first, 401);
  EXPECT_EQ(ask("POST /change", "Authorization: Bearer " + token_ + "\r\n").first, 200);
}

TEST_F(HttpTest, RoutesByPathAndMethod) {
  start();
  EXPECT_EQ(ask("GET /items/all").second, "all");
  EXPECT_EQ(ask("GET /items/a%2Fb/").second, "a/b|");
  EXPECT_EQ(ask("GET http://localhost/items/x?q=1").second, "x|1");
  const auto unknown = ask("GET /nothing");
  EXPECT_EQ(unknown.first, 404);
  EXPECT_THAT(unknown.second, HasSubstr(R"({"error":{"code":"http.not_found")"));
  EXPECT_EQ(ask("DELETE /echo").first, 405);
  EXPECT_THAT(head_, HasSubstr("Allow: GET, POST"));
}

TEST_F(HttpTest, AFaultInAHandlerIsAnAnswer) {
  start();
  const auto got = ask("GET /throws");
  EXPECT_EQ(got.first, 500);
  EXPECT_THAT(got.second, HasSubstr("odd"));
  EXPECT_EQ(ask("GET /echo").first, 200);
}

TEST_F(HttpTest, BlockingHandlersHoldUpNobodyAndAreBounded) {
  std::atomic<int> running{0};
  std::atomic<bool> release{false};
  router_.add(
      "GET", "/block",
      [&](const Request&) {
        ++running;
        wait_for([&] { return release.load(); });
        return text_response("done");
      },
      Access::kRead, Run::kBlocking);
  router_.add(
      "POST", "/kill", [](const Request&) { return text_response("killed"); }, Access::kRead, Run::kPrompt);
  options_.workers = 2;
  options_.worker_queue_max = 1;
  start();
  std::vector<Peer> peers;
  for (int i = 0; i < 2; ++i) {
    peers.push_back(peer());
    peers.back().send("GET /block HTTP/1.1\r\nHost: localhost\r\n\r\n" + std::string(kGet));
    ASSERT_TRUE(wait_for([&] { return running == i + 1; }));
  }
  peers.push_back(peer());
  peers.back().send("GET /block HTTP/1.1\r\nHost: localhost\r\n\r\n");  // waits in the queue
  EXPECT_EQ(ask("GET /echo").first, 200);
  ASSERT_TRUE(wait_for([&] { return ask("GET /block").first == 503; }));
  EXPECT_EQ(ask("POST /kill").second, "killed") << "an order waits for no database";
  release = true;
  for (auto& one : peers) EXPECT_EQ(one.answer(), std::make_pair(200, std::string("done")));
  EXPECT_EQ(peers[0].answer().second, "hello");
}

// RFC 9112, section 3.2.2: of an absolute target its authority counts, and Host does not.
TEST_F(HttpTest, TheHostOfAnAbsoluteTargetIsTheOneThatCounts) {
  start();
  const auto with = [&](const std::string& target, const std::string& headers) {
    Peer one = peer();
    one.send("GET " + target + " HTTP/1.1\r\n" + headers + "\r\n");
    return one.answer().first;
  };
  EXPECT_EQ(with("http://evil.example/echo", "Host: localhost\r\n"), 403);
  EXPECT_EQ(with("HTTP://evil.example/echo", "Host: localhost\r\n"), 403);
  EXPECT_EQ(with("http://localhost@evil.example/echo", "Host: localhost\r\n"), 403);
  EXPECT_EQ(with("http://localhost/echo", "Host: evil.example\r\n"), 200);
  EXPECT_EQ(with("http://127.0.0.1:9/echo", "Host: x\r\nOrigin: http://127.0.0.1:9\r\n"), 200);
  EXPECT_EQ(with("http://127.0.0.1:9/echo", "Host: x.example\r\nOrigin: http://x.example\r\n"), 403);
}

TEST_F(HttpTest, ForeignHostNamesAndOriginsAreRefused) {
  options_.origins = {"https://app.example"};
  start();
  const auto with = [&](const std::string& headers) {
    Peer one = peer();
    one.send("GET /echo HTTP/1.1\r\n" + headers + "\r\n");
    const int status = one.answer().first;
    head_ = one.head();
    return status;
  };
  EXPECT_EQ(with("Host: evil.example\r\n"), 403);
  EXPECT_EQ(with("Host: 127.0.0.1:1\r\n"), 200);
  EXPECT_EQ(with("Host: [::1]:80\r\n"), 200);
  EXPECT_EQ(with("Host: localhost:9\r\nOrigin: http://localhost:9\r\n"), 200);
  EXPECT_EQ(with("Host: localhost\r\nOrigin: https://evil.example\r\n"), 403);
  EXPECT_EQ(with("Host: localhost\r\nOrigin: null\r\n"), 403);
  EXPECT_EQ(with("Host: localhost\r\nOrigin: https://app.example\r\n"), 200);
  EXPECT_THAT(head_, HasSubstr("Access-Control-Allow-Origin: https://app.example\r\n"));
  Peer preflight = peer();
  preflight.send(
      "OPTIONS /echo HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\n"
      "Access-Control-Request-Method: POST\r\n\r\n");
  EXPECT_EQ(preflight.answer().first, 204);
}

TEST_F(HttpTest, AHeaderWithALineBreakIsNotSent) {
  router_.add(
      "GET", "/odd",
      [](const Request&) {
        Response response = text_response("x");
        response.headers = {{"X-Odd", "a\r\nSet-Cookie: b"}, {"Cache-Control", "max-age=60"}};
        return response;
      },
      Access::kRead);
  start();
  EXPECT_EQ(ask("GET /odd").first, 200);
  EXPECT_THAT(head_, Not(HasSubstr("Set-Cookie")));
  EXPECT_THAT(head_, HasSubstr("Cache-Control: max-age=60"));
  EXPECT_THAT(head_, Not(HasSubstr("no-store")));
}

TEST_F(HttpTest, StoppingLetsTheAnswerInProgressFinish) {
  std::atomic<bool> running{false};
  std::atomic<bool> release{false};
  router_.add(
      "GET", "/slow",
      [&](const Request&) {
        running = true;
        wait_for([&] { return release.load(); });
        return text_response("finished");
      },
      Access::kRead, Run::kBlocking);
  start();
  Peer busy = peer();
  Peer idle = peer();
  busy.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(wait_for([&] { return running.load() && server_->connections() == 2; }));
  std::thread stopper([&] { server_->stop(Millis{5'000}); });
  EXPECT_EQ(idle.read_to_end(), "");
  release = true;
  EXPECT_EQ(busy.answer().second, "finished");
  EXPECT_THAT(busy.head(), HasSubstr("Connection: close"));
  busy.read_to_end();
  { Peer done = std::move(busy); }
  stopper.join();
  EXPECT_EQ(server_->connections(), 0U);
  EXPECT_FALSE(Peer(server_->port()).connected());
}

TEST_F(HttpTest, ATakenPortAndABadAddressAreNamed) {
  start();
  HttpOptions taken;
  taken.port = server_->port();
  const auto second = HttpServer::bind(loop_, router_, auth_, clock_, taken);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "http.bind");
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(taken.port)));
  HttpOptions odd;
  odd.address = "not-an-address";
  EXPECT_FALSE(HttpServer::bind(loop_, router_, auth_, clock_, odd));
}

// An address of this machine by which others reach it; connections to it come from it.
std::optional<in_addr> outward_address() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return std::nullopt;
  std::optional<in_addr> found;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    if ((one->ifa_flags & IFF_LOOPBACK) == 0)
      found = reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr;
  }
  freeifaddrs(all);
  return found;
}

TEST_F(HttpTest, ReportsFromOtherMachinesNeedAToken) {
  const auto address = outward_address();
  if (!address) GTEST_SKIP() << "this machine has a loopback address only";
  auth_.set_application(hash_token("app"));
  router_.add(
      "POST", "/report", [](const Request&) { return text_response("counted"); }, Access::kReport);
  options_.address = "0.0.0.0";
  start();
  const auto from = [&](in_addr to, const std::string& line, const std::string& token) {
    Peer one(server_->port(), 0, to);
    one.send(line + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n" +
             (token.empty() ? "" : "Authorization: Bearer " + token + "\r\n") + "\r\n");
    return one.answer().first;
  };
  EXPECT_EQ(from({htonl(INADDR_LOOPBACK)}, "POST /report", ""), 200);
  EXPECT_EQ(from(*address, "POST /report", ""), 401);
  EXPECT_EQ(from(*address, "POST /report", "no"), 401);
  EXPECT_EQ(from(*address, "POST /report", "app"), 200);
  EXPECT_EQ(from(*address, "POST /report", token_), 200);
  EXPECT_EQ(from(*address, "POST /change", "app"), 403) << "it gives no other right";
  EXPECT_EQ(from(*address, "GET /echo", ""), 200);
}

}  // namespace
}  // namespace poundlock::server
