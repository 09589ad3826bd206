// poundlockd: the server. It prints where it listens, runs until SIGTERM or SIGINT, and reads the flags
// file again when it changes or at SIGHUP.
#include <fmt/format.h>
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "server/connections.h"
#include "server/service.h"
#include "telemetry/system_clock.h"

namespace {

namespace fs = std::filesystem;
using poundlock::fail;
using poundlock::Result;

struct Options {
  std::string config = "poundlock.yaml";
  std::string environment;
  std::string state;
  std::string listen;
  std::string flags;
  bool verbose = false;
};

int parse(int argc, char** argv, Options& options) {
  CLI::App app{
      "poundlockd drives rollouts and serves their flags. It listens on a loopback address unless told "
      "otherwise."};
  app.set_version_flag("--version", "poundlockd 0.1.0");
  app.add_option("--config", options.config, "poundlock.yaml")->capture_default_str();
  app.add_option("--environment", options.environment, "which environment of the file this server serves");
  app.add_option("--state", options.state,
                 "folder for the store and the admin token (default: from the file)");
  app.add_option("--listen", options.listen, "HOST:PORT; port 0 takes any free one (default: from the file)");
  app.add_option("--flags", options.flags, "file of plain flags in flagd's JSON; read again when it changes");
  app.add_flag("--verbose", options.verbose, "log more");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? -1 : 2;
  }
  return 0;
}

Result<std::string> read_config(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return fail(poundlock::user_error("config.file", fmt::format("cannot read {}", path))
                    .with_hint("`poundlock init` writes one; --config names another"));
  }
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

Result<poundlock::server::ServiceOptions> service_options(const Options& options) {
  PL_TRY(const std::string text, read_config(options.config));
  poundlock::server::ServiceOptions out;
  PL_TRY(out.config, poundlock::rollout::parse_config(
                         text, options.config, [](std::string_view name) -> std::optional<std::string> {
                           const char* value = std::getenv(std::string(name).c_str());
                           return value ? std::optional<std::string>(value) : std::nullopt;
                         }));
  PL_TRY([[maybe_unused]] const auto* environment,
         poundlock::rollout::find_environment(out.config, options.environment));
  out.environment = options.environment;
  const fs::path base = fs::absolute(options.config).parent_path();
  poundlock::server::resolve_password_files(out.config, base);
  out.state_dir = options.state.empty() ? (base / out.config.server.state).string() : options.state;
  out.flags_file = options.flags;
  out.host = out.config.server.host;
  out.port = out.config.server.port;
  if (!options.listen.empty()) {
    const auto colon = options.listen.rfind(':');
    char* end = nullptr;
    const long port =
        colon == std::string::npos ? -1 : std::strtol(options.listen.c_str() + colon + 1, &end, 10);
    if (port < 0 || port > 65535 || (end && *end != '\0')) {
      return fail(
          poundlock::user_error("config.listen", fmt::format("--listen {} is no HOST:PORT", options.listen))
              .with_hint("for example 127.0.0.1:8016"));
    }
    out.host = options.listen.substr(0, colon);
    out.port = static_cast<std::uint16_t>(port);
  }
  return out;
}

// Where the command line finds this server.
void write_address(const std::string& state_dir, const std::string& url) {
  const std::string path = state_dir + "/server.json";
  std::ofstream(path + ".new") << boost::json::serialize(
                                      boost::json::object{{"url", url}, {"pid", ::getpid()}})
                               << "\n";
  std::error_code ignored;
  fs::rename(path + ".new", path, ignored);
}

// Many systems start a process with 1,024 files and let it ask for more; a fleet holds a stream each.
void raise_file_limit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max) return;
  files.rlim_cur = files.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &files);  // refused: it works with what it has
}

int run(const Options& options) {
  auto settings = service_options(options);
  if (!settings) {
    spdlog::error("{}", settings.error().to_string());
    return poundlock::exit_code(settings.error());
  }
  const std::string state_dir = settings->state_dir;
  poundlock::telemetry::SystemClock clock;
  auto service = poundlock::server::Service::start(std::move(*settings), clock);
  if (!service) {
    spdlog::error("{}", service.error().to_string());
    return poundlock::exit_code(service.error());
  }
  write_address(state_dir, (*service)->url());
  if ((*service)->token_is_new()) spdlog::info("admin token written to {}", (*service)->token_file());
  fmt::print("poundlockd listens on {}\n", (*service)->url());
  std::fflush(stdout);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int one : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, one);
  for (;;) {
    // Half a second: how soon a changed flags file is read.
    const timespec poll{0, 500'000'000};
    const int got = sigtimedwait(&signals, nullptr, &poll);
    if (got == SIGTERM || got == SIGINT) break;
    (*service)->reload_flags();
  }
  spdlog::info("stopping");
  service->reset();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (const int code = parse(argc, argv, options); code != 0) return code < 0 ? 0 : code;
  // Blocked before any thread starts, so that only the main thread takes them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int one : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, one);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  spdlog::set_default_logger(spdlog::stderr_color_mt("poundlockd"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  raise_file_limit();
  if (options.verbose) spdlog::set_level(spdlog::level::debug);
  return run(options);
}
