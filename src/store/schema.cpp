#include "store/schema.h"

#include <fmt/format.h>

#include "store/sqlite_store.h"

namespace poundlock::store {
namespace {

constexpr std::int64_t kApplicationId = 0x504c434b;  // "PLCK", in SQLite's header

// A REPLACE would delete without the delete trigger; the insert trigger refuses it by its sequence.
constexpr char kTables[] = R"sql(
CREATE TABLE entries (
  key TEXT PRIMARY KEY,
  value BLOB NOT NULL,
  version INTEGER NOT NULL CHECK (version > 0),
  checksum BLOB NOT NULL
);
CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  who BLOB NOT NULL,
  what BLOB NOT NULL,
  subject BLOB NOT NULL,
  why BLOB NOT NULL,
  details BLOB NOT NULL,
  hash TEXT NOT NULL
);
CREATE INDEX audit_subject ON audit (subject, sequence);
CREATE TABLE audit_head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  sequence INTEGER NOT NULL,
  hash TEXT NOT NULL
);
INSERT INTO audit_head VALUES (1, 0, '');
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail only grows'); END;
CREATE TRIGGER audit_no_gap BEFORE INSERT ON audit
WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM audit)
BEGIN SELECT RAISE(ABORT, 'the audit trail has no gaps'); END;
)sql";

Status check_whole(Sqlite& database, const std::string& path) {
  PL_TRY(auto statement, database.prepare("PRAGMA quick_check(1)"));
  PL_TRY(const bool row, statement.step());
  if (row && statement.text(0) == "ok") return {};
  return fail(
      make_error(Disposition::kInternal, "store.corrupt",
                 fmt::format("the store {} is damaged: {}", path, row ? statement.text(0) : "no answer"))
          .with_hint("put the file aside and restore it from a copy"));
}

}  // namespace

Result<bool> inspect_schema(Sqlite& database, const std::string& path) {
  PL_TRY(const auto tables, database.number("SELECT count(*) FROM sqlite_master"));
  PL_TRY(const auto version, database.number("PRAGMA user_version"));
  PL_TRY(const auto application, database.number("PRAGMA application_id"));
  const bool fresh = tables == 0 && version == 0 && application == 0;
  if (!fresh && application != kApplicationId) {
    return fail(user_error("store.foreign", fmt::format("{} is a SQLite file of another program", path))
                    .with_hint("name another file for the store"));
  }
  if (version > kSqliteSchemaVersion) {
    return fail(user_error("store.newer_version",
                           fmt::format("the store {} has format {}; this program knows formats up to {}",
                                       path, version, kSqliteSchemaVersion))
                    .with_hint("start the newer poundlockd that wrote it, or restore a copy from before"));
  }
  if (!fresh) PL_CHECK(check_whole(database, path));
  return fresh;
}

Status create_schema(Sqlite& database) {
  PL_CHECK(database.run("BEGIN IMMEDIATE"));
  auto made = database.run(kTables);
  if (made) made = database.run(fmt::format("PRAGMA application_id = {}", kApplicationId));
  if (made) made = database.run(fmt::format("PRAGMA user_version = {}", kSqliteSchemaVersion));
  if (made) made = database.run("COMMIT");
  if (!made) (void)database.run("ROLLBACK");
  return made;
}

}  // namespace poundlock::store
