#include "cli/demo/keep.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "cli/text.h"

namespace poundlock::cli {
namespace {

// sh reads a script as it goes: all of it is one function, so that it may remove its own file. A process that
// has ended and that nobody has waited for has no command line either.
constexpr const char* kScript = R"SH(#!/bin/sh
# Ends the demo that was kept, and removes its files.
directory={0}
cluster={1}

# PID TEXT: whether the process still is what the demo started.
is_ours() {{
  [ "${{1:-0}}" -gt 1 ] && tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qF -- "$2"
}}

# NAME PID SIGNAL TEXT
stop() {{
  is_ours "$2" "$4" || return 0
  kill -s "$3" "$2"
  tries=0
  while is_ours "$2" "$4"; do
    tries=$((tries + 1))
    [ "$tries" -eq 150 ] && kill -s KILL "$2"
    if [ "$tries" -ge 200 ]; then
      echo "$1 (process $2) does not end" >&2
      return 1
    fi
    sleep 0.1
  done
  echo "stopped $1"
}}

postmaster() {{
  head -n 1 "$cluster/$1/postmaster.pid" 2>/dev/null
}}

main() {{
  stop orders_app {2} TERM "$directory" &&
    stop poundlockd {3} TERM "$directory" &&
    stop "the replica" "$(postmaster replica)" INT "$cluster/replica" &&
    stop PostgreSQL "$(postmaster data)" INT "$cluster/data" || exit 1
  cd / && rm -rf -- "$directory" "$cluster" && echo "removed $directory and $cluster"
  exit
}}

main
)SH";

Status write_file(const std::string& path, const std::string& text, mode_t mode) {
  ::unlink(path.c_str());
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) return fail(internal_error("cannot write " + path));
  const bool written = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  return ::close(file) == 0 && written ? Status{} : fail(internal_error("cannot write " + path));
}

}  // namespace

std::string stop_script(const Kept& kept) {
  return fmt::format(kScript, shell_quoted(kept.directory), shell_quoted(kept.cluster), kept.application,
                     kept.server);
}

Status write_keep_files(const Kept& kept, const std::map<std::string, std::string>& variables) {
  std::string environment;
  for (const auto& [name, value] : variables)
    environment += fmt::format("export {}={}\n", name, shell_quoted(value));
  PL_CHECK(write_file(kept.directory + "/environment", environment, 0600));
  return write_file(kept.directory + "/stop", stop_script(kept), 0700);
}

}  // namespace poundlock::cli
