#include "server/http/event_loop.h"

#include <algorithm>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "server/http/native_loop.h"

namespace poundlock::server {
namespace {

using SteadyTimer =
    net::basic_waitable_timer<std::chrono::steady_clock, net::wait_traits<std::chrono::steady_clock>,
                              net::io_context::executor_type>;

struct Periodic : std::enable_shared_from_this<Periodic> {
  Periodic(net::io_context& io, Millis every, std::function<void()> run)
      : timer(io), period(every), callback(std::move(run)) {}

  void arm() {
    timer.expires_after(period);
    // The wait holds no share: the last handle's end is the timer's end.
    timer.async_wait([weak = weak_from_this()](const boost::system::error_code& stopped) {
      const auto self = weak.lock();
      if (stopped || !self) return;
      self->callback();
      self->arm();
    });
  }

  SteadyTimer timer;
  Millis period;
  std::function<void()> callback;
};

}  // namespace

EventLoop::EventLoop() : native_(std::make_unique<Native>()) {}

EventLoop::~EventLoop() {
  stop();
}

void EventLoop::start() {
  if (native_->thread.joinable()) return;
  native_->thread = std::thread([this] {
    native_->thread_id = std::this_thread::get_id();
    native_->io.run();
  });
}

void EventLoop::stop() {
  native_->io.stop();
  if (native_->thread.joinable()) native_->thread.join();
}

void EventLoop::post(std::function<void()> callback) {
  net::post(native_->io, std::move(callback));
}

EventLoop::Timer EventLoop::every(Millis period, std::function<void()> callback) {
  auto timer = std::make_shared<Periodic>(native_->io, std::max(period, Millis{1}), std::move(callback));
  post([weak = std::weak_ptr<Periodic>(timer)] {
    if (const auto self = weak.lock()) self->arm();
  });
  return timer;
}

bool EventLoop::on_thread() const {
  return native_->thread_id.load() == std::this_thread::get_id();
}

}  // namespace poundlock::server
