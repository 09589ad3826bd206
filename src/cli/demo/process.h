// A child process of the demo: its output in a log file, ended with us. One thread.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace poundlock::cli {

struct ProcessOptions {
  std::vector<std::string> command;              // the program's path first
  std::map<std::string, std::string> variables;  // added to our environment
  std::string log;
  bool keep = false;  // outlives us
};

class Process {
 public:
  Process() = default;
  static Result<Process> spawn(const ProcessOptions& options);
  ~Process();  // stops it, unless it is kept
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;

  bool running();
  // SIGTERM, and SIGKILL where it is still there after `limit`.
  void stop(Clock& clock, Millis limit);
  void kill_now();  // SIGKILL
  // Of a program that has ended: its exit code, 128 and the signal where one ended it. Nothing before.
  std::optional<int> exit_code() const { return exit_code_; }
  pid_t pid() const { return pid_; }

 private:
  void ended(int status);

  pid_t pid_ = -1;
  std::optional<int> exit_code_;
  bool keep_ = false;
};

std::string tail_of_file(const std::string& path, std::size_t bytes = 2'000);

}  // namespace poundlock::cli
