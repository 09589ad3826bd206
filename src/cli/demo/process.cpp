#include "cli/demo/process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

namespace poundlock::cli {
namespace {

// Between fork and exec: only what is safe there, in a process that had one thread.
[[noreturn]] void become(const ProcessOptions& options, std::vector<char*>& arguments) {
  setsid();  // Ctrl-C is for the demo, which then stops everything in order
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (!options.keep) prctl(PR_SET_PDEATHSIG, SIGTERM);
  const int out = open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  for (const auto& [name, value] : options.variables) setenv(name.c_str(), value.c_str(), 1);
  execv(arguments[0], arguments.data());
  _exit(127);
}

}  // namespace

Result<Process> Process::spawn(const ProcessOptions& options) {
  if (access(options.command.at(0).c_str(), X_OK) != 0) {
    return fail(user_error("demo.program", "there is no program " + options.command[0])
                    .with_hint("`./dev build` builds it; it lies beside poundlock"));
  }
  std::vector<char*> arguments;
  for (const auto& part : options.command) arguments.push_back(const_cast<char*>(part.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) become(options, arguments);
  if (child < 0) return fail(internal_error("cannot start " + options.command[0]));
  Process out;
  out.pid_ = child;
  out.keep_ = options.keep;
  return out;
}

Process::Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)), keep_(other.keep_) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(keep_, other.keep_);
  return *this;
}

Process::~Process() {
  if (pid_ > 0 && !keep_) kill_now();
}

bool Process::running() {
  if (pid_ <= 0) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  ended(status);
  return false;
}

void Process::stop(Clock& clock, Millis limit) {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  const TimePoint until = clock.steady() + limit;
  while (running() && clock.steady() < until) clock.sleep(Millis{20});
  kill_now();
}

void Process::kill_now() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  ended(status);
}

void Process::ended(int status) {
  pid_ = -1;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string tail_of_file(const std::string& path, std::size_t bytes) {
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  return text.size() > bytes ? text.substr(text.size() - bytes) : text;
}

}  // namespace poundlock::cli
