// The half of Connection that knows requests: parsing, checks, routing and answers.
#include <exception>
#include <utility>

#include "server/http/connection.h"
#include "server/http/render.h"

namespace poundlock::server {
namespace {

constexpr int kBlankLinesMax = 8;  // before one request
constexpr char kAdminHint[] =
    "send the admin token that poundlockd made at its first start: Authorization: Bearer TOKEN";
constexpr char kReportHint[] =
    "give the client the token that poundlockd keeps in the file app-token of its state folder";

// Handlers return errors as values; what throws all the same (no memory, a library) must not end the
// server, and with it the way to kill a flag.
Response call_handler(const Handler& handler, const Request& request) {
  try {
    return handler(request);
  } catch (const std::exception& thrown) {
    return error_response(internal_error(std::string("the request ended with a fault: ") + thrown.what())
                              .with_hint("report it with the server's log"));
  }
}

Response busy() {
  return error_response(503, "http.busy", "the server is busy", "try again in a second");
}

Response refusal_of(AuthVerdict verdict, Access access) {
  if (verdict == AuthVerdict::kApplication) {
    return error_response(403, "auth.application", "the applications' token does not give this right",
                          kAdminHint);
  }
  if (verdict == AuthVerdict::kLimited)
    return error_response(429, "auth.limited", "too many wrong tokens from this address", "wait a minute");
  const bool write = access == Access::kWrite;
  const char* hint = write ? kAdminHint : kReportHint;
  if (verdict == AuthVerdict::kMissing) {
    return error_response(401, "auth.missing",
                          write ? "this call changes something and needs the admin token"
                                : "this call needs the applications' token",
                          hint);
  }
  return error_response(
      401, "auth.wrong",
      write ? "this is not the admin token" : "this is neither the applications' token nor the admin token",
      hint);
}

}  // namespace

bool Connection::can_parse(std::string_view bytes) const {
  return state_ == State::kOpen && !last_answer_ && !bytes.empty() &&
         out_.size() - out_sent_ < core_->options.output_bytes_max;
}

const Request& Connection::request() const {
  static const Request none;
  return exchange_ ? exchange_->request : none;
}

bool Connection::parse_some(std::string_view& bytes) {
  if (!exchange_) {
    // An empty line before a request is to be ignored (RFC 9112, section 2.2).
    for (; bytes.starts_with("\r\n"); bytes.remove_prefix(2)) {
      if (++blank_lines_ <= kBlankLinesMax) continue;
      answer_and_close(error_response(400, "http.syntax", "blank lines and no request"));
      return true;
    }
    if (bytes.empty()) return true;
    if (bytes == "\r") return false;
    exchange_ = core_->borrow();
    exchange_->request.peer = peer_;
  }
  RequestParser& parser = exchange_->parser;
  const bool had_head = parser.has_head();
  const RequestLimits limits{core_->options.header_bytes_max, core_->options.body_bytes_max};
  const std::size_t taken = parser.put(bytes, limits, exchange_->request);
  bytes.remove_prefix(taken);
  if (const auto& fault = parser.fault()) {
    answer_and_close(error_response(fault->status, fault->code, fault->message));
    return true;
  }
  if (!had_head && parser.has_head()) {
    on_header();
    if (last_answer_) return true;
  }
  if (parser.has_head() && !charge_body(exchange_->request.body.size())) return true;
  if (parser.is_done()) {
    on_request();
    return true;
  }
  return taken > 0;
}

void Connection::on_header() {
  const RequestParser& parser = exchange_->parser;
  exchange_->handled_from = Steady::now();
  if (!charge_body(static_cast<std::size_t>(parser.content_length()))) return;
  exchange_->refusal = refuse();
  if (parser.is_done()) return;
  if (exchange_->refusal) return answer_and_close(std::move(*exchange_->refusal));
  if (parser.awaits_continue()) out_ += "HTTP/1.1 100 Continue\r\n\r\n";
}

std::optional<Response> Connection::refuse() {
  Request& request = exchange_->request;
  auto target = parse_target(request.target);
  if (!target) return error_response(400, "http.target", "malformed request target");
  request.query = std::move(target->query);
  if (auto foreign = check_browser(core_->policy, request)) return foreign;
  auto match = core_->router.match(request.method, target->segments, request);
  if (match.route == nullptr && match.allowed.empty()) {
    return error_response(404, "http.not_found", "there is nothing at this address",
                          "the addresses are listed in the reference of the HTTP API");
  }
  if (match.route == nullptr) {
    Response wrong = error_response(405, "http.method", "this address does not take " + request.method);
    std::string allowed;
    for (const std::string& method : match.allowed) allowed += (allowed.empty() ? "" : ", ") + method;
    wrong.headers.emplace_back("Allow", allowed);
    return wrong;
  }
  exchange_->route = match.route;
  return is_open(match.route->access) ? std::nullopt : authorize(match.route->access);
}

bool Connection::is_open(Access access) const {
  switch (access) {
    case Access::kHealth: return true;
    case Access::kRead:
    case Access::kEvaluate: return !core_->options.reads_need_token;
    case Access::kReport: return local_ && !core_->options.reads_need_token;
    case Access::kWrite: break;
  }
  return false;
}

std::optional<Response> Connection::authorize(Access access) {
  Request& request = exchange_->request;
  const TimePoint now = core_->clock.steady();
  const auto authorization = request.header("authorization"), key = request.header("x-api-key");
  const auto verdict = core_->auth.check(authorization, address_, now, key);
  if (verdict == AuthVerdict::kAdmin) {
    request.admin = true;
    return std::nullopt;
  }
  if (verdict == AuthVerdict::kApplication && access != Access::kWrite) return std::nullopt;
  Response refused = refusal_of(verdict, access);
  if (refused.status == 429) {
    refused.headers.emplace_back("Retry-After",
                                 std::to_string(core_->auth.retry_after_seconds(address_, now)));
  }
  if (refused.status == 401) refused.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (access == Access::kEvaluate) refused.body.clear();  // OFREP: these have none
  return refused;
}

bool Connection::charge_body(std::size_t bytes) {
  if (bytes <= charged_) return true;
  const std::size_t more = bytes - charged_;
  if (core_->bodies_bytes + more > core_->options.bodies_bytes_max) {
    answer_and_close(busy());
    return false;
  }
  core_->bodies_bytes += more;
  charged_ = bytes;
  return true;
}

void Connection::on_request() {
  exchange_->handled_from = Steady::now();
  if (exchange_->refusal) return answer(std::move(*exchange_->refusal));
  const Route& route = *exchange_->route;
  if (route.run == Run::kBlocking) return run_on(core_->workers);
  if (route.run == Run::kPrompt) return run_on(core_->prompt_workers);
  answer(call_handler(route.handler, exchange_->request));
}

void Connection::run_on(WorkerPool& workers) {
  // Shared by the worker and the answer: std::function wants to copy what it holds.
  const auto held = std::make_shared<std::unique_ptr<Exchange>>(std::move(exchange_));
  state_ = State::kWaiting;
  const bool taken = workers.submit([self = shared_from_this(), held] {
    const Exchange& exchange = **held;
    const auto response = std::make_shared<Response>(call_handler(exchange.route->handler, exchange.request));
    self->core_->loop.post([self, held, response] {
      if (self->state_ != State::kWaiting) return;
      self->state_ = State::kOpen;
      self->exchange_ = std::move(*held);
      self->answer(std::move(*response));
      self->pump();
    });
  });
  if (taken) return;
  state_ = State::kOpen;
  exchange_ = std::move(*held);
  answer(busy());
}

void Connection::report(int status) {
  fresh_ = false;
  ++core_->request_count;
  if (!core_->options.on_response) return;
  const auto from = exchange_ && exchange_->parser.has_head() ? exchange_->handled_from : Steady::now();
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Steady::now() - from);
  core_->options.on_response(request(), status, took);
}

