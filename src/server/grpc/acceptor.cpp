#include "server/grpc/acceptor.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>

#include "rollout/config.h"

namespace poundlock::server {
namespace {

constexpr int kBacklog = 4'096;
constexpr std::size_t kAddressesMax = 8;  // of one name
constexpr int kAcceptedAtOnce = 64;
constexpr int kPauseMs = 100;  // after the last descriptor, and between two looks at who left

std::int64_t steady_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::optional<ino_t> inode_of(int descriptor) {
  struct stat about {};
  if (::fstat(descriptor, &about) != 0 || !S_ISSOCK(about.st_mode)) return std::nullopt;
  return about.st_ino;
}

std::uint16_t port_of(const sockaddr_storage& name) {
  return ntohs(name.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(name).sin6_port
                                          : reinterpret_cast<const sockaddr_in&>(name).sin_port);
}

void set_port(sockaddr_storage& name, std::uint16_t port) {
  (name.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(name).sin6_port
                              : reinterpret_cast<sockaddr_in&>(name).sin_port) = htons(port);
}

// Listening and not waiting; -1 and errno. Without SO_REUSEPORT: two servers on one port would each get some
// of the connections, and answer from different flags.
int listen_at(sockaddr_storage& name, socklen_t size) {
  const int out = ::socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (out < 0) return -1;
  const int on = 1;
  (void)::setsockopt(out, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  auto* at = reinterpret_cast<sockaddr*>(&name);
  if (::bind(out, at, size) == 0 && ::listen(out, kBacklog) == 0 && ::getsockname(out, at, &size) == 0)
    return out;
  const int why = errno;
  ::close(out);
  errno = why;
  return -1;
}

}  // namespace

Result<std::uint16_t> Acceptor::listen(const std::string& address, Take take) {
  const auto refused = [&](const char* why) {
    return fail(user_error("grpc.listen", fmt::format("cannot serve gRPC on {}: {}", address, why)));
  };
  PL_TRY(const auto wanted, rollout::parse_listen(address, "gRPC's address"));
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* first = nullptr;
  if (const int error = ::getaddrinfo(wanted.host.c_str(), nullptr, &hints, &first); error != 0)
    return refused(::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(first, &::freeaddrinfo);
  std::vector<Socket> made;
  std::uint16_t port = wanted.port;
  for (const addrinfo* one = first; one != nullptr && made.size() < kAddressesMax; one = one->ai_next) {
    if (one->ai_family != AF_INET && one->ai_family != AF_INET6) continue;
    sockaddr_storage name{};
    std::memcpy(&name, one->ai_addr, one->ai_addrlen);
    set_port(name, port);
    const int socket = listen_at(name, one->ai_addrlen);
    // A name may have an address of a family that this machine has switched off.
    if (socket < 0 && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT) && first->ai_next) continue;
    if (socket < 0) {
      const int why = errno;
      for (const Socket& before : made) ::close(before.descriptor);
      return refused(std::strerror(why));
    }
    port = port_of(name);
    made.push_back({socket, take});
  }
  if (made.empty()) return refused("none of its addresses is this machine's");
  sockets_.insert(sockets_.end(), made.begin(), made.end());
  return port;
}

Status Acceptor::start() {
  wake_ = ::eventfd(0, EFD_CLOEXEC);
  if (wake_ < 0) return fail(make_error(Disposition::kInternal, "grpc.accept", std::strerror(errno)));
  thread_ = std::thread([this] { run(); });
  return {};
}

void Acceptor::stop() {
  if (thread_.joinable()) {
    (void)::eventfd_write(wake_, 1);
    thread_.join();
  }
  for (const Socket& one : sockets_) ::close(one.descriptor);
  sockets_.clear();
  if (wake_ >= 0) ::close(wake_);
  wake_ = -1;
}

void Acceptor::run() {
  std::vector<pollfd> waiting{{wake_, POLLIN, 0}};
  for (const Socket& one : sockets_) waiting.push_back({one.descriptor, POLLIN, 0});
  bool paused = false;  // out of descriptors: to wait for the next connection would spin
  for (;;) {
    const int ready = ::poll(waiting.data(), paused ? 1 : waiting.size(), paused ? kPauseMs : -1);
    if (ready < 0 && errno != EINTR) return;
    if (ready > 0 && waiting[0].revents != 0) return;
    const bool all = std::exchange(paused, false);
    for (std::size_t i = 0; i < sockets_.size(); ++i)
      if (all || (ready > 0 && waiting[i + 1].revents != 0)) paused = !accept_some(sockets_[i]) || paused;
  }
}

bool Acceptor::accept_some(const Socket& from) {
  for (int i = 0; i < kAcceptedAtOnce; ++i) {
    const int connection = ::accept4(from.descriptor, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
    }
    const auto inode = inode_of(connection);
    if (!inode || !has_room()) {
      ::close(connection);  // its client waits, as for a server that is away, and tries again
      continue;
    }
    {
      std::lock_guard lock(mutex_);
      known_.push_back({connection, *inode});
    }
    const int on = 1;
    (void)::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    from.take(connection);
  }
  return true;
}

// Looking costs a call for each connection, so that a stranger who knocks all the time does not make us look
// all the time.
bool Acceptor::has_room() {
  std::lock_guard lock(mutex_);
  if (known_.size() < connections_max_) return true;
  if (steady_ms() - swept_ms_ < kPauseMs) return false;
  forget_closed();
  swept_ms_ = steady_ms();
  return known_.size() < connections_max_;
}

void Acceptor::forget_closed() {
  std::erase_if(known_, [](const Known& one) { return inode_of(one.descriptor) != one.inode; });
}

std::size_t Acceptor::connections() {
  std::lock_guard lock(mutex_);
  forget_closed();
  return known_.size();
}

}  // namespace poundlock::server
