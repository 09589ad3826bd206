// Plays statements against a database while something else happens there, and measures who waited for
// whom. Implemented by postgres/ with threads of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ports/database.h"

namespace poundlock::ports {

struct TrafficStatement {
  std::string name;
  std::string sql;                         // with $1, $2, ...
  std::vector<std::vector<Cell>> samples;  // parameter rows, used in turn; empty: no parameters
};

struct TrafficReport {
  std::uint64_t statements = 0;
  std::uint64_t errors = 0;
  std::uint64_t row_errors = 0;  // of them: is_of_rows
  std::string first_error;       // of those that are not, else of all
  std::uint64_t long_waits = 0;  // statements that waited longer than `wait_limit` for a lock
  Millis longest_wait{0};        // from pg_locks.waitstart, sampled every 10 ms
  Millis longest_statement{0};   // from sending it to its answer, as the application would see it
  std::uint64_t deadlocks = 0;
  std::string first_deadlock;  // the statement that was its victim; "": the other side was
};

// What rows and other sessions answer and no schema: a key that is there already, a serialization failure,
// statement_timeout. SQLSTATE classes 23 and 40, and 57014.
inline bool is_of_rows(const Error& error) {
  return error.sqlstate.starts_with("23") || error.sqlstate.starts_with("40") || error.sqlstate == "57014";
}

// One replay at a time. Thread-safe against nothing: start and stop from one thread.
class Traffic {
 public:
  virtual ~Traffic() = default;
  // `search_path`: the application's, as SQL.
  virtual Status start(Database& database, std::vector<TrafficStatement> statements,
                       std::string_view search_path, int sessions, Millis wait_limit) = 0;
  virtual TrafficReport stop() = 0;
};

}  // namespace poundlock::ports
