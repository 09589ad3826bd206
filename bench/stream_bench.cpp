// One change to ten thousand event streams: how long until each reader has it, and what a reader costs in
// memory. The readers are plain sockets in a process of their own; clocks are this machine's one. There is
// nothing to compare with but the aims.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "support/child.h"
#include "support/report.h"
#include "support/server.h"

namespace poundlock {
namespace {

using bench::Aim;
constexpr const char* kFlag = "bench_switch";
constexpr double kLimitSeconds = 60;

void write_all(int fd, const void* bytes, std::size_t size) {
  for (std::size_t at = 0; at < size;) {
    const ssize_t wrote = ::write(fd, static_cast<const char*>(bytes) + at, size - at);
    if (wrote <= 0) bench::give_up("the other process has ended");
    at += static_cast<std::size_t>(wrote);
  }
}

void read_all(int fd, void* bytes, std::size_t size) {
  for (std::size_t at = 0; at < size;) {
    const ssize_t got = ::read(fd, static_cast<char*>(bytes) + at, size - at);
    if (got <= 0) bench::give_up("the other process has ended");
    at += static_cast<std::size_t>(got);
  }
}

std::string request_line(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n";
}

// The readers' process.
class Readers {
 public:
  Readers(int in, int out, std::uint16_t port, std::size_t count)
      : in_(in), out_(out), port_(port), tails_(count), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

  // Connects to the path that it is told, then tells for each event id when each reader had it.
  [[noreturn]] void run() {
    for (;;) {
      const std::string order = read_line();
      if (order.starts_with("/")) {
        connect_all(order);
      } else {
        await_id("id: " + order + "\n");
      }
      write_all(out_, arrived_.data(), arrived_.size() * sizeof(double));
    }
  }

 private:
  std::string read_line() {
    std::string line;
    for (char c = 0;;) {
      if (::read(in_, &c, 1) != 1) ::_exit(0);
      if (c == '\n') return line;
      line += c;
    }
  }

  void connect_all(const std::string& path) {
    const std::string request = request_line(path);
    for (std::size_t i = 0; i < tails_.size(); ++i) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      to.sin_port = htons(port_);
      if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
        bench::give_up(fmt::format("reader {} cannot connect", i));
      write_all(fd, request.data(), request.size());
      fds_.push_back(fd);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = i;
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    }
    await_id("id: ");
  }

  // Until every reader has read `wanted` since the last call.
  void await_id(const std::string& wanted) {
    arrived_.assign(tails_.size(), 0);
    const double until = bench::seconds_now() + kLimitSeconds;
    std::size_t left = tails_.size();
    std::array<epoll_event, 256> events;
    while (left > 0) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 1'000);
      if (bench::seconds_now() > until) bench::give_up(fmt::format("{} readers never had the change", left));
      for (int i = 0; i < count; ++i) left -= take(events[static_cast<std::size_t>(i)].data.u64, wanted);
    }
  }

