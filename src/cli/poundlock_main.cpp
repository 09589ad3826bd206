// poundlock: the command line.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "cli/app.h"
#include "cli/terminal.h"
#include "telemetry/system_clock.h"

namespace {

std::filesystem::path program_path(const char* called) {
  std::error_code error;
  auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::filesystem::path(called) : path;
}

std::optional<std::string> environment_variable(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // a reader that leaves early (| head) ends us by a failed write, not a signal
  poundlock::telemetry::SystemClock clock;
  poundlock::cli::Context context{std::cout, std::cerr, clock, environment_variable, {}, {}};
  std::error_code error;
  context.directory = std::filesystem::current_path(error);
  context.program = program_path(argv[0]);
  poundlock::cli::look_at_terminal(context);
  const int code = poundlock::cli::run(context, std::vector<std::string>(argv + 1, argv + argc));
  // Half a backup must not look like a whole one.
  if (std::cout.flush() || code != 0) return code;
  std::cerr << "error: the output could not be written\n";
  return 3;
}
