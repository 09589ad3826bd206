// The Asio side of EventLoop. Only http/'s own .cpp files include it: Asio takes seconds to compile.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>

#include "server/http/event_loop.h"

namespace poundlock::server {

namespace net = boost::asio;

struct EventLoop::Native {
  net::io_context io{1};  // one thread runs it: Asio may leave out its inner locks
  net::executor_work_guard<net::io_context::executor_type> work{io.get_executor()};
  std::thread thread;
  std::atomic<std::thread::id> thread_id{};
};

}  // namespace poundlock::server
