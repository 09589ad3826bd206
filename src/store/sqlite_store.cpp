#include "store/sqlite_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <mutex>
#include <system_error>
#include <utility>

#include "store/lock_file.h"
#include "store/schema.h"
#include "store/sha256.h"
#include "store/sqlite.h"

namespace poundlock::store {
namespace {

using ports::AuditEntry;
using ports::Entry;
using ports::Write;

std::string checksum_of(std::string_view key, std::int64_t version, std::string_view value) {
  return Sha256().text(key).number(version).text(value).finish();
}

Error corrupt(std::string message) {
  return make_error(Disposition::kInternal, "store.corrupt", std::move(message))
      .with_hint("the file was changed or its disk is failing; restore it from a copy");
}

Error conflict(const Write& write, std::int64_t found) {
  const std::string have = found == 0 ? "does not exist" : fmt::format("has version {}", found);
  const std::string want = write.expected_version == 0
                               ? "is to be created"
                               : fmt::format("was read at {}", write.expected_version);
  return make_error(Disposition::kConflict, "store.conflict",
                    fmt::format("'{}' {}, and {}: somebody else was first", write.key, have, want))
      .with_hint("read it again, then decide again");
}

// The smallest text above every text with this prefix; empty: there is none.
std::string after_prefix(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff) prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

Status check_bounds(const std::vector<Write>& writes, const std::vector<AuditEntry>& audit) {
  const auto refuse = [](std::string message) {
    return fail(user_error("store.bounds", std::move(message)));
  };
  if (writes.size() > kWritesMax || audit.size() > kWritesMax) {
    return refuse(fmt::format("a commit holds at most {} writes and as many audit entries", kWritesMax));
  }
  for (const Write& write : writes) {
    if (write.key.empty() || write.key.size() > kKeyBytesMax || write.key.find('\0') != std::string::npos) {
      return refuse(fmt::format("a key has 1 to {} bytes and no NUL", kKeyBytesMax));
    }
    if (write.value.size() > kValueBytesMax) {
      return refuse(fmt::format("the value of '{}' has {} bytes, more than {}", write.key, write.value.size(),
                                kValueBytesMax));
    }
  }
  for (const AuditEntry& entry : audit) {
    const std::size_t size =
        entry.who.size() + entry.what.size() + entry.subject.size() + entry.why.size() + entry.details.size();
    if (size > kAuditBytesMax)
      return refuse(fmt::format("an audit entry has {} bytes, more than {}", size, kAuditBytesMax));
  }
  return {};
}

AuditEntry audit_row(const Statement& row) {
  AuditEntry entry;
  entry.sequence = row.number(0);
  entry.at = TimePoint{row.number(1)};
  entry.who = row.text(2);
  entry.what = row.text(3);
  entry.subject = row.text(4);
  entry.why = row.text(5);
  entry.details = row.text(6);
  entry.hash = row.text(7);
  return entry;
}

Result<Entry> checked(const Statement& row) {
  Entry entry{row.text(0), row.text(1), row.number(2)};
  if (row.text(3) != checksum_of(entry.key, entry.version, entry.value)) {
    return fail(corrupt(fmt::format("the value of '{}' does not match its checksum", entry.key)));
  }
  return entry;
}

// Two connections, so that a reader never waits while a commit is being forced to disk.
class SqliteStore : public ports::StateStore {
 public:
  SqliteStore(LockFile lock, Sqlite writer, Sqlite reader)
      : lock_(std::move(lock)), writer_(std::move(writer)), reader_(std::move(reader)) {}

  Result<std::optional<Entry>> get(std::string_view key) override {
    const std::lock_guard guard(reader_mutex_);
    PL_TRY(auto statement,
           reader_.prepare("SELECT key, value, version, checksum FROM entries WHERE key = ?1"));
    PL_TRY(const bool row, statement.bind(1, key).step());
    if (!row) return std::nullopt;
    return checked(statement);
  }

  Result<std::vector<Entry>> list(std::string_view prefix) override {
    const std::lock_guard guard(reader_mutex_);
    const std::string end = after_prefix(std::string(prefix));
    PL_TRY(auto statement, reader_.prepare("SELECT key, value, version, checksum FROM entries WHERE key >= ?1"
                                           " AND (?2 = '' OR key < ?2) ORDER BY key LIMIT ?3"));
    statement.bind(1, prefix).bind(2, end).bind(3, std::int64_t{kListMax} + 1);
    std::vector<Entry> entries;
    for (;;) {
      PL_TRY(const bool row, statement.step());
      if (!row) return entries;
      if (entries.size() == kListMax) {
        return fail(
            user_error("store.bounds", fmt::format("more than {} keys begin with '{}'", kListMax, prefix)));
      }
      PL_TRY(auto entry, checked(statement));
      entries.push_back(std::move(entry));
    }
  }

