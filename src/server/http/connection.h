// One connection. Only http/'s own .cpp files include it. Everything runs on the loop's thread.
//
// Life: reads and answers requests in order (kOpen); waits for a worker's answer (kWaiting) and reads
// nothing meanwhile; becomes a stream (kStreaming); or says its last word, then reads and discards for
// a moment so that the peer gets that word and not a reset (kLingering).
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/time.h"
#include "server/http/auth.h"
#include "server/http/http_server.h"
#include "server/http/native_loop.h"
#include "server/http/policy.h"
#include "server/http/render.h"
#include "server/http/request_parser.h"
#include "server/http/router.h"
#include "server/http/sse.h"
#include "server/http/worker_pool.h"

namespace poundlock::server {

using Steady = std::chrono::steady_clock;
// A concrete executor: any_io_executor would cost an allocation and an indirect call an operation.
using Socket = net::basic_stream_socket<net::ip::tcp, net::io_context::executor_type>;

class Connection;

// A request under way. Connections borrow one from its first byte to its answer, so that neither an idle
// connection nor a stream holds one, and a busy one allocates none.
struct Exchange {
  RequestParser parser;
  Request request;
  const Route* route = nullptr;
  std::optional<Response> refusal;  // decided at the header, sent at the body's end
  Steady::time_point handled_from;
};

// What all connections of a server share.
struct Core {
  Core(EventLoop& event_loop, const Router& routes, AdminAuth& admin, const Clock& time, HttpOptions settings)
      : loop(event_loop),
        router(routes),
        auth(admin),
        clock(time),
        options(std::move(settings)),
        workers(options.workers, options.worker_queue_max),
        prompt_workers(options.workers, options.worker_queue_max),
        scratch(64 << 10) {}

  std::string_view date();  // cached for a second
  std::unique_ptr<Exchange> borrow();
  void give_back(std::unique_ptr<Exchange> exchange);

  EventLoop& loop;
  const Router& router;
  AdminAuth& auth;
  const Clock& clock;
  const HttpOptions options;
  BrowserPolicy policy;
  WorkerPool workers;
  WorkerPool prompt_workers;
  std::vector<char> scratch;  // every connection reads into this: an idle one needs no buffer
  std::vector<std::unique_ptr<Exchange>> spare;
  std::size_t bodies_bytes = 0;
  std::uint64_t next_subscriber = 1;
  bool stopping = false;
  std::unordered_set<std::shared_ptr<Connection>> connections;
  std::atomic<std::size_t> connection_count{0};
  std::atomic<std::uint64_t> request_count{0};
  std::int64_t date_second = -1;
  std::string date_text;
};

class Connection : public std::enable_shared_from_this<Connection>, public SseSink {
 public:
  // `local`: the peer is on this machine.
  Connection(std::shared_ptr<Core> core, Socket socket, std::string peer, bool local);

  void start();
  void sweep(Steady::time_point now);  // ends it where a time-out has passed
  void begin_stop();                   // ends it when its present answer is out
  // Since when nothing is under way; nullopt: something is, or nothing was answered yet.
  std::optional<Steady::time_point> idle_since() const;
  // Since when the peer has owed the rest of a request, or has taken nothing of its answer; nullopt: neither.
  std::optional<Steady::time_point> half_open_since() const;
  void end();  // at once

  bool offer(const Frame& frame) override;
  std::optional<Millis> waiting() const override;
  void close() override;

 private:
  enum class State { kOpen, kWaiting, kStreaming, kLingering, kEnded };

  // connection.cpp: bytes in, bytes out, time-outs
  void wait_readable();
  void on_readable();
  void discard();
  void wait_writable();
  void pump();  // parse, answer and write until one of them has to wait
  void pump(std::string_view bytes);
  void keep(std::string_view bytes);  // what is left of a read, for the next pump()
  bool flush();                       // true: everything is with the kernel
  bool write_some();                  // false: nothing more can be written now
  void drop_sent(std::size_t sent);
  void linger();
  void on_peer_closed();
  std::optional<Steady::time_point> deadline() const;

  // connection_request.cpp: requests and answers
  bool parse_some(std::string_view& bytes);  // true: it took something from their front
  void on_header();
  bool can_parse(std::string_view bytes) const;
  const Request& request() const;  // an empty one where none is under way
  std::optional<Response> refuse();
  bool is_open(Access access) const;  // nobody is asked who they are
  std::optional<Response> authorize(Access access);
  bool charge_body(std::size_t bytes);  // false: answered, and the connection closes
  void on_request();
  void run_on(WorkerPool& workers);
  bool wants_no_body() const { return request().method == "HEAD"; }
  void answer(Response response);
  void answer_and_close(Response response);
  void finish(Response& response, Framing framing);
  void become_stream(Response response);
  void reset_request();
  void report(int status);

  std::shared_ptr<Core> core_;
  Socket socket_;
  const std::string peer_;     // "127.0.0.1:54321"
  const std::string address_;  // without the port
  const bool local_;
  State state_ = State::kOpen;
  bool reading_ = false;      // a wait for bytes is under way
  bool writing_ = false;      // a wait for room is under way
  bool peer_closed_ = false;  // the peer sends no more
  bool last_answer_ = false;  // linger once everything is out

  std::string in_;  // what was read and not yet taken by the parser
  std::unique_ptr<Exchange> exchange_;
  std::size_t charged_ = 0;  // this request's share of core_->bodies_bytes
  Steady::time_point request_began_;
  Steady::time_point idle_since_;
  int blank_lines_ = 0;  // before the next request
  bool fresh_ = true;    // no request has been answered yet

  std::string out_;
  std::size_t out_sent_ = 0;
  std::vector<Frame> frames_;  // few: SseOptions::queue_max
  std::size_t frames_bytes_ = 0;
  std::size_t frame_sent_ = 0;  // bytes of frames_.front()
  Steady::time_point write_progress_;
  std::size_t discarded_ = 0;
  Steady::time_point linger_until_;
  std::shared_ptr<SseHub> hub_;
  std::uint64_t subscriber_ = 0;
};

}  // namespace poundlock::server
