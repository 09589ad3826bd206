// The half of Connection that knows requests: parsing, checks, routing and answers.
#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <exception>
#include <utility>

#include "server/http/connection.h"
#include "server/http/render.h"

namespace poundlock::server {
namespace {

namespace http = boost::beast::http;

constexpr char kAdminHint[] =
    "send the admin token that poundlockd made at its first start: Authorization: Bearer TOKEN";
constexpr char kReportHint[] =
    "give the client the token that poundlockd keeps in the file app-token of its state folder";

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

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
  Response response = error_response(503, "http.busy", "the server is busy", "try again in a second");
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace

bool Connection::can_parse() const {
  return state_ == State::kOpen && !last_answer_ && in_.size() > in_at_ &&
         out_.size() - out_sent_ < core_->options.output_bytes_max;
}

bool Connection::parse_some() {
  if (!parser_) {
    // An empty line before a request is to be ignored (RFC 9112, section 2.2).
    while (in_.compare(in_at_, 2, "\r\n") == 0) in_at_ += 2;
    if (in_at_ == in_.size()) return true;
    if (in_at_ + 1 == in_.size() && in_[in_at_] == '\r') return false;
    parser_.emplace();
    parser_->eager(true);
    parser_->header_limit(static_cast<std::uint32_t>(core_->options.header_bytes_max));
    parser_->body_limit(core_->options.body_bytes_max);
  }
  boost::system::error_code error;
  const std::size_t taken = parser_->put(net::buffer(in_.data() + in_at_, in_.size() - in_at_), error);
  in_at_ += taken;
  if (in_at_ == in_.size()) {
    in_.clear();
    in_at_ = 0;
  }
  if (error && error != http::error::need_more) {
    on_parse_error(error);
    return true;
  }
  if (!header_seen_ && parser_->is_header_done()) {
    header_seen_ = true;
    on_header();
    if (last_answer_) return true;
  }
  if (header_seen_ && !charge_body(parser_->get().body().size())) return true;
  if (parser_->is_done()) {
    on_request();
    return true;
  }
  return taken > 0;
}

void Connection::on_parse_error(const boost::system::error_code& error) {
  if (error == http::error::header_limit) {
    return answer_and_close(error_response(431, "http.header_limit", "the request's header is too large"));
  }
  if (error == http::error::body_limit) {
    return answer_and_close(error_response(413, "http.body_limit", "the request's body is too large"));
  }
  if (error == http::error::bad_version) {
    return answer_and_close(error_response(505, "http.version", "this server speaks HTTP/1.1 and HTTP/1.0"));
  }
  answer_and_close(error_response(400, "http.malformed", "malformed request: " + error.message()));
}

void Connection::take_header() {
  const auto& message = parser_->get();
  request_ = Request{};
  request_.method = std::string(message.method_string());
  request_.target = std::string(message.target());
  request_.peer = peer_;
  for (const auto& field : message) {
    request_.headers.emplace_back(lower(std::string_view(field.name_string())), std::string(field.value()));
  }
}

void Connection::on_header() {
  take_header();
  if (!framing_is_clear()) return;
  const auto length = parser_->content_length();
  if (length && !charge_body(static_cast<std::size_t>(*length))) return;
  refusal_ = refuse();
  if (parser_->is_done()) return;
  if (refusal_) return answer_and_close(std::move(*std::exchange(refusal_, std::nullopt)));
  if (lower(request_.header("expect")) == "100-continue") out_ += "HTTP/1.1 100 Continue\r\n\r\n";
}

// What another reader of the same bytes (a proxy before us) could take for another request.
bool Connection::framing_is_clear() {
  const auto& message = parser_->get();
  if (message.count(http::field::transfer_encoding) > 0 && (!parser_->chunked() || message.version() < 11)) {
    answer_and_close(
        error_response(501, "http.transfer_encoding", "the only transfer encoding here is chunked"));
    return false;
  }
  const auto hosts = message.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && message.version() >= 11)) {
    answer_and_close(error_response(400, "http.host_missing", "a request has exactly one Host header"));
    return false;
  }
  return true;
}

std::optional<Response> Connection::refuse() {
  auto target = parse_target(request_.target);
  if (!target) return error_response(400, "http.target", "malformed request target");
  request_.query = std::move(target->query);
  if (auto foreign = check_browser(core_->policy, request_)) return foreign;
  auto match = core_->router.match(request_.method, target->segments, request_);
  if (match.route == nullptr && match.allowed.empty()) {
    return error_response(404, "http.not_found", "there is nothing at this address",
                          "the addresses are listed in the reference of the HTTP API");
  }
  if (match.route == nullptr) {
    Response wrong = error_response(405, "http.method", "this address does not take " + request_.method);
    std::string allowed;
    for (const std::string& method : match.allowed) allowed += (allowed.empty() ? "" : ", ") + method;
    wrong.headers.emplace_back("Allow", allowed);
    return wrong;
  }
  route_ = match.route;
  const bool open = route_->access == Access::kRead || (route_->access == Access::kReport && local_);
  return open ? std::nullopt : authorize(route_->access);
}