  Status commit(const std::vector<Write>& writes, const std::vector<AuditEntry>& audit) override {
    PL_CHECK(check_bounds(writes, audit));
    const std::lock_guard guard(writer_mutex_);
    PL_CHECK(writer_.run("BEGIN IMMEDIATE"));
    auto done = apply(writes, audit);
    if (!done) {
      (void)writer_.run("ROLLBACK");  // fails only where SQLite has rolled back by itself
      return done;
    }
    if (auto committed = writer_.run("COMMIT"); !committed)
      return commit_failed(std::move(committed).error());
    return {};
  }

  Result<std::vector<AuditEntry>> audit(std::string_view subject, int limit) override {
    const std::lock_guard guard(reader_mutex_);
    // The subjects are BLOBs: bound as one, since SQLite never finds a text equal to a BLOB.
    PL_TRY(auto statement,
           reader_.prepare(subject.empty()
                               ? "SELECT sequence, at_ms, who, what, subject, why, details, hash FROM audit"
                                 " ORDER BY sequence DESC LIMIT ?1"
                               : "SELECT sequence, at_ms, who, what, subject, why, details, hash FROM audit"
                                 " WHERE subject = ?2 ORDER BY sequence DESC LIMIT ?1"));
    statement.bind(1, std::int64_t{std::clamp(limit, 0, kListMax)});
    if (!subject.empty()) statement.bind_blob(2, subject);
    std::vector<AuditEntry> entries;
    for (;;) {
      PL_TRY(const bool row, statement.step());
      if (!row) return entries;
      entries.push_back(audit_row(statement));
    }
  }

  // In pages, so that a long trail does not hold up other readers.
  Result<std::optional<std::int64_t>> verify_audit() override {
    std::int64_t last = 0;
    std::string previous = kAuditGenesis;
    for (;;) {
      PL_TRY(const auto page, audit_page(last));
      for (const AuditEntry& entry : page.entries) {
        if (entry.sequence != last + 1 || entry.hash != audit_hash(previous, entry)) return last + 1;
        last = entry.sequence;
        previous = entry.hash;
      }
      if (!page.entries.empty()) continue;
      if (page.head_sequence != last || (last > 0 && page.head_hash != previous)) return last + 1;
      return std::nullopt;
    }
  }

 private:
  struct AuditPage {
    std::vector<AuditEntry> entries;
    std::int64_t head_sequence = 0;  // where entries is empty
    std::string head_hash;
  };

  Result<AuditPage> audit_page(std::int64_t after) {
    const std::lock_guard guard(reader_mutex_);
    AuditPage page;
    // One transaction: between two, a commit could move the head past the entries that were read.
    PL_CHECK(reader_.run("BEGIN"));
    auto filled = fill_page(page, after);
    (void)reader_.run("COMMIT");
    PL_CHECK(filled);
    return page;
  }

  Status fill_page(AuditPage& page, std::int64_t after) {
    PL_TRY(auto rows,
           reader_.prepare("SELECT sequence, at_ms, who, what, subject, why, details, hash FROM audit"
                           " WHERE sequence > ?1 ORDER BY sequence LIMIT 1000"));
    rows.bind(1, after);
    for (;;) {
      PL_TRY(const bool row, rows.step());
      if (!row) break;
      page.entries.push_back(audit_row(rows));
    }
    PL_TRY(auto head, reader_.prepare("SELECT sequence, hash FROM audit_head"));
    PL_TRY(const bool row, head.step());
    if (row) {
      page.head_sequence = head.number(0);
      page.head_hash = head.text(1);
    }
    return {};
  }

  Status apply(const std::vector<Write>& writes, const std::vector<AuditEntry>& audit) {
    for (const Write& write : writes) PL_CHECK(apply_write(write));
    if (audit.empty()) return {};
    PL_TRY(auto head, writer_.prepare("SELECT sequence, hash FROM audit_head"));
    PL_TRY(const bool row, head.step());
    if (!row) return fail(corrupt("the head of the audit trail is missing"));
    std::int64_t sequence = head.number(0);
    std::string previous = sequence == 0 ? kAuditGenesis : head.text(1);
    head.reset();
    for (AuditEntry entry : audit) {
      entry.sequence = ++sequence;
      entry.hash = audit_hash(previous, entry);
      PL_CHECK(append(entry));
      previous = entry.hash;
    }
    PL_TRY(auto update, writer_.prepare("UPDATE audit_head SET sequence = ?1, hash = ?2"));
    return step_once(update.bind(1, sequence).bind(2, previous));
  }

