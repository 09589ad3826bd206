#include "server/http/connection.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <span>
#include <utility>

#include "server/http/render.h"

namespace poundlock::server {
namespace {

constexpr std::size_t kLingerBytesMax = 1 << 20;
constexpr Steady::duration kLinger = std::chrono::seconds(2);
constexpr std::size_t kFramesInOneWrite = 16;
constexpr std::size_t kSpareMax = 64;  // exchanges kept for the next requests
constexpr std::size_t kSpareBodyMax = 64 << 10;
constexpr std::size_t kKeptCapacity = 8 << 10;  // buffers above this are given back when empty

void give_back(std::string& buffer) {
  buffer.clear();
  if (buffer.capacity() > kKeptCapacity) std::string().swap(buffer);
}

bool would_block(const boost::system::error_code& error) {
  return error == net::error::would_block || error == net::error::try_again ||
         error == net::error::interrupted;
}

}  // namespace

std::string_view Core::date() {
  const std::int64_t second = clock.now().ms / 1'000;
  if (second != date_second) {
    date_second = second;
    date_text = http_date(second);
  }
  return date_text;
}

std::unique_ptr<Exchange> Core::borrow() {
  if (spare.empty()) return std::make_unique<Exchange>();
  auto exchange = std::move(spare.back());
  spare.pop_back();
  return exchange;
}

void Core::give_back(std::unique_ptr<Exchange> exchange) {
  if (spare.size() >= kSpareMax || exchange->request.body.capacity() > kSpareBodyMax) return;
  exchange->parser.reset();
  exchange->request.clear();
  exchange->route = nullptr;
  exchange->refusal.reset();
  spare.push_back(std::move(exchange));
}

Connection::Connection(std::shared_ptr<Core> core, Socket socket, std::string peer, bool local)
    : core_(std::move(core)),
      socket_(std::move(socket)),
      peer_(std::move(peer)),
      address_(peer_.substr(0, peer_.rfind(':'))),
      local_(local) {}

void Connection::start() {
  boost::system::error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(net::ip::tcp::no_delay(true), ignored);
  // Unacknowledged bytes for 20 s: the peer is gone without a word. A stream's heartbeats make sure
  // that there are bytes to acknowledge.
  const int timeout_ms = 20'000;
  (void)setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
  request_began_ = idle_since_ = write_progress_ = Steady::now();
  wait_readable();
}

void Connection::wait_readable() {
  if (reading_ || peer_closed_ || state_ == State::kEnded) return;
  reading_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const boost::system::error_code& error) {
    self->reading_ = false;
    if (self->state_ == State::kEnded) return;
    if (error) return self->end();
    self->on_readable();
  });
}

void Connection::on_readable() {
  if (state_ == State::kStreaming || state_ == State::kLingering) return discard();
  boost::system::error_code error;
  const std::size_t size = socket_.read_some(net::buffer(core_->scratch), error);
  if (would_block(error)) return wait_readable();
  if (error) return error == net::error::eof ? on_peer_closed() : end();
  const std::string_view read(core_->scratch.data(), size);
  if (!in_.empty()) {
    in_.append(read);
    return pump();
  }
  // A request's time runs from its first byte, that of the first request from the connect: else whoever sends
  // blank lines and nothing else would begin anew with each.
  if (!exchange_ && !fresh_) request_began_ = Steady::now();
  pump(read);
}

// A stream's reader has nothing more to say, and neither has a peer that was told goodbye.
void Connection::discard() {
  boost::system::error_code error;
  const std::size_t size = socket_.read_some(net::buffer(core_->scratch), error);
  if (error && !would_block(error)) return end();
  if (!error) discarded_ += size;
  if (discarded_ > kLingerBytesMax) return end();
  wait_readable();
}

// A peer may close its sending side and still wait for answers.
void Connection::on_peer_closed() {
  peer_closed_ = true;
  pump();
}

void Connection::wait_writable() {
  if (writing_ || state_ == State::kEnded) return;
  writing_ = true;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const boost::system::error_code& error) {
    self->writing_ = false;
    if (self->state_ == State::kEnded) return;
    if (error) return self->end();
    self->pump();
  });
}

void Connection::pump() {
  pump(in_);
}

void Connection::keep(std::string_view bytes) {
  if (state_ != State::kOpen && state_ != State::kWaiting) return std::string().swap(in_);
  if (bytes.empty()) return give_back(in_);
  const std::less_equal<> not_after;
  if (!in_.empty() && not_after(in_.data(), bytes.data()) &&
      not_after(bytes.data(), in_.data() + in_.size())) {
    in_.erase(0, in_.size() - bytes.size());
  } else {
    in_.assign(bytes);
  }
}

// Ends: each turn takes bytes that nothing refills here. Answers to pipelined requests leave in one write.
void Connection::pump(std::string_view bytes) {
  const auto self = shared_from_this();
  for (;;) {
    bool progress = false;
    while (can_parse(bytes) && parse_some(bytes)) progress = true;
    if (state_ == State::kEnded) return;
    if (!flush()) return keep(bytes);
    if (last_answer_ && state_ == State::kOpen) return linger();
    if (!progress || !can_parse(bytes)) break;
  }
  keep(bytes);
  if (peer_closed_ && state_ == State::kOpen) return end();
  if (state_ != State::kWaiting) wait_readable();
}

