// Listens in gRPC's place and hands it each connection: gRPC takes whatever comes, until no file can be
// opened any more and every other port of the process is dead with it. This one counts, and closes what is
// too much.
//
// gRPC does not tell when it closes a connection. A connection is known by its descriptor and the inode of
// its socket, which no other has while it lives: where they differ, or nothing is open, it is gone.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/result.h"

namespace poundlock::server {

class Acceptor {
 public:
  using Take = std::function<void(int connection)>;  // owns the descriptor from then on; on one thread

  explicit Acceptor(std::size_t connections_max) : connections_max_(connections_max) {}
  ~Acceptor() { stop(); }
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // Before start(). HOST:PORT; a name is bound at each of its addresses. Answers the port, which is any free
  // one for port 0. Error (kUser): grpc.listen.
  Result<std::uint16_t> listen(const std::string& address, Take take);
  Status start();  // kInternal: no thread's wake-up could be made
  void stop();     // takes no more; what was handed over stays

  std::size_t connections();  // open now; any thread

 private:
  struct Socket {
    int descriptor = -1;
    Take take;
  };
  struct Known {
    int descriptor = -1;
    ino_t inode = 0;
  };
  void run();
  bool accept_some(const Socket& from);  // false: out of descriptors
  bool has_room();
  void forget_closed();

  const std::size_t connections_max_;
  std::vector<Socket> sockets_;
  int wake_ = -1;
  std::thread thread_;
  std::mutex mutex_;
  std::vector<Known> known_;
  std::int64_t swept_ms_ = 0;  // steady
};

}  // namespace poundlock::server
