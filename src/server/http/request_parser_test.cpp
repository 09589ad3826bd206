// Framing of requests without a socket: what is taken, what is refused, wherever the reads cut the bytes.
#include "server/http/request_parser.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace poundlock::server {
namespace {

struct Parsed {
  std::vector<std::string> requests;  // "METHOD TARGET host=... keep body"
  int fault = 0;
  std::size_t left = 0;  // bytes that were not taken
  bool operator==(const Parsed&) const = default;
};

std::string text_of(const RequestParser& parser, const Request& request) {
  return request.method + " " + request.target + " host=" + std::string(request.header("host")) +
         (parser.keeps_alive() ? " keep " : " close ") + request.body;
}

// `cut`: how many bytes each read brings.
Parsed parse(const std::string& bytes, std::size_t cut, const RequestLimits& limits = {}) {
  Parsed out;
  RequestParser parser;
  Request request;
  std::string pending;
  for (std::size_t at = 0; at < bytes.size() && out.fault == 0; at += cut) {
    pending += bytes.substr(at, cut);
    for (std::size_t taken = 1; (taken > 0 || parser.is_done()) && out.fault == 0;) {
      if (parser.is_done()) {
        out.requests.push_back(text_of(parser, request));
        parser.reset();
        request.clear();
      }
      if (pending.empty()) break;
      taken = parser.put(pending, limits, request);
      pending.erase(0, taken);
      if (parser.fault()) out.fault = parser.fault()->status;
    }
  }
  if (out.fault == 0) out.left = pending.size();
  return out;
}

TEST(RequestParser, TakesTheSameWhereverTheReadsCut) {
  const std::string bytes =
      "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
      "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
      "PUT /c HTTP/1.1\r\nhOsT:\ty \r\nTransfer-Encoding: Chunked\r\nConnection: x, close\r\n\r\n"
      "3;e=\"v\"\r\nabc\r\n00A\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\nGET /rest";
  const Parsed whole = parse(bytes, bytes.size());
  EXPECT_THAT(whole.requests, testing::ElementsAre("POST /a?b=c host=x keep hello", "GET / host= keep ",
                                                   "PUT /c host=y close abc0123456789"));
  EXPECT_EQ(whole.left, 9U);
  for (std::size_t cut = 1; cut < 40; ++cut) EXPECT_EQ(parse(bytes, cut), whole) << cut;
}

TEST(RequestParser, RefusesWhatTwoReadersCouldReadDifferently) {
  const std::string post = "POST / HTTP/1.1\r\nHost: x\r\n";
  const std::pair<std::string, int> cases[] = {
      {post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
      {post + "Content-Length: 1, 1\r\n\r\n", 400},
      {post + "Content-Length: +1\r\n\r\n", 400},
      {post + "Content-Length: 0x1\r\n\r\n", 400},
      {post + "Content-Length:\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
      {post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
      {post + "Content-Length : 1\r\n\r\n", 400},
      {post + " folded: 1\r\n\r\n", 400},
      {post + "A: b\r\n\tfolded\r\n\r\n", 400},
      {post + "A: b\nContent-Length: 1\r\n\r\n", 400},
      {post + "A: b\rContent-Length: 1\r\n\r\n", 400},
      {post + std::string("A: b\0c\r\n\r\n", 10), 400},
      {post + ": no name\r\n\r\n", 400},
      {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
      {"GET /\t HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505},
      {"GET / http/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /\r\n\r\n", 400},
      {"\x16\x03\x01", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n 1\r\na\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n1\nab\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n", 400},
  };
  for (const auto& [bytes, status] : cases) {
    EXPECT_EQ(parse(bytes, bytes.size()).fault, status) << bytes;
    EXPECT_EQ(parse(bytes, 1).fault, status) << bytes;
  }
}

TEST(RequestParser, HoldsItsLimitsBeforeTheBytesAreThere) {
  const std::string post = "POST / HTTP/1.1\r\nHost: x\r\n";
  EXPECT_EQ(parse(post + "Content-Length: 104857600\r\n\r\n", 1'000).fault, 413);
  EXPECT_EQ(parse(post + "Content-Length: 99999999999999999999999999999\r\n\r\n", 1'000).fault, 413);
  EXPECT_EQ(parse(post + "Transfer-Encoding: chunked\r\n\r\n6400000\r\n", 1'000).fault, 413);
  const RequestLimits small{200, 10};
  const std::string chunks = "8\r\n12345678\r\n";
  EXPECT_EQ(parse(post + "Transfer-Encoding: chunked\r\n\r\n" + chunks, 7, small).fault, 0);
  EXPECT_EQ(parse(post + "Transfer-Encoding: chunked\r\n\r\n" + chunks + chunks, 7, small).fault, 413);
  EXPECT_EQ(parse(post + "A: " + std::string(200, 'a'), 7, small).fault, 431);
  EXPECT_EQ(parse(post + "A: " + std::string(200, 'a') + "\r\n\r\n", 1'000, small).fault, 431);
  std::string trailer = "0\r\n";
  for (int i = 0; i < 5'000; ++i) trailer += "a:\r\n";
  EXPECT_EQ(parse(post + "Transfer-Encoding: chunked\r\n\r\n" + trailer, 1'000).fault, 431);
  EXPECT_EQ(parse(post + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(300, 'a'), 7).fault, 400);
}

}  // namespace
}  // namespace poundlock::server
