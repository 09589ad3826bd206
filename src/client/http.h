// HTTP/1.1 to poundlockd, on libcurl; the only file of the library that knows curl is http.cpp. One
// HttpClient belongs to one thread, except cancel(), which any thread may call to end what runs.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace poundlock::client {

struct HttpReply {
  int status = 0;
  std::string body;  // at most 64 KiB; the rest is dropped
};

class HttpClient {
 public:
  // `server` is "http://host:port" or https; `token` goes into Authorization where it is not empty.
  HttpClient(std::string server, std::string token);
  ~HttpClient();

  // Any status is a reply; errors are those of the connection: client.connect (nothing was sent, or it
  // is certain that nobody acted on it), client.transport (may have been acted on), client.cancelled.
  Result<HttpReply> post(const std::string& path, const std::string& json, std::chrono::milliseconds limit);
  Result<HttpReply> del(const std::string& path, std::chrono::milliseconds limit);

  // Reads until the server ends the stream, `on_bytes` answers false, nothing came for `silence_max`, or
  // cancel(). A status other than 200 is an error (client.status) whose message holds the status.
  Status stream(const std::string& path, std::chrono::milliseconds silence_max,
                const std::function<bool(std::string_view)>& on_bytes);
  void cancel();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string url_escape(std::string_view text);  // RFC 3986: everything but unreserved characters

}  // namespace poundlock::client
