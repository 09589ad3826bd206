#include "server/http/http_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/address.hpp>
#include <condition_variable>
#include <utility>

#include "server/http/connection.h"
#include "server/http/render.h"

namespace poundlock::server {
namespace {

using Acceptor = net::basic_socket_acceptor<net::ip::tcp, net::io_context::executor_type>;
constexpr int kAcceptedAtOnce = 64;

Error bind_error(const HttpOptions& options, const std::string& reason) {
  return user_error("http.bind",
                    fmt::format("cannot listen on {}:{}: {}", options.address, options.port, reason))
      .with_hint("name a free port, or 0 for any free one, and an address of this machine");
}

Millis sweep_period(const HttpOptions& options) {
  const Millis shortest = std::min(
      {options.header_timeout, options.request_timeout, options.idle_timeout, options.write_timeout});
  return std::clamp(shortest / 4, Millis{5}, Millis{250});
}

std::string host_text(const net::ip::address& address) {
  return address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
}

bool is_local(const net::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return net::ip::make_address_v4(net::ip::v4_mapped, address.to_v6()).is_loopback();
  return address.is_loopback();
}

}  // namespace

class HttpServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(EventLoop& loop, const Router& router, AdminAuth& auth, const Clock& clock, HttpOptions options)
      : core_(std::make_shared<Core>(loop, router, auth, clock, std::move(options))),
        acceptor_(loop.native().io) {}

  Status bind() {
    const HttpOptions& options = core_->options;
    boost::system::error_code error;
    const auto address =
        net::ip::make_address(options.address == "localhost" ? "127.0.0.1" : options.address, error);
    if (error) return fail(bind_error(options, "not an IP address"));
    const net::ip::tcp::endpoint wanted(address, options.port);
    acceptor_.open(wanted.protocol(), error);
    if (!error) acceptor_.set_option(net::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(wanted, error);
    if (!error) acceptor_.listen(4'096, error);
    if (!error) acceptor_.non_blocking(true, error);
    if (!error) bound_ = acceptor_.local_endpoint(error);
    if (error) return fail(bind_error(options, error.message()));
    core_->policy = {address.is_loopback() || !options.hosts.empty(), options.hosts, options.origins};
    return {};
  }

  void start() {
    started_ = true;
    timer_ = core_->loop.every(sweep_period(core_->options), [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->sweep();
    });
    core_->loop.post([self = shared_from_this()] { self->wait_accept(); });
  }

  void stop(Millis grace) {
    if (std::exchange(stopped_, true)) return;
    if (!started_) return stop_workers();  // nothing runs that could be waited for
    timer_.reset();
    core_->loop.post([self = shared_from_this()] { self->begin_stop(); });
    wait_for_no_connection(grace);
    core_->loop.post([self = shared_from_this()] {
      for (const auto& connection : self->all()) connection->end();
      self->ended();
    });
    wait_for_no_connection(Millis{1'000});  // a loop that was stopped before us never runs that
    stop_workers();
  }

  const net::ip::tcp::endpoint& bound() const { return bound_; }
  Core& core() { return *core_; }

 private:
  std::vector<std::shared_ptr<Connection>> all() const {
    return {core_->connections.begin(), core_->connections.end()};
  }

  void stop_workers() {
    core_->prompt_workers.stop();
    core_->workers.stop();
  }

  void wait_accept() {
    if (!acceptor_.is_open()) return;
    acceptor_.async_wait(Acceptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           if (!error) self->accept();
                         });
  }

  void accept() {
    for (int i = 0; i < kAcceptedAtOnce; ++i) {
      Socket socket(core_->loop.native().io);
      net::ip::tcp::endpoint peer;
      boost::system::error_code error;
      acceptor_.accept(socket, peer, error);
      if (error == net::error::would_block || error == net::error::try_again) break;
      if (error == net::error::connection_aborted || error == net::error::interrupted) continue;
      if (error) {  // out of descriptors: to wait for the acceptor would spin, so the next sweep retries
        accept_later_ = true;
        return;
      }
      take(std::move(socket), peer);
    }
    wait_accept();
  }

  void take(Socket socket, const net::ip::tcp::endpoint& peer) {
    if (core_->connections.size() >= core_->options.connections_max) make_room();
    if (core_->connections.size() >= core_->options.connections_max) {
      std::string full;
      render_response(full,
                      error_response(503, "http.full", "too many connections", "try again in a few seconds"),
                      Framing::kClose, false, core_->date());
      boost::system::error_code ignored;
      socket.non_blocking(true, ignored);
      socket.write_some(net::buffer(full), ignored);
      return;
    }
    auto connection = std::make_shared<Connection>(
        core_, std::move(socket), fmt::format("{}:{}", host_text(peer.address()), peer.port()),
        is_local(peer.address()));
    core_->connections.insert(connection);
    core_->connection_count = core_->connections.size();
    connection->start();
  }

  // Clients keep connections open that they use now and then, and open them again. Somebody may open them
  // by the thousand and say nothing. An order must get in.
  void make_room() {
    std::shared_ptr<Connection> idle, half_open;
    Steady::time_point idle_since, half_open_since = Steady::now() - core_->options.half_open_grace;
    for (const auto& one : core_->connections) {
      if (const auto since = one->idle_since(); since && (!idle || *since < idle_since)) {
        idle = one;
        idle_since = *since;
      }
      if (const auto since = one->half_open_since(); since && *since < half_open_since) {
        half_open = one;
        half_open_since = *since;
      }
    }
    if (idle || half_open) (idle ? idle : half_open)->end();
  }

  void sweep() {
    const auto now = Steady::now();
    for (const auto& connection : all()) connection->sweep(now);
    if (std::exchange(accept_later_, false)) wait_accept();
  }

  void begin_stop() {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    core_->stopping = true;
    for (const auto& connection : all()) connection->begin_stop();
    ended();
    drain_ = core_->loop.every(Millis{5}, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->ended();
    });
  }

  void ended() {
    const std::lock_guard guard(mutex_);
    if (!core_->connections.empty()) return;
    empty_ = true;
    wake_.notify_all();
  }

  void wait_for_no_connection(Millis limit) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, limit, [this] { return empty_; });
  }

  std::shared_ptr<Core> core_;
  Acceptor acceptor_;
  net::ip::tcp::endpoint bound_;
  EventLoop::Timer timer_;
  EventLoop::Timer drain_;
  bool accept_later_ = false;
  bool started_ = false;
  bool stopped_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool empty_ = false;
};

HttpServer::HttpServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() {
  stop(Millis{0});
}

Result<std::unique_ptr<HttpServer>> HttpServer::bind(EventLoop& loop, const Router& router, AdminAuth& auth,
                                                     const Clock& clock, HttpOptions options) {
  PL_CHECK(router.problem());
  auto impl = std::make_shared<Impl>(loop, router, auth, clock, std::move(options));
  PL_CHECK(impl->bind());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

void HttpServer::start() {
  impl_->start();
}
void HttpServer::stop(Millis grace) {
  impl_->stop(grace);
}
std::string HttpServer::address() const {
  return impl_->bound().address().to_string();
}
std::uint16_t HttpServer::port() const {
  return impl_->bound().port();
}
std::string HttpServer::url() const {
  return fmt::format("http://{}:{}", host_text(impl_->bound().address()), port());
}
std::size_t HttpServer::connections() const {
  return impl_->core().connection_count;
}
std::uint64_t HttpServer::requests() const {
  return impl_->core().request_count;
}

}  // namespace poundlock::server