  Status apply_write(const Write& write) {
    PL_TRY(auto select, writer_.prepare("SELECT version FROM entries WHERE key = ?1"));
    PL_TRY(const bool row, select.bind(1, write.key).step());
    const std::int64_t found = row ? select.number(0) : 0;
    select.reset();
    if (found != write.expected_version) return fail(conflict(write, found));
    const std::string checksum = checksum_of(write.key, found + 1, write.value);
    if (checksum.empty()) return fail(internal_error("OpenSSL could not compute a checksum"));
    PL_TRY(auto insert,
           writer_.prepare("INSERT INTO entries (key, value, version, checksum) VALUES (?1, ?2, ?3, ?4)"
                           " ON CONFLICT (key) DO UPDATE SET value = excluded.value,"
                           " version = excluded.version, checksum = excluded.checksum"));
    return step_once(
        insert.bind(1, write.key).bind_blob(2, write.value).bind(3, found + 1).bind_blob(4, checksum));
  }

  Status append(const AuditEntry& entry) {
    PL_TRY(auto insert, writer_.prepare("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"));
    insert.bind(1, entry.sequence).bind(2, entry.at.ms).bind_blob(3, entry.who).bind_blob(4, entry.what);
    insert.bind_blob(5, entry.subject)
        .bind_blob(6, entry.why)
        .bind_blob(7, entry.details)
        .bind(8, entry.hash);
    return step_once(insert);
  }

  static Status step_once(Statement& statement) {
    PL_TRY([[maybe_unused]] const bool row, statement.step());
    return {};
  }

  // A full disk or a busy file leaves the transaction open: it is rolled back and nothing happened. An
  // I/O error while the log was forced to disk leaves open what a restart would find in the log.
  Status commit_failed(Error error) {
    (void)writer_.run("ROLLBACK");
    if (error.code != "store.io") return fail(std::move(error));
    return fail(
        make_error(Disposition::kInDoubt, "store.in_doubt", error.message)
            .with_hint("the write may or may not survive a restart: restart poundlockd and read again"));
  }

  LockFile lock_;
  std::mutex writer_mutex_;
  Sqlite writer_;
  std::mutex reader_mutex_;
  Sqlite reader_;
};

// SQLite gives the log and the shared memory the mode of the file, so that it is set before they exist.
Status create_private(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) {
    ::close(fd);
    return {};
  }
  const auto reason = std::generic_category().message(errno);
  return fail(user_error("store.path", fmt::format("cannot open the store {}: {}", path, reason))
                  .with_hint("check that the folder exists and that this user may write to it"));
}

Status set_durable(Sqlite& writer, const std::string& path) {
  PL_TRY(auto mode, writer.prepare("PRAGMA journal_mode = WAL"));
  PL_TRY(const bool row, mode.step());
  if (!row || mode.text(0) != "wal") {  // SQLite keeps the old mode where it cannot change it
    return fail(user_error("store.path", fmt::format("the store {} cannot use a write-ahead log here", path))
                    .with_hint("put the store on a local file system"));
  }
  mode.reset();
  PL_CHECK(writer.run("PRAGMA synchronous = FULL"));
  PL_CHECK(writer.run("PRAGMA journal_size_limit = 67108864"));
  return writer.run("PRAGMA trusted_schema = OFF");
}

}  // namespace

std::string audit_hash(const std::string& previous, const AuditEntry& entry) {
  return to_hex(Sha256()
                    .text(previous)
                    .number(entry.sequence)
                    .number(entry.at.ms)
                    .text(entry.who)
                    .text(entry.what)
                    .text(entry.subject)
                    .text(entry.why)
                    .text(entry.details)
                    .finish());
}

Result<std::optional<std::string>> peek_sqlite(const std::string& path, std::string_view key) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  PL_TRY(auto reader, Sqlite::open(path, true, Millis{1'000}));
  PL_TRY(auto statement, reader.prepare("SELECT key, value, version, checksum FROM entries WHERE key = ?1"));
  PL_TRY(const bool row, statement.bind(1, key).step());
  if (!row) return std::nullopt;
  PL_TRY(auto entry, checked(statement));
  return std::move(entry.value);
}

Result<std::unique_ptr<ports::StateStore>> open_sqlite(SqliteOptions options) {
  if (options.path.empty()) return fail(user_error("store.path", "the store's path is empty"));
  // Two names of one file must meet at one lock.
  std::error_code ignored;
  if (const auto real = std::filesystem::weakly_canonical(options.path, ignored); !ignored) {
    options.path = real.string();
  }
  PL_TRY(auto lock, LockFile::acquire(options.path + ".lock"));
  PL_CHECK(create_private(options.path));
  PL_TRY(auto writer, Sqlite::open(options.path, false, options.busy_timeout));
  PL_TRY(const bool fresh, inspect_schema(writer, options.path));
  PL_CHECK(set_durable(writer, options.path));
  if (fresh) PL_CHECK(create_schema(writer));
  if (options.pages_max > 0)
    PL_CHECK(writer.run(fmt::format("PRAGMA max_page_count = {}", options.pages_max)));
  PL_TRY(auto reader, Sqlite::open(options.path, true, options.busy_timeout));
  return std::make_unique<SqliteStore>(std::move(lock), std::move(writer), std::move(reader));
}

}  // namespace poundlock::store