bool Connection::flush() {
  while (out_.size() > out_sent_ || !frames_.empty()) {
    if (!write_some()) return false;
  }
  return true;
}

bool Connection::write_some() {
  std::array<net::const_buffer, kFramesInOneWrite + 1> parts;
  std::size_t count = 0;
  if (out_.size() > out_sent_) parts[count++] = net::buffer(out_.data() + out_sent_, out_.size() - out_sent_);
  for (std::size_t i = 0; i < std::min(frames_.size(), kFramesInOneWrite); ++i) {
    const std::size_t skip = i == 0 ? frame_sent_ : 0;
    parts[count++] = net::buffer(frames_[i]->data() + skip, frames_[i]->size() - skip);
  }
  boost::system::error_code error;
  const std::size_t sent = socket_.write_some(std::span(parts.data(), count), error);
  if (error) {
    if (would_block(error)) {
      wait_writable();
    } else {
      // Not now: a hub that is going through its readers may be the caller.
      net::post(socket_.get_executor(), [self = shared_from_this()] { self->end(); });
    }
    return false;
  }
  write_progress_ = Steady::now();
  drop_sent(sent);
  return true;
}

void Connection::drop_sent(std::size_t sent) {
  const std::size_t head = std::min(sent, out_.size() - out_sent_);
  out_sent_ += head;
  sent -= head;
  while (sent > 0) {
    const std::size_t left = frames_.front()->size() - frame_sent_;
    if (sent < left) {
      frame_sent_ += sent;
      break;
    }
    sent -= left;
    frames_bytes_ -= frames_.front()->size();
    frames_.erase(frames_.begin());
    frame_sent_ = 0;
  }
  if (out_sent_ == out_.size()) {
    if (state_ == State::kStreaming) {
      std::string().swap(out_);
    } else {
      give_back(out_);
    }
    out_sent_ = 0;
  }
}

void Connection::linger() {
  if (peer_closed_) return end();
  state_ = State::kLingering;
  std::string().swap(in_);
  linger_until_ = Steady::now() + kLinger;
  boost::system::error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  wait_readable();
}

std::optional<Steady::time_point> Connection::deadline() const {
  const HttpOptions& options = core_->options;
  switch (state_) {
    case State::kLingering: return linger_until_;
    case State::kWaiting:
    case State::kStreaming:  // its hub looks after it
    case State::kEnded: return std::nullopt;
    case State::kOpen: break;
  }
  if (out_.size() > out_sent_) return write_progress_ + options.write_timeout;
  if (exchange_ && exchange_->parser.has_head()) return request_began_ + options.request_timeout;
  if (exchange_ || !in_.empty() || fresh_) return request_began_ + options.header_timeout;
  return idle_since_ + options.idle_timeout;
}

std::optional<Steady::time_point> Connection::idle_since() const {
  const bool idle = state_ == State::kOpen && !fresh_ && !exchange_ && in_.empty() && out_.empty();
  return idle ? std::optional(idle_since_) : std::nullopt;
}

std::optional<Steady::time_point> Connection::half_open_since() const {
  if (state_ == State::kLingering) return linger_until_ - kLinger;
  if (state_ != State::kOpen || idle_since()) return std::nullopt;
  return out_.empty() ? request_began_ : write_progress_;
}

void Connection::sweep(Steady::time_point now) {
  const auto limit = deadline();
  if (!limit || now < *limit) return;
  const bool in_request = state_ == State::kOpen && (exchange_ || !in_.empty()) && out_.size() == out_sent_;
  if (!in_request || last_answer_) return end();
  answer_and_close(error_response(408, "http.timeout", "the request did not arrive in time"));
  pump();
}

void Connection::begin_stop() {
  if (state_ == State::kStreaming) {
    if (hub_) std::exchange(hub_, nullptr)->unsubscribe(subscriber_, Departure::kShutdown);
    return end();
  }
  const bool in_request = exchange_ && exchange_->parser.has_head();
  const bool busy = state_ == State::kWaiting || in_request || out_.size() > out_sent_;
  if (!busy) return end();
  if (state_ == State::kOpen && !in_request) last_answer_ = true;  // only its output is left
}

void Connection::end() {
  if (state_ == State::kEnded) return;
  const auto self = shared_from_this();
  state_ = State::kEnded;
  core_->bodies_bytes -= std::exchange(charged_, 0);
  boost::system::error_code ignored;
  socket_.close(ignored);
  if (hub_) std::exchange(hub_, nullptr)->unsubscribe(subscriber_, Departure::kClosed);
  core_->connections.erase(self);
  core_->connection_count = core_->connections.size();
}

bool Connection::offer(const Frame& frame) {
  const SseOptions& limits = hub_->options();
  const bool was_empty = frames_.empty() && out_.size() == out_sent_;
  if (!frames_.empty() &&
      (frames_.size() >= limits.queue_max || frames_bytes_ + frame->size() > limits.queue_bytes_max)) {
    return false;
  }
  if (was_empty) write_progress_ = Steady::now();  // from now on something waits
  frames_.push_back(frame);
  frames_bytes_ += frame->size();
  if (!writing_) flush();
  return true;
}

std::optional<Millis> Connection::waiting() const {
  if (frames_.empty() && out_.size() == out_sent_) return std::nullopt;
  return std::chrono::duration_cast<Millis>(Steady::now() - write_progress_);
}

void Connection::close() {
  hub_.reset();
  end();
}

}  // namespace poundlock::server
