// HTTP to poundlockd: one connection, kept open between calls. Bounded in time (connect 3 s, then the
// caller's limit) and in size (16 MiB); redirects are not followed, and plain http goes to loopback
// addresses only, since the admin token travels with it. One thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace poundlock::cli {

struct HttpAnswer {
  int status = 0;
  std::string body;
};

class HttpClient {
 public:
  // `url`: scheme, host and port. kUser "server.url" where it is none, or plain http to another machine.
  static Result<HttpClient> create(const std::string& url);
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;

  // Any status is an answer. kReconnect "server.unreachable" when nobody listens or nothing was sent yet;
  // "server.timeout" and "server.broken" are kInDoubt unless the method is GET: the order may have arrived.
  Result<HttpAnswer> call(std::string_view method, const std::string& path, const std::string& body,
                          const std::string& token, Millis limit);
  const std::string& url() const { return url_; }

 private:
  HttpClient();
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string url_;
};

// "a b/c" -> "a%20b%2Fc": one segment of a path, or a value in a query.
std::string percent_encode(std::string_view text);

}  // namespace poundlock::cli