std::optional<Response> Connection::authorize(Access access) {
  const TimePoint now = core_->clock.steady();
  const bool report = access == Access::kReport;
  switch (core_->auth.check(request_.header("authorization"), address_, now)) {
    case AuthVerdict::kAdmin: request_.admin = true; return std::nullopt;
    case AuthVerdict::kApplication:
      if (report) return std::nullopt;
      return error_response(403, "auth.application", "the applications' token does not give this right",
                            kAdminHint);
    case AuthVerdict::kLimited: {
      Response limited =
          error_response(429, "auth.limited", "too many wrong tokens from this address", "wait a minute");
      limited.headers.emplace_back("Retry-After",
                                   std::to_string(core_->auth.retry_after_seconds(address_, now)));
      return limited;
    }
    case AuthVerdict::kMissing:
    case AuthVerdict::kWrong: break;
  }
  const bool missing = request_.header("authorization").empty();
  const char* needs = report ? "this call, from another machine, needs the applications' token"
                             : "this call changes something and needs the admin token";
  const char* wrong =
      report ? "this is neither the applications' token nor the admin token" : "this is not the admin token";
  Response refused = error_response(401, missing ? "auth.missing" : "auth.wrong", missing ? needs : wrong,
                                    report ? kReportHint : kAdminHint);
  refused.headers.emplace_back("WWW-Authenticate", "Bearer");
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
  handled_from_ = Steady::now();
  if (refusal_) return answer(std::move(*std::exchange(refusal_, std::nullopt)));
  request_.body = std::move(parser_->get().body());
  if (route_->run == Run::kBlocking) return run_on(core_->workers);
  if (route_->run == Run::kPrompt) return run_on(core_->prompt_workers);
  answer(call_handler(route_->handler, request_));
}

void Connection::run_on(WorkerPool& workers) {
  // Shared by the worker and the answer: std::function wants to copy what it holds.
  const auto request = std::make_shared<Request>(std::move(request_));
  state_ = State::kWaiting;
  const bool taken = workers.submit([self = shared_from_this(), request, route = route_] {
    const auto response = std::make_shared<Response>(call_handler(route->handler, *request));
    self->core_->loop.post([self, request, response] {
      if (self->state_ != State::kWaiting) return;
      self->state_ = State::kOpen;
      self->request_ = std::move(*request);
      self->answer(std::move(*response));
      self->pump();
    });
  });
  if (taken) return;
  state_ = State::kOpen;
  request_ = std::move(*request);
  answer(busy());
}

void Connection::report(int status) {
  fresh_ = false;
  ++core_->request_count;
  if (!core_->options.on_response) return;
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Steady::now() - handled_from_);
  core_->options.on_response(request_, status, took);
}

void Connection::answer(Response response) {
  const bool head = request_.method == "HEAD";
  if (response.stream && !head) return become_stream(std::move(response));
  Framing framing = Framing::kClose;
  if (!response.stream && parser_ && parser_->keep_alive() && !core_->stopping) {
    framing = parser_->get().version() < 11 ? Framing::kKeepAliveOld : Framing::kKeepAlive;
  }
  add_cors(core_->policy, request_, response);
  if (out_.empty()) write_progress_ = Steady::now();
  render_response(out_, response, framing, head, core_->date());
  if (framing == Framing::kClose) last_answer_ = true;
  report(response.status);
  reset_request();
}

void Connection::answer_and_close(Response response) {
  if (!header_seen_) handled_from_ = Steady::now();
  add_cors(core_->policy, request_, response);
  if (out_.empty()) write_progress_ = Steady::now();
  render_response(out_, response, Framing::kClose, request_.method == "HEAD", core_->date());
  last_answer_ = true;
  report(response.status);
  reset_request();
}

void Connection::become_stream(Response response) {
  const std::size_t before = out_.size();
  add_cors(core_->policy, request_, response);
  render_response(out_, response, Framing::kStream, false, core_->date());
  state_ = State::kStreaming;
  hub_ = std::move(response.stream);
  response.subscriber.id = subscriber_ = core_->next_subscriber++;
  if (auto joined = hub_->subscribe(response.subscriber, shared_from_this()); !joined) {
    hub_.reset();
    state_ = State::kOpen;
    out_.resize(before);
    Response full = error_response(joined.error());
    full.headers.emplace_back("Retry-After", "5");
    return answer_and_close(std::move(full));
  }
  report(response.status);
  reset_request();
  std::string().swap(in_);
  in_at_ = 0;
}

void Connection::reset_request() {
  core_->bodies_bytes -= std::exchange(charged_, 0);
  parser_.reset();
  header_seen_ = false;
  route_ = nullptr;
  refusal_.reset();
  request_ = Request{};
  request_began_ = idle_since_ = Steady::now();
}

}  // namespace poundlock::server
