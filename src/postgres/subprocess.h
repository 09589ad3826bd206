// PostgreSQL's own programs (pg_dump, psql) as subprocesses with a deadline: posix_spawn, no shell.
// Passwords travel in the environment, never in arguments, which every user of the machine can read.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "postgres/database.h"

namespace poundlock::postgres {

struct Program {
  std::vector<std::string> command;                              // name first; searched for in PATH
  std::vector<std::pair<std::string, std::string>> environment;  // on top of ours
};

struct PipeResult {
  std::string errors;  // what both wrote to standard error, at most 16 KiB
};

// `from | to`, to their end. kUser "pg.program" when one cannot be started (is it installed?), kRetry
// "pg.program_timeout" when they are not done in time, kRetry "pg.program_stopped" when `stopped` says so
// (both are killed then), kUser "pg.program_failed" with their last words when one ends with an error.
Result<PipeResult> run_pipe(const Program& from, const Program& to, Clock& clock, Millis limit,
                            const std::function<bool()>& stopped = {});

// PGHOST, PGPORT, PGUSER, PGPASSWORD, ... of the database.
std::vector<std::pair<std::string, std::string>> libpq_environment(const PgDatabase& database);

// The program of the newest /usr/lib/postgresql/*/bin (an older pg_dump refuses a newer server); else its
// name, to be searched for in PATH.
std::string find_program(const std::string& name);

}  // namespace poundlock::postgres