  // 1 where the reader has it now and had it not before.
  std::size_t take(std::size_t reader, std::string_view wanted) {
    const ssize_t size = ::recv(fds_[reader], buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (size <= 0) bench::give_up(fmt::format("reader {} was dropped", reader));
    std::string& tail = tails_[reader];
    tail.append(buffer_.data(), static_cast<std::size_t>(size));
    const bool has_it = tail.find(wanted) != std::string::npos;
    if (has_it) {
      tail.clear();
    } else {
      tail.erase(0, tail.size() - std::min<std::size_t>(tail.size(), 64));  // an id may be cut in two
    }
    if (!has_it || arrived_[reader] != 0) return 0;
    arrived_[reader] = bench::seconds_now();
    return 1;
  }

  int in_, out_;
  std::uint16_t port_;
  std::vector<std::string> tails_;
  std::vector<int> fds_;
  std::vector<double> arrived_;
  std::array<char, 65'536> buffer_;
  int epoll_;
};

std::uint64_t number_in(const std::string& body, const std::string& key) {
  const auto at = body.find("\"" + key + "\":");
  return at == std::string::npos ? 0 : std::strtoull(body.c_str() + at + key.size() + 3, nullptr, 10);
}

std::string set_flag(bench::Connection& admin, bool on) {
  return admin.call("PUT", fmt::format("/v1/flags/{}", kFlag),
                    fmt::format(R"({{"definition":{{"state":"ENABLED","variants":{{"on":true,"off":false}},)"
                                R"("defaultVariant":"{}"}},"who":"bench","why":"measuring"}})",
                                on ? "on" : "off"));
}

struct Pipes {
  Pipes() {
    if (::pipe(to.data()) != 0 || ::pipe(from.data()) != 0) bench::give_up("no pipe");
  }
  void order(const std::string& line) const { write_all(to[1], (line + "\n").data(), line.size() + 1); }
  std::vector<double> answer(std::size_t count) const {
    std::vector<double> out(count);
    read_all(from[0], out.data(), count * sizeof(double));
    return out;
  }
  std::array<int, 2> to, from;
};

// With a server and readers of its own, so that no measurement finds memory that another one left.
void measure(bench::Report& report, const std::string& key, const std::string& path, std::size_t count,
             int changes) {
  // Flags need no database: this one is named and never there.
  bench::Server server("{app: {url: \"postgresql://app@127.0.0.1:1/app\"}}");
  const auto port = static_cast<std::uint16_t>(std::stoi(server.url().substr(server.url().rfind(':') + 1)));
  const Pipes pipes;
  const bench::Child readers([&] { Readers(pipes.to[0], pipes.from[1], port, count).run(); });
  bench::Connection admin(server);
  std::string last = set_flag(admin, false);
  ::usleep(500'000);
  const double before = server.resident_mib();
  pipes.order(path);
  pipes.answer(count);
  const double after = server.resident_mib();
  std::vector<double> each_ms, all_ms;
  const double spent_before = bench::cpu_seconds(server.pid());
  for (int i = 0; i < changes; ++i) {
    pipes.order(fmt::format("{}.{}", number_in(last, "epoch"), number_in(last, "revision") + 1));
    ::usleep(100'000);
    const double begin = bench::seconds_now();
    last = set_flag(admin, i % 2 == 0);
    const auto arrived = pipes.answer(count);
    for (const double at : arrived) each_ms.push_back((at - begin) * 1e3);
    all_ms.push_back((*std::max_element(arrived.begin(), arrived.end()) - begin) * 1e3);
  }
  report.add(key + "_p50_ms", path + ", order to one reader, p50", bench::median(each_ms), "ms");
  report.add(key + "_p99_ms", "  p99", bench::percentile(each_ms, 0.99), "ms", Aim::kAtMost, 250);
  report.add(key + "_all_ms", "  to the last reader, median of changes", bench::median(all_ms), "ms");
  report.add(key + "_cpu_us", "  the server's processor time a reader and change",
             (bench::cpu_seconds(server.pid()) - spent_before) * 1e6 / static_cast<double>(each_ms.size()),
             "us");
  report.add(key + "_kib", "  memory a reader", (after - before) * 1024 / static_cast<double>(count), "KiB",
             Aim::kAtMost, 4);
}

}  // namespace

static int run(int argc, char** argv) {
  CLI::App app{"one change to many event streams"};
  bool json = false;
  std::size_t count = 10'000;
  int changes = 10;
  app.add_flag("--json", json);
  app.add_option("--readers", count)->check(CLI::Range(1, 10'000));
  app.add_option("--changes", changes)->check(CLI::Range(1, 1'000));
  CLI11_PARSE(app, argc, argv);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < count + 2'000)
    bench::give_up(fmt::format("a process may have {} files only: ulimit -n", files.rlim_cur));

  bench::Report report("stream",
                       fmt::format("{} changes to {} event streams on this machine", changes, count));
  measure(report, "snapshot", "/v1/flags/stream", count, changes);
  measure(report, "ofrep", "/ofrep/v1/sse", count, changes);
  report.print(json);
}

}  // namespace poundlock

int main(int argc, char** argv) {
  return poundlock::run(argc, argv);
}
