// poundlockd: the server. It prints where it listens, runs until SIGTERM or SIGINT, and reads the flags
// file again when it changes or at SIGHUP.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "server/grpc/wiring.h"
#include "server/launch.h"
#include "server/service.h"
#include "telemetry/system_clock.h"

namespace {

namespace fs = std::filesystem;

struct Options {
  poundlock::server::CommandLine line;
  bool verbose = false;
};

void add_ports(CLI::App& app, poundlock::server::CommandLine& line) {
  app.add_option(
      "--http,--listen", line.http,
      "HOST:PORT of OFREP, stream and admin API; port 0 takes any free one (default: from the file, "
      "else 127.0.0.1:8016)");
  app.add_option("--grpc-eval", line.grpc_eval,
                 "HOST:PORT of flagd's evaluation over gRPC, or off (8013; with poundlock.yaml: off)");
  app.add_option("--management", line.management,
                 "HOST:PORT of health and metrics alone, or off (8014; with poundlock.yaml: off)");
  app.add_option("--grpc-sync", line.grpc_sync,
                 "HOST:PORT of flagd's sync over gRPC, or off (8015; with poundlock.yaml: off)");
  app.add_option("--tls-cert", line.tls_cert, "certificate of the gRPC ports (PEM)");
  app.add_option("--tls-key", line.tls_key, "key of the gRPC ports (PEM)");
  app.add_option("--cors-origin", line.cors_origins,
                 "a site whose pages may read flags; several times, or *");
  app.add_option("--host", line.hosts, "a name that this server is called by; several times, or *");
  app.add_flag("--require-token", line.require_token, "reading flags needs a token, too");
}

int parse(int argc, char** argv, Options& options) {
  CLI::App app{
      "poundlockd drives rollouts and serves their flags. It listens on a loopback address unless told "
      "otherwise. With --flags alone it needs no poundlock.yaml and no database."};
  app.set_version_flag("--version", "poundlockd 0.1.0");
  auto& line = options.line;
  app.add_option("--config", line.config, "poundlock.yaml (default: the one here), or flagd's configuration");
  app.add_option("--environment", line.environment, "which environment of the file this server serves");
  app.add_option("--data,--state", line.data,
                 "folder for the store and the tokens (default: from the file, else ./state)");
  app.add_option(
      "--flags", line.flags,
      "plain flags: a file or folder of JSON or YAML, read again when it changes; several times, a "
      "later one wins");
  app.add_option("--override-file", line.override_file,
                 R"(variants that outrank everything until closing: {"flags": {"KEY": "off"}})");
  app.add_option("--context-value", line.context_values,
                 "NAME=VALUE put into every evaluation's context, as text");
  add_ports(app, line);
  app.add_flag("--verbose", options.verbose, "log more");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? -1 : 2;
  }
  return 0;
}

using Addresses = std::vector<poundlock::server::Bound>;

// Where the command line finds this server.
void write_address(const std::string& state_dir, const std::string& url, const Addresses& addresses) {
  boost::json::object bound;
  for (const auto& one : addresses) bound[one.name] = one.address;
  const std::string path = state_dir + "/server.json";
  std::ofstream(path + ".new") << boost::json::serialize(boost::json::object{
                                      {"url", url}, {"pid", ::getpid()}, {"listens", bound}})
                               << "\n";
  std::error_code ignored;
  fs::rename(path + ".new", path, ignored);
}

// For people and for programs that asked for any free port: NAME HOST:PORT, or NAME off.
void print_addresses(const std::string& url, const Addresses& addresses) {
  fmt::print("poundlockd listens on {}\n", url);
  for (const auto& one : addresses)
    fmt::print("{} {}\n", one.name, one.address.empty() ? "off" : one.address);
  std::fflush(stdout);
}

// Many systems start a process with 1,024 files and let it ask for more; a fleet holds a stream each.
void raise_file_limit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max) return;
  files.rlim_cur = files.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &files);  // refused: it works with what it has
}

int run(const Options& options) {
  auto launch = poundlock::server::launch_options(
      options.line, ".", [](std::string_view name) -> std::optional<std::string> {
        const char* value = std::getenv(std::string(name).c_str());
        return value ? std::optional<std::string>(value) : std::nullopt;
      });
  if (!launch) {
    spdlog::error("{}", launch.error().to_string());
    return poundlock::exit_code(launch.error());
  }
  for (const auto& warning : launch->warnings) spdlog::warn("{}", warning);
  const std::string state_dir = launch->options.state_dir;
  poundlock::telemetry::SystemClock clock;
  auto service = poundlock::server::Service::start(std::move(launch->options), clock);
  if (!service) {
    spdlog::error("{}", service.error().to_string());
    return poundlock::exit_code(service.error());
  }
  auto grpc = poundlock::server::start_grpc(**service, clock);
  if (!grpc) {
    spdlog::error("{}", grpc.error().to_string());
    return poundlock::exit_code(grpc.error());
  }
  for (const auto& warning : grpc->warnings) spdlog::warn("{}", warning);
  Addresses addresses = (*service)->bound();
  addresses.insert(addresses.end(), grpc->bound.begin(), grpc->bound.end());
  write_address(state_dir, (*service)->url(), addresses);
  if ((*service)->token_is_new()) spdlog::info("admin token written to {}", (*service)->token_file());
  print_addresses((*service)->url(), addresses);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int one : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, one);
  for (;;) {
    // A change counts once two looks agree on it: within a fifth of a second.
    const timespec poll{0, 75'000'000};
    const int got = sigtimedwait(&signals, nullptr, &poll);
    if (got == SIGTERM || got == SIGINT) break;
    if (got == SIGHUP)
      (*service)->reload_flags();
    else
      (*service)->poll_flags();
    (*service)->keep_usage();
  }
  spdlog::info("stopping");
  grpc->server.reset();
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
