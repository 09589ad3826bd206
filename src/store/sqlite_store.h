// The state store in one SQLite file (WAL, synchronous=FULL): a commit is on disk before it returns.
//
// Invariants: (1) one process at a time: PATH.lock is locked exclusively (flock) while the store is
// open. (2) Every value carries a SHA-256 over key, version and value; a flipped bit is an error, never
// a value. (3) The audit table only grows, without gaps: triggers refuse every other change, and a hash
// chain with a separate head shows what was changed behind them.
//
// Errors: kConflict store.conflict (a version differs), store.locked (another process; its pid is in
// the message); kUser store.newer_version, store.foreign, store.path, store.bounds; kRetry store.busy,
// store.full, store.io (nothing was changed); kInDoubt store.in_doubt (a commit broke: read again);
// kInternal store.corrupt.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/time.h"
#include "ports/state_store.h"

namespace poundlock::store {

struct SqliteOptions {
  std::string path;            // its folder must exist
  Millis busy_timeout{2'000};  // for a foreign tool that holds the file's own lock
  std::int64_t pages_max = 0;  // 4 KiB each; 0: SQLite's own limit
};

inline constexpr int kSqliteSchemaVersion = 1;
inline constexpr std::size_t kKeyBytesMax = 512;
inline constexpr std::size_t kValueBytesMax = 16 << 20;
inline constexpr std::size_t kWritesMax = 1'000;
inline constexpr std::size_t kAuditBytesMax = 1 << 20;  // one entry's texts together
inline constexpr int kListMax = 100'000;

// The hash of an audit entry in a chain (hexadecimal SHA-256 over the previous hash, the sequence, the
// time and each text with its length before it, so that no two entries share an encoding).
std::string audit_hash(const std::string& previous, const ports::AuditEntry& entry);
inline constexpr char kAuditGenesis[] = "0000000000000000000000000000000000000000000000000000000000000000";

// One value, read without the store's lock and beside a server that runs; nullopt where the key or the file
// is not there. For tools that must work when nothing else does; what they saw may change at once.
Result<std::optional<std::string>> peek_sqlite(const std::string& path, std::string_view key);

// Creates the file (readable by its owner only) where it does not exist.
Result<std::unique_ptr<ports::StateStore>> open_sqlite(SqliteOptions options);

}  // namespace poundlock::store
