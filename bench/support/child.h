// A program or a function in a process of its own that ends with us, even when we are killed. One thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace poundlock::bench {

class Child {
 public:
  // The first word is the program, looked for in PATH; its output goes to the file `log`.
  Child(const std::vector<std::string>& command, const std::string& log);
  explicit Child(const std::function<void()>& run);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  bool has_ended() const;

 private:
  void fork_and(const std::function<void()>& run);
  pid_t pid_ = -1;
};

double cpu_seconds(pid_t pid);              // user and system time of a process that runs
std::uint16_t free_port();                  // nobody listens there at this moment
bool listens(std::uint16_t port);           // on 127.0.0.1
bool has_program(const std::string& name);  // in PATH

}  // namespace poundlock::bench
