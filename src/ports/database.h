// A PostgreSQL server as the engine sees it. Implemented by postgres/ on libpq and by sim/ on a fake.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace poundlock::ports {

using Cell = std::optional<std::string>;  // a value in PostgreSQL's text form; nullopt is SQL NULL

struct Rows {
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;
  std::uint64_t affected = 0;  // rows that the command tag counts
};

// One statement. Values are always bound ($1, $2, ...), never spliced into the text.
struct Sql {
  std::string text;
  std::vector<Cell> params;
};

// A session is used by one thread at a time; only cancel() may be called from another.
// Errors: kRetry for 55P03, 40001, 40P01, 57014; kReconnect when the connection broke outside a
// commit; kInDoubt when it broke while COMMIT or an autocommitted statement was in flight; kUser for
// 42xxx, 22xxx, 23xxx and missing privileges.
class Session {
 public:
  virtual ~Session() = default;
  virtual Result<Rows> run(const Sql& sql) = 0;
  // Sends all at once (libpq pipeline mode); answers one Rows each, or the first error, after which
  // none of the later statements has run.
  virtual Result<std::vector<Rows>> pipeline(std::span<const Sql> statements) = 0;
  virtual std::vector<std::string> take_notices() = 0;  // "DEBUG: rewriting table ..." since last call
  virtual int backend_pid() const = 0;
  virtual void cancel() = 0;        // thread-safe; the running statement ends with 57014
  virtual bool broken() const = 0;  // true: throw this session away and connect anew

  Result<Rows> run(std::string text, std::vector<Cell> params = {}) {
    return run(Sql{std::move(text), std::move(params)});
  }
};

// Thread-safe. A connection opens with application_name 'poundlock', search_path pg_catalog,
// client_connection_check_interval 100 ms and connect time-out 5 s.
class Database {
 public:
  virtual ~Database() = default;
  virtual Result<std::unique_ptr<Session>> connect() = 0;
  virtual std::string describe() const = 0;  // "app at 127.0.0.1:5432", never a password
};

// What a rollout may reach. Pointers are borrowed and may be null where nothing is configured.
struct Databases {
  Database* primary = nullptr;
  Database* shadow = nullptr;  // marked with poundlock.shadow = on; created by the dry run where absent
  Database* staging = nullptr;
  std::vector<Database*> replicas;
};

}  // namespace poundlock::ports
