#include "store/sqlite.h"

#include <fmt/format.h>

namespace poundlock::store {
namespace {

Error sqlite_error(int extended, std::string_view reason, std::string_view during) {
  const std::string message = fmt::format("the store could not {}: {}", during, reason);
  switch (extended & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return make_error(Disposition::kRetry, "store.busy", message)
          .with_hint("another program holds the store's file open in a transaction; end it");
    case SQLITE_FULL:
      return make_error(Disposition::kRetry, "store.full", message)
          .with_hint("nothing was changed; free space on the store's disk, then try again");
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
      return make_error(Disposition::kRetry, "store.io", message)
          .with_hint("look at the disk that holds the store and at the system's log");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return make_error(Disposition::kInternal, "store.corrupt", message)
          .with_hint(
              "put the file aside and restore it from a copy; do not start with a new one while a "
              "rollout is open");
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return user_error("store.path", message)
          .with_hint("check that the folder exists and that this user may write to the store and its folder");
    default: return internal_error(fmt::format("{} (SQLite code {})", message, extended));
  }
}

}  // namespace

Result<Sqlite> Sqlite::open(const std::string& path, bool read_only, Millis busy_timeout) {
  sqlite3* raw = nullptr;
  const int mode = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw, mode | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  Sqlite database(raw);
  if (code != SQLITE_OK) return fail(sqlite_error(code, sqlite3_errstr(code), "open " + path));
  sqlite3_busy_timeout(raw, static_cast<int>(busy_timeout.count()));
  return database;
}

Error Sqlite::error(std::string_view during) const {
  return sqlite_error(sqlite3_extended_errcode(handle_.get()), sqlite3_errmsg(handle_.get()), during);
}

Result<Statement> Sqlite::prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v2(handle_.get(), sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
  if (code != SQLITE_OK) return fail(error("prepare a statement"));
  return Statement(*this, raw);
}

Status Sqlite::run(std::string_view sql) {
  const std::string text(sql);
  if (sqlite3_exec(handle_.get(), text.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return fail(error("run " + text.substr(0, text.find_first_of("\n("))));
  }
  return {};
}

Result<std::int64_t> Sqlite::number(std::string_view sql) {
  PL_TRY(auto statement, prepare(sql));
  PL_TRY(const bool row, statement.step());
  return row ? statement.number(0) : 0;
}

void Statement::remember(int code) {
  bound_ = bound_ && code == SQLITE_OK;
}

Statement& Statement::bind(int index, std::string_view text) {
  remember(sqlite3_bind_text64(handle_.get(), index, text.data() == nullptr ? "" : text.data(), text.size(),
                               SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_blob(int index, std::string_view bytes) {
  remember(sqlite3_bind_blob64(handle_.get(), index, bytes.data() == nullptr ? "" : bytes.data(),
                               bytes.size(), SQLITE_STATIC));
  return *this;
}

Statement& Statement::bind(int index, std::int64_t value) {
  remember(sqlite3_bind_int64(handle_.get(), index, value));
  return *this;
}

Result<bool> Statement::step() {
  if (!bound_) return fail(database_->error("bind a value"));
  const int code = sqlite3_step(handle_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return fail(database_->error("carry out a statement"));
}

std::string Statement::text(int column) const {
  const void* data = sqlite3_column_blob(handle_.get(), column);
  const int size = sqlite3_column_bytes(handle_.get(), column);
  return data == nullptr ? std::string()
                         : std::string(static_cast<const char*>(data), static_cast<std::size_t>(size));
}

std::int64_t Statement::number(int column) const {
  return sqlite3_column_int64(handle_.get(), column);
}

void Statement::reset() {
  sqlite3_reset(handle_.get());
  sqlite3_clear_bindings(handle_.get());
  bound_ = true;
}

}  // namespace poundlock::store
