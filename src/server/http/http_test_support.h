// A server on a free loopback port and a plain socket client, for tests.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "server/http/auth.h"
#include "server/http/event_loop.h"
#include "server/http/http_server.h"
#include "server/http/router.h"
#include "server/http/sse.h"

namespace poundlock::server {

class RealClock : public Clock {
 public:
  TimePoint now() const override {
    using namespace std::chrono;
    return {duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
  }
  TimePoint steady() const override {
    using namespace std::chrono;
    return {duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count()};
  }
  void sleep(Millis) override {}
};

// Blocking, with a limit of 5 s on every wait.
class Peer {
 public:
  explicit Peer(std::uint16_t port, int receive_buffer = 0, in_addr to = {htonl(INADDR_LOOPBACK)})
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr = to;
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  Peer(Peer&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_), text_(std::move(other.text_)) {}
  ~Peer() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void close_sending() { shutdown(fd_, SHUT_WR); }

  // False: the end or the limit came first.
  bool read_until(std::string_view wanted, int limit_ms = 5'000) {
    while (text_.find(wanted) == std::string::npos) {
      if (!read_more(limit_ms)) return false;
    }
    return true;
  }
  // All that comes until the server closes. A reset counts as no clean end.
  std::string read_to_end(int limit_ms = 5'000) {
    while (read_more(limit_ms)) {
    }
    return text_;
  }
  // One answer with Content-Length: status and body; what follows stays for the next call.
  std::pair<int, std::string> answer() {
    if (!read_until("\r\n\r\n")) return {0, text_};
    const auto header_end = text_.find("\r\n\r\n") + 4;
    head_ = text_.substr(0, header_end);
    const auto at = head_.find("Content-Length: ");
    const std::size_t length = at == std::string::npos ? 0 : std::stoul(head_.substr(at + 16));
    while (text_.size() < header_end + length) {
      if (!read_more(5'000)) return {0, text_};
    }
    std::string body = text_.substr(header_end, length);
    text_.erase(0, header_end + length);
    return {std::stoi(head_.substr(9, 3)), body};
  }
  const std::string& head() const { return head_; }
  const std::string& text() const { return text_; }
  bool ended() const { return ended_; }
  bool reset() const { return reset_; }

 private:
  bool read_more(int limit_ms) {
    pollfd wait{fd_, POLLIN, 0};
    if (poll(&wait, 1, limit_ms) <= 0) return false;
    char buffer[65'536];
    const ssize_t size = recv(fd_, buffer, sizeof buffer, 0);
    ended_ = size == 0;
    reset_ = size < 0;
    if (size > 0) text_.append(buffer, static_cast<std::size_t>(size));
    return size > 0;
  }
  int fd_;
  bool connected_ = false;
  bool ended_ = false;
  bool reset_ = false;
  std::string text_;
  std::string head_;
};

template <typename Condition>
bool wait_for(Condition condition, int limit_ms = 5'000) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::milliseconds(limit_ms);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    poll(nullptr, 0, 1);
  }
  return true;
}

// Routes and options are set before start().
class HttpFixture : public testing::Test {
 protected:
  HttpFixture() : token_(make_admin_token().value()), auth_(hash_token(token_)) { loop_.start(); }
  ~HttpFixture() override {
    if (hub_) hub_->shutdown();
    server_.reset();
    loop_.stop();
  }
  void start() {
    auto bound = HttpServer::bind(loop_, router_, auth_, clock_, options_);
    ASSERT_TRUE(bound) << bound.error().to_string();
    server_ = std::move(*bound);
    server_->start();
  }
  void add_hub(SseOptions options) {
    hub_ = SseHub::create(loop_, std::move(options));
    router_.add(
        "GET", "/stream", [this](const Request& r) { return stream_response(hub_, r); }, Access::kRead);
  }
  Peer peer(int receive_buffer = 0) { return Peer(server_->port(), receive_buffer); }
  std::pair<int, std::string> ask(const std::string& line, const std::string& headers = {},
                                  const std::string& body = {}) {
    Peer one = peer();
    one.send(line + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) +
             "\r\n" + headers + "\r\n" + body);
    auto got = one.answer();
    head_ = one.head();
    return got;
  }

  RealClock clock_;
  EventLoop loop_;
  Router router_;
  std::string token_;
  AdminAuth auth_;
  HttpOptions options_;
  std::shared_ptr<SseHub> hub_;
  std::unique_ptr<HttpServer> server_;
  std::string head_;
};

}  // namespace poundlock::server
