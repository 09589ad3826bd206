// HTTP/1.1 (RFC 9110, 9112) over TCP: keep-alive, pipelining, bounded in every direction. A request
// that carries both Content-Length and Transfer-Encoding is refused, since two readers of it could
// disagree on where it ends. Connections live on the loop's thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "server/http/auth.h"
#include "server/http/event_loop.h"
#include "server/http/router.h"

namespace poundlock::server {

struct HttpOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free one

  // One more takes the place of the one that has been idle longest, or else of the one that has owed a whole
  // request, or taken nothing of its answer, longest and for longer than `half_open_grace`; where neither is,
  // it is answered 503.
  std::size_t connections_max = 12'000;
  Millis half_open_grace{1'000};
  std::size_t header_bytes_max = 16 << 10;   // 431
  std::size_t body_bytes_max = 4 << 20;      // 413
  std::size_t bodies_bytes_max = 64 << 20;   // of all connections together: 503
  std::size_t output_bytes_max = 256 << 10;  // unsent answers of one connection before it is read on
  Millis header_timeout{10'000};       // from a request's first byte (or the connect) to its header's end
  Millis request_timeout{30'000};      // to its body's end
  Millis idle_timeout{75'000};         // between requests
  Millis write_timeout{30'000};        // with something unsent, no byte taken for this long
  std::size_t workers = 4;             // threads for Run::kBlocking, and as many for Run::kPrompt
  std::size_t worker_queue_max = 128;  // of each; 503 beyond

  // A web page in a browser on this machine may reach a loopback port. So requests are refused (403)
  // when their Host is a name other than localhost (DNS rebinding; checked where the address is a
  // loopback one or `hosts` is given), or when their Origin is another one than the server's own and is
  // not listed here (then CORS headers are sent).
  std::vector<std::string> hosts;
  std::vector<std::string> origins;

  // Evaluations and streams need the applications' token or the admin's, from this machine as well.
  bool reads_need_token = false;

  // On the loop's thread after each answer.
  std::function<void(const Request&, int status, std::chrono::microseconds)> on_response;
};

class HttpServer {
 public:
  // `loop`, `router`, `auth` and `clock` outlive the server. Binds and listens, but accepts nothing
  // before start(). kUser: the address does not parse or is taken; Router::problem() is passed on.
  static Result<std::unique_ptr<HttpServer>> bind(EventLoop& loop, const Router& router, AdminAuth& auth,
                                                  const Clock& clock, HttpOptions options);
  ~HttpServer();  // stop(0)

  void start();
  // Accepts no more, ends streams, lets answers in progress finish for at most `grace`, closes. Not
  // from the loop's thread. The loop must still run.
  void stop(Millis grace);

  std::string address() const;  // as bound: "127.0.0.1"
  std::uint16_t port() const;   // as bound
  std::string url() const;      // "http://127.0.0.1:8080"
  std::size_t connections() const;
  std::uint64_t requests() const;

 private:
  class Impl;
  explicit HttpServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace poundlock::server
