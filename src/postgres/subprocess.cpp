#include "postgres/subprocess.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

namespace poundlock::postgres {
namespace {

constexpr std::size_t kErrorBytesMax = 16 * 1024;

class Handle {
 public:
  explicit Handle(int fd = -1) : fd_(fd) {}
  ~Handle() { reset(); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  int get() const { return fd_; }
  void reset(int fd = -1) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

struct Child {
  pid_t pid = -1;
  int status = 0;
  ~Child() {  // never leaves a process behind, whatever went wrong
    if (pid <= 0) return;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
  }
  bool done() {
    if (pid > 0 && waitpid(pid, &status, WNOHANG) == pid) pid = 0;
    return pid == 0;
  }
  bool failed() const { return !WIFEXITED(status) || WEXITSTATUS(status) != 0; }
};

std::vector<std::string> merged_environment(const Program& program) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('='));
    bool replaced = false;
    for (const auto& [key, value] : program.environment) replaced = replaced || key == name;
    if (!replaced) merged.push_back(text);
  }
  for (const auto& [key, value] : program.environment) merged.push_back(key + "=" + value);
  return merged;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// Signals as a shell would give them to a program: ours are blocked in every thread but one, and a program
// that inherits that hears of no end.
class Attributes {
 public:
  Attributes() {
    posix_spawnattr_init(&attributes_);
    sigset_t none, usual;
    sigemptyset(&none);
    sigemptyset(&usual);
    for (const int one : {SIGHUP, SIGINT, SIGPIPE, SIGTERM}) sigaddset(&usual, one);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &usual);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~Attributes() { posix_spawnattr_destroy(&attributes_); }
  Attributes(const Attributes&) = delete;
  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

Status start(const Program& program, int in, int out, int err, Child& child) {
  const auto environment = merged_environment(program);
  auto arguments = pointers(program.command);
  auto variables = pointers(environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  // A child that outlives us would keep our listening socket, and the next server could not bind.
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  const Attributes attributes;
  const int failed =
      posix_spawnp(&child.pid, arguments[0], &actions, attributes.get(), arguments.data(), variables.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed == 0) return {};
  child.pid = -1;
  return fail(user_error("pg.program",
                         fmt::format("{} cannot be started: {}", program.command[0], std::strerror(failed)))
                  .with_hint("install PostgreSQL's client programs (postgresql-client)"));
}

std::string read_all(int fd) {
  std::string text(kErrorBytesMax, '\0');
  const ssize_t size = pread(fd, text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

Result<PipeResult> run_pipe(const Program& from, const Program& to, Clock& clock, Millis limit,
                            const std::function<bool()>& stopped) {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0)
    return fail(internal_error(fmt::format("no pipe: {}", std::strerror(errno))));
  Handle read_end(ends[0]), write_end(ends[1]);
  Handle null(open("/dev/null", O_RDWR | O_CLOEXEC));
  std::FILE* file = std::tmpfile();
  if (file == nullptr || null.get() < 0) return fail(internal_error("no temporary file can be made"));
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> errors(file, &std::fclose);
  const int err = fileno(errors.get());
  fcntl(err, F_SETFD, FD_CLOEXEC);
  fcntl(err, F_SETFL, O_APPEND);
  Child source, target;
  PL_CHECK(start(from, null.get(), write_end.get(), err, source));
  PL_CHECK(start(to, read_end.get(), null.get(), err, target));
  write_end.reset();
  read_end.reset();
  const TimePoint begin = clock.steady();
  for (;;) {
    const bool source_done = source.done();
    if (target.done() && source_done) break;
    if (clock.steady() - begin > limit) {
      return fail(
          make_error(Disposition::kRetry, "pg.program_timeout",
                     fmt::format("{} was not done after {}", from.command[0], format_duration(limit))));
    }
    if (stopped && stopped()) {
      return fail(make_error(Disposition::kRetry, "pg.program_stopped",
                             fmt::format("{} was stopped", from.command[0])));
    }
    clock.sleep(Millis{5});
  }
  PipeResult result{read_all(err)};
  if (source.failed() || target.failed()) {
    return fail(user_error(
        "pg.program_failed",
        fmt::format("{} failed: {}", source.failed() ? from.command[0] : to.command[0], result.errors)));
  }
  return result;
}

std::vector<std::pair<std::string, std::string>> libpq_environment(const PgDatabase& database) {
  std::vector<std::pair<std::string, std::string>> variables;
  PQconninfoOption* options = PQconndefaults();
  for (const auto* option = options; option != nullptr && option->keyword != nullptr; ++option) {
    if (option->envvar == nullptr || *option->envvar == '\0') continue;
    const std::string value = database.value(option->keyword);
    if (!value.empty()) variables.emplace_back(option->envvar, value);
  }
  PQconninfoFree(options);
  variables.emplace_back("PGAPPNAME", "poundlock");
  return variables;
}

std::string find_program(const std::string& name) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  std::string newest;
  int version = 0;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    const int here = std::atoi(entry.path().filename().c_str());
    const fs::path program = entry.path() / "bin" / name;
    if (here > version && fs::exists(program, ignored)) {
      newest = program;
      version = here;
    }
  }
  return newest.empty() ? name : newest;
}

}  // namespace poundlock::postgres