void Connection::answer(Response response) {
  if (response.stream && !wants_no_body()) return become_stream(std::move(response));
  Framing framing = Framing::kClose;
  const RequestParser& parser = exchange_->parser;
  if (!response.stream && parser.keeps_alive() && !core_->stopping)
    framing = parser.is_old() ? Framing::kKeepAliveOld : Framing::kKeepAlive;
  finish(response, framing);
}

void Connection::answer_and_close(Response response) {
  finish(response, Framing::kClose);
}

void Connection::finish(Response& response, Framing framing) {
  add_cors(core_->policy, request(), response);
  if (out_.empty()) write_progress_ = Steady::now();
  render_response(out_, response, framing, wants_no_body(), core_->date());
  if (framing == Framing::kClose) last_answer_ = true;
  report(response.status);
  reset_request();
}

void Connection::become_stream(Response response) {
  const std::size_t before = out_.size();
  add_cors(core_->policy, request(), response);
  render_response(out_, response, Framing::kStream, false, core_->date());
  state_ = State::kStreaming;
  hub_ = std::move(response.stream);
  response.subscriber.id = subscriber_ = core_->next_subscriber++;
  if (auto joined = hub_->subscribe(response.subscriber, shared_from_this()); !joined) {
    hub_.reset();
    state_ = State::kOpen;
    out_.resize(before);
    return answer_and_close(error_response(joined.error()));
  }
  report(response.status);
  reset_request();
}

void Connection::reset_request() {
  core_->bodies_bytes -= std::exchange(charged_, 0);
  if (exchange_) core_->give_back(std::move(exchange_));
  blank_lines_ = 0;
  request_began_ = idle_since_ = Steady::now();
}

}  // namespace poundlock::server
