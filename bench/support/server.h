// A poundlockd of its own for a benchmark: the program that was built beside it, in a folder that goes away
// with the object, on a free loopback port. Ends with us, even when we are killed. One thread.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

namespace poundlock::bench {

class Server {
 public:
  // `databases` is YAML under the environment's `databases:` key, "{app: {...}}". Ends the program where
  // the server does not start within 20 s.
  explicit Server(const std::string& databases);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  const std::string& url() const { return url_; }
  const std::string& token() const { return token_; }
  pid_t pid() const { return pid_; }
  double resident_mib() const;  // VmRSS

 private:
  void spawn();
  void await();

  std::string directory_, url_, token_;
  pid_t pid_ = -1;
};

// One kept connection to a server, on libcurl. One thread.
class Connection {
 public:
  explicit Connection(const Server& server);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Answers the body; ends the program on any status but 2xx.
  std::string call(const std::string& method, const std::string& path, const std::string& json = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace poundlock::bench
