// Runs programs for `poundlock paths test`: a server of one flag state, and the team's own command. Each is a
// process group of its own, which is killed as a whole at its end. One thread.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace poundlock::cli {

struct GroupOptions {
  std::vector<std::string> command;              // searched for in PATH
  std::map<std::string, std::string> variables;  // on top of our environment
  std::filesystem::path folder;                  // where it runs
  std::string log;                               // what it prints
};

// Killed with everything that it started by the destructor, and its first process when we are killed.
class ProcessGroup {
 public:
  static Result<std::unique_ptr<ProcessGroup>> spawn(const GroupOptions& options);
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  // Of its first process: the exit code, 128 and the signal; nullopt while it runs.
  std::optional<int> exit_code();
  void kill();

 private:
  explicit ProcessGroup(pid_t pid) : pid_(pid) {}
  pid_t pid_;
  std::optional<int> code_;
};

// poundlockd with these flags alone, on free ports of this machine.
class StateServer {
 public:
  // `folder`: an empty one of its own. kReconnect "paths.server" where it does not come up within 15 s.
  static Result<std::unique_ptr<StateServer>> start(const std::filesystem::path& program,
                                                    const std::filesystem::path& folder,
                                                    const std::string& flags, Clock& clock);
  // POUNDLOCK_OFREP_URL, OFREP_ENDPOINT, FLAGD_HOST and so on.
  const std::map<std::string, std::string>& variables() const { return variables_; }

 private:
  StateServer() = default;
  std::unique_ptr<ProcessGroup> process_;
  std::map<std::string, std::string> variables_;
};

struct SuiteRun {
  int exit_code = 0;
  bool timed_out = false;
  bool stopped = false;
  double seconds = 0;
  std::string tail;  // the last lines of its output
  bool passed() const { return exit_code == 0 && !timed_out && !stopped; }
};
Result<SuiteRun> run_suite(const GroupOptions& options, Millis limit, Clock& clock,
                           const std::function<bool()>& stopped);

}  // namespace poundlock::cli
