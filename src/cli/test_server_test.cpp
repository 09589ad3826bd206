// The server of test_server.h, compiled into the tests only.
#include "cli/test_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace poundlock::cli {
namespace {

bool readable(int socket, const std::atomic<bool>& stop) {
  while (!stop) {
    pollfd wait{socket, POLLIN, 0};
    if (::poll(&wait, 1, 20) > 0) return true;
  }
  return false;
}

std::size_t body_length(const std::string& head) {
  std::string lower = head;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto at = lower.find("content-length:");
  return at == std::string::npos ? 0 : std::strtoul(lower.c_str() + at + 15, nullptr, 10);
}

}  // namespace

TestServer::TestServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 8) != 0)
    std::abort();
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

TestServer::~TestServer() {
  stop_ = true;
  thread_.join();
  ::close(listener_);
}

std::string TestServer::url() const {
  return "http://127.0.0.1:" + std::to_string(port_);
}

std::vector<TestRequest> TestServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void TestServer::serve() {
  while (readable(listener_, stop_)) {
    const int peer = ::accept(listener_, nullptr, nullptr);
    if (peer < 0) continue;
    converse(peer);
    ::close(peer);
  }
}

void TestServer::converse(int peer) {
  std::string buffer;
  while (readable(peer, stop_)) {
    char part[4096];
    const auto got = ::recv(peer, part, sizeof part, 0);
    if (got <= 0) return;
    buffer.append(part, static_cast<std::size_t>(got));
    const auto end = buffer.find("\r\n\r\n");
    if (end == std::string::npos || buffer.size() < end + 4 + body_length(buffer.substr(0, end))) continue;
    TestRequest request;
    request.head = buffer.substr(0, end);
    request.body = buffer.substr(end + 4);
    const auto space = buffer.find(' ');
    request.method = buffer.substr(0, space);
    request.path = buffer.substr(space + 1, buffer.find(' ', space + 1) - space - 1);
    buffer.clear();
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const std::string answer = handler_(request);
    if (answer.empty()) return;
    for (std::size_t sent = 0; sent < answer.size();) {
      const auto more = ::send(peer, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
      if (more <= 0) return;
      sent += static_cast<std::size_t>(more);
    }
  }
}

std::string TestServer::json(const std::string& body, int status) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

std::string TestServer::error(int status, const std::string& code, const std::string& disposition,
                              const std::string& hint) {
  return json(R"({"error":{"code":")" + code + R"(","message":"said no","hint":")" + hint +
                  R"(","disposition":")" + disposition + R"("}})",
              status);
}

}  // namespace poundlock::cli
