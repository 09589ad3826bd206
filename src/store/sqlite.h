// A thin owner of SQLite's handles. Only the store's own .cpp files include it. One thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace poundlock::store {

class Statement;

class Sqlite {
 public:
  static Result<Sqlite> open(const std::string& path, bool read_only, Millis busy_timeout);
  Result<Statement> prepare(std::string_view sql);
  Status run(std::string_view sql);                   // without values or rows
  Result<std::int64_t> number(std::string_view sql);  // first column of the first row; 0 without rows
  // What SQLite says of the last failure, as our error. `during` is for the message: "read a value".
  Error error(std::string_view during) const;
  int extended_code() const { return sqlite3_extended_errcode(handle_.get()); }

 private:
  struct Closer {
    void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
  };
  explicit Sqlite(sqlite3* handle) : handle_(handle) {}
  std::unique_ptr<sqlite3, Closer> handle_;
};

class Statement {
 public:
  Statement& bind(int index, std::string_view text);  // from 1; text stays alive until the last step
  Statement& bind_blob(int index, std::string_view bytes);
  Statement& bind(int index, std::int64_t value);
  Result<bool> step();  // true: a row; false: done
  std::string text(int column) const;
  std::int64_t number(int column) const;
  void reset();

 private:
  friend class Sqlite;
  struct Finalizer {
    void operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }
  };
  Statement(Sqlite& database, sqlite3_stmt* handle) : database_(&database), handle_(handle) {}
  void remember(int code);
  Sqlite* database_;
  std::unique_ptr<sqlite3_stmt, Finalizer> handle_;
  bool bound_ = true;
};

}  // namespace poundlock::store
