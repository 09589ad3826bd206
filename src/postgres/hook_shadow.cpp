#include "postgres/hook_shadow.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace poundlock::postgres {
namespace {

constexpr std::size_t kOutputMax = 64 * 1024;
constexpr Millis kPoll{10};

// Reads "pid N" and "url U" until we are gone, ends a create that still runs, and runs destroy.
constexpr const char* kGuard =
    "trap '' HUP INT TERM; group=; url=; while IFS= read -r line; do case $line in pid\\ *) group=${line#pid "
    "};; "
    "url\\ *) group=; url=${line#url };; esac; done; [ -z \"$group\" ] || kill -9 -- \"-$group\" "
    "2>/dev/null; "
    "export POUNDLOCK_SHADOW_URL=\"$url\"; exec sh -c \"$1\"";

// In a process group of its own: a Ctrl-C on the terminal is for us, and what is killed is the whole of it.
Result<pid_t> spawn(std::vector<std::string> words, int in, int out, int err) {
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none, usual;
  sigemptyset(&none);
  sigemptyset(&usual);
  for (const int one : {SIGHUP, SIGINT, SIGPIPE, SIGTERM}) sigaddset(&usual, one);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0)
    return fail(internal_error(fmt::format("/bin/sh cannot be started: {}", std::strerror(failed))));
  return pid;
}

struct TemporaryFile {
  std::FILE* file = std::tmpfile();
  TemporaryFile() {
    if (file) fcntl(fileno(file), F_SETFD, FD_CLOEXEC);
  }
  ~TemporaryFile() {
    if (file) std::fclose(file);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  int fd() const { return fileno(file); }
  std::string text() const {
    std::string out(kOutputMax, '\0');
    const ssize_t size = pread(fd(), out.data(), out.size(), 0);
    out.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    while (!out.empty() && (out.back() == '\n' || out.back() == '\r' || out.back() == ' ')) out.pop_back();
    return out;
  }
};

class HookShadow final : public ports::Shadow {
 public:
  HookShadow(Clock& clock, HookOptions options) : clock_(clock), options_(std::move(options)) {}
  ~HookShadow() override { (void)drop(); }

  Result<ports::ShadowInfo> create(const std::vector<schema::QualifiedName>& tables) override {
    PL_CHECK(drop());
    auto info = make(tables);
    if (info) return info;
    const Status gone = drop();
    return fail(ports::and_what_stays(std::move(info).error(), gone));
  }

  Result<std::unique_ptr<ports::Session>> connect() override {
    if (!inner_) return fail(internal_error("the shadow was not created"));
    return inner_->connect();
  }

  Status drop() override {
    Status dropped;
    if (inner_) dropped = inner_->drop();
    inner_.reset();
    PL_CHECK(end_guard());
    return dropped;
  }

  Result<ports::StatisticsCopied> copy_statistics(ports::Session& session) override {
    return inner_ ? inner_->copy_statistics(session) : ports::StatisticsCopied{};
  }

 private:
  Result<ports::ShadowInfo> make(const std::vector<schema::QualifiedName>& tables) {
    PL_CHECK(start_guard());
    PL_TRY(const std::string url, run_create());
    PL_CHECK(tell("url " + url));
    PL_TRY(auto database, PgDatabase::create(url));
    inner_ = options_.on(std::move(database));
    return inner_->create(tables);
  }

  Status start_guard() {
    std::array<int, 2> ends{-1, -1};
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
      return fail(internal_error(fmt::format("no pipe: {}", std::strerror(errno))));
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    auto started = spawn({"sh", "-c", kGuard, "poundlock-guard", options_.destroy}, ends[0], null, null);
    close(ends[0]);
    close(null);
    if (!started) {
      close(ends[1]);
      return fail(std::move(started).error());
    }
    guard_ = *started;
    pipe_ = ends[1];
    return {};
  }

  Status tell(const std::string& line) {
    const std::string text = line + "\n";
    if (::write(pipe_, text.data(), text.size()) == static_cast<ssize_t>(text.size())) return {};
    return fail(internal_error("the guard of the shadow is gone"));
  }

  Result<std::string> run_create() {
    const TemporaryFile out, err;
    if (!out.file || !err.file) return fail(internal_error("no temporary file can be made"));
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    auto started = spawn({"sh", "-c", options_.create}, null, out.fd(), err.fd());
    close(null);
    if (!started) return fail(std::move(started).error());
    const pid_t child = *started;
    PL_CHECK(tell(fmt::format("pid {}", child)));
    int status = 0;
    const TimePoint began = clock_.steady();
    while (waitpid(child, &status, WNOHANG) == 0) {
      const bool late = clock_.steady() - began > options_.limit;
      if (late || (options_.stopped && options_.stopped())) {
        kill(-child, SIGKILL);
        waitpid(child, &status, 0);
        return fail(make_error(Disposition::kRetry, late ? "shadow.create_timeout" : "check.stopped",
                               late ? fmt::format("the command that makes the shadow was not done after {}",
                                                  format_duration(options_.limit))
                                    : "the command that makes the shadow was stopped"));
      }
      clock_.sleep(kPoll);
    }
    std::string url = out.text();
    if (const auto line = url.rfind('\n'); line != std::string::npos) url.erase(0, line + 1);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !url.empty()) return url;
    return fail(
        user_error("shadow.create", fmt::format("the command that makes the shadow {}: {}",
                                                url.empty() ? "printed no URL" : "failed", err.text()))
            .with_hint("its last line on standard output is the URL of a database that bears the mark"));
  }

  // It runs destroy now; one that hangs is left to end by itself.
  Status end_guard() {
    if (guard_ < 0) return {};
    close(pipe_);
    pipe_ = -1;
    const pid_t guard = std::exchange(guard_, -1);
    int status = 0;
    const TimePoint began = clock_.steady();
    while (waitpid(guard, &status, WNOHANG) == 0) {
      if (clock_.steady() - began > options_.limit)
        return fail(make_error(Disposition::kRetry, "shadow.destroy_timeout",
                               "the command that takes the shadow away has not ended"));
      clock_.sleep(kPoll);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return fail(user_error("shadow.destroy", "the command that takes the shadow away failed"));
  }

  Clock& clock_;
  HookOptions options_;
  std::unique_ptr<ports::Shadow> inner_;
  pid_t guard_ = -1;
  int pipe_ = -1;
};

}  // namespace

std::unique_ptr<ports::Shadow> make_hook_shadow(Clock& clock, HookOptions options) {
  return std::make_unique<HookShadow>(clock, std::move(options));
}

}  // namespace poundlock::postgres
