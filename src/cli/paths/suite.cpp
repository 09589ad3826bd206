#include "cli/paths/suite.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "cli/demo/process.h"

namespace poundlock::cli {
namespace {

constexpr Millis kServerLimit{15'000};
constexpr Millis kPoll{20};
constexpr std::size_t kTailBytes = 4'000;

std::vector<std::string> environment_with(const std::map<std::string, std::string>& variables) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!variables.contains(text.substr(0, text.find('=')))) out.push_back(text);
  }
  for (const auto& [name, value] : variables) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

std::string host_of(const std::string& address) {
  return address.substr(0, address.rfind(':'));
}
std::string port_of(const std::string& address) {
  return address.substr(address.rfind(':') + 1);
}

// What server.json says: written as a whole once every port is open.
std::optional<std::map<std::string, std::string>> addresses_in(const std::filesystem::path& file) {
  std::ifstream in(file);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto value = json::parse(text, file.string());
  if (!value || !value->is_object()) return std::nullopt;
  const auto url = json::get_string(value->as_object(), "url");
  const auto listens = json::get_object(value->as_object(), "listens");
  if (!url || !listens) return std::nullopt;
  std::map<std::string, std::string> out{{"POUNDLOCK_OFREP_URL", *url},
                                         {"OFREP_ENDPOINT", *url},
                                         {"POUNDLOCK_URL", *url},
                                         {"POUNDLOCK_SERVER", *url}};
  const auto evaluation = json::get_string(**listens, "grpc-eval"),
             sync = json::get_string(**listens, "grpc-sync");
  if (evaluation && !evaluation->empty()) {
    out["FLAGD_HOST"] = host_of(*evaluation);
    out["FLAGD_PORT"] = port_of(*evaluation);
    out["FLAGD_TLS"] = "false";
  }
  if (sync && !sync->empty()) out["FLAGD_SYNC_PORT"] = port_of(*sync);
  return out;
}

}  // namespace

Result<std::unique_ptr<ProcessGroup>> ProcessGroup::spawn(const GroupOptions& options) {
  const auto environment = environment_with(options.variables);
  auto arguments = pointers(options.command), variables = pointers(environment);
  int report[2] = {-1, -1};  // tells why the program could not be started; closed by a start that worked
  if (pipe2(report, O_CLOEXEC) != 0) return fail(internal_error("no pipe can be made"));
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    const int in = open("/dev/null", O_RDONLY);
    const int out = open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    if (getppid() == parent && (options.folder.empty() || chdir(options.folder.c_str()) == 0))
      execvpe(arguments[0], arguments.data(), variables.data());
    const int why = errno;
    (void)!write(report[1], &why, sizeof why);
    _exit(127);
  }
  close(report[1]);
  int why = 0;
  const bool failed = child > 0 && read(report[0], &why, sizeof why) > 0;
  close(report[0]);
  if (child < 0) return fail(internal_error("no process can be started"));
  auto out = std::unique_ptr<ProcessGroup>(new ProcessGroup(child));
  if (!failed) return out;
  return fail(user_error("paths.program",
                         fmt::format("{} cannot be started: {}", options.command[0], std::strerror(why)))
                  .with_hint("what stands behind -- is run as it is, without a shell: sh -c '...' is one"));
}

ProcessGroup::~ProcessGroup() {
  kill();
}

void ProcessGroup::kill() {
  ::kill(-pid_, SIGKILL);
  if (code_) return;
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::optional<int> ProcessGroup::exit_code() {
  int status = 0;
  if (!code_ && waitpid(pid_, &status, WNOHANG) == pid_)
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return code_;
}

Result<std::unique_ptr<StateServer>> StateServer::start(const std::filesystem::path& program,
                                                        const std::filesystem::path& folder,
                                                        const std::string& flags, Clock& clock) {
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  const std::string file = (folder / "flags.json").string(), log = (folder / "server.log").string();
  std::ofstream(file) << flags;
  auto out = std::unique_ptr<StateServer>(new StateServer());
  // In its own folder: it would take up the rollouts of a poundlock.yaml in ours.
  PL_TRY(out->process_,
         ProcessGroup::spawn({{program.string(), "--flags", file, "--data", (folder / "state").string(),
                               "--http", "127.0.0.1:0", "--grpc-eval", "127.0.0.1:0", "--grpc-sync",
                               "127.0.0.1:0", "--management", "off"},
                              {},
                              folder,
                              log}));
  const TimePoint begin = clock.steady();
  while (!out->process_->exit_code() && clock.steady() - begin < kServerLimit) {
    if (auto found = addresses_in(folder / "state" / "server.json")) {
      out->variables_ = std::move(*found);
      return out;
    }
    clock.sleep(kPoll);
  }
  return fail(make_error(Disposition::kReconnect, "paths.server",
                         "the server of the flag state did not come up: " + tail_of_file(log, 500)));
}

Result<SuiteRun> run_suite(const GroupOptions& options, Millis limit, Clock& clock,
                           const std::function<bool()>& stopped) {
  SuiteRun out;
  const TimePoint begin = clock.steady();
  PL_TRY(auto process, ProcessGroup::spawn(options));
  while (!process->exit_code() && !out.timed_out && !out.stopped) {
    clock.sleep(kPoll);
    out.stopped = stopped && stopped();
    out.timed_out = clock.steady() - begin > limit && !process->exit_code();
  }
  process->kill();  // and what it has left behind
  out.exit_code = process->exit_code().value_or(0);
  out.seconds = static_cast<double>((clock.steady() - begin).count()) / 1000.0;
  out.tail = tail_of_file(options.log, kTailBytes);
  return out;
}

}  // namespace poundlock::cli
