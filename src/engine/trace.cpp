#include "engine/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ports/cells.h"
#include "schema/identifier.h"

namespace poundlock::engine {
namespace {

constexpr const char* kRelations =
    "SELECT c.oid, n.nspname, c.relname, c.relkind, coalesce(pg_catalog.pg_relation_filenode(c.oid), 0), "
    "coalesce(i.indrelid, 0), c.reltoastrelid, c.reltuples FROM pg_catalog.pg_class c JOIN "
    "pg_catalog.pg_namespace n ON "
    "n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid WHERE n.nspname NOT IN "
    "('pg_catalog', 'information_schema')";
constexpr const char* kLocks =
    "SELECT relation, mode FROM pg_catalog.pg_locks WHERE pid = pg_catalog.pg_backend_pid() AND locktype = "
    "'relation' AND granted AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = "
    "pg_catalog.current_database())";
constexpr const char* kScansNow =
    "SELECT relid, seq_scan, n_tup_upd + n_tup_del FROM pg_catalog.pg_stat_xact_user_tables";
constexpr const char* kScansEver = "SELECT relid, seq_scan, 0 FROM pg_catalog.pg_stat_user_tables";
constexpr const char* kSizes =
    "SELECT pg_catalog.pg_current_wal_insert_lsn(), pg_catalog.pg_database_size(oid) FROM "
    "pg_catalog.pg_database WHERE datname = pg_catalog.current_database()";

constexpr std::size_t kNotesMax = 50;
constexpr std::int64_t kManyRows = 1'000;  // fewer are locked for an instant

bool worth_telling(std::string_view notice) {
  for (const std::string_view what :
       {"rewriting table", "verifying table", "building index", "validating foreign key constraint",
        "existing constraints", "partition constraint"})
    if (notice.find(what) != std::string_view::npos) return true;
  return false;
}

void add_once(std::vector<std::string>& to, const std::string& name) {
  if (std::find(to.begin(), to.end(), name) == to.end()) to.push_back(name);
}

// The relation that a message names: verifying table "orders". Without its schema.
std::string named_in(std::string_view notice, std::string_view words) {
  const auto at = notice.find(words);
  if (at == std::string_view::npos) return {};
  const auto begin = notice.find('"', at);
  const auto end = begin == std::string_view::npos ? begin : notice.find('"', begin + 1);
  if (end == std::string_view::npos) return {};
  return std::string(notice.substr(begin + 1, end - begin - 1));
}

}  // namespace

int lock_strength(std::string_view mode) {
  static constexpr std::array<std::string_view, 8> kModes{
      "AccessShareLock", "RowShareLock",          "RowExclusiveLock", "ShareUpdateExclusiveLock",
      "ShareLock",       "ShareRowExclusiveLock", "ExclusiveLock",    "AccessExclusiveLock"};
  const auto found = std::find(kModes.begin(), kModes.end(), mode);
  return found == kModes.end() ? 0 : static_cast<int>(found - kModes.begin()) + 1;
}

const TracedLock* strongest(const Trace& trace) {
  return trace.locks.empty() ? nullptr : &trace.locks.front();
}

Result<Tracer> Tracer::open(ports::Database& database, Clock& clock, ports::LockSampler* sampler) {
  Tracer out(database, clock, sampler);
  PL_TRY(out.session_, database.connect());
  PL_CHECK(out.session_->run("SET client_min_messages = debug1"));
  (void)out.session_->take_notices();
  return out;
}

// `committed`: outside a transaction, where only what was reported to everybody can be read.
Result<Tracer::Snapshot> Tracer::look(bool committed) {
  Snapshot out;
  PL_TRY(const auto relations, session_->run(kRelations));
  for (const auto& row : relations.rows) {
    const std::string schema = ports::to_text(row[1]);
    const schema::QualifiedName name{schema, ports::to_text(row[2])};
    out.relations[ports::to_oid(row[0])] = {name.to_sql(),
                                            schema,
                                            ports::to_char(row[3], 'r'),
                                            ports::to_oid(row[4]),
                                            ports::to_oid(row[5]),
                                            ports::to_oid(row[6]),
                                            ports::to_double(row[7], -1)};
  }
  PL_TRY(const auto sizes, session_->run(kSizes));
  out.lsn = ports::to_text(sizes.rows.at(0)[0]);
  out.disk = ports::to_int(sizes.rows.at(0)[1]);
  // Statistics are reported a second late unless somebody asks, and before PostgreSQL 15 nobody could: the
  // scans of such a statement are then those of the server's messages alone.
  if (committed) (void)session_->run("SELECT pg_catalog.pg_stat_force_next_flush()");
  PL_TRY(const auto scans, session_->run(committed ? kScansEver : kScansNow));
  for (const auto& row : scans.rows) {
    out.scans[ports::to_oid(row[0])] = ports::to_int(row[1]);
    out.written[ports::to_oid(row[0])] = ports::to_int(row[2]);
  }
  if (committed) return out;
  PL_TRY(const auto locks, session_->run(kLocks));
  for (const auto& row : locks.rows) out.locks.emplace(ports::to_oid(row[0]), ports::to_text(row[1]));
  return out;
}

Status Tracer::tell(Trace& trace, const Snapshot& before, const Snapshot& after,
                    const ports::RelationLocks& locks) {
  const auto known = [&](std::uint32_t oid) -> const Relation* {
    const auto found = before.relations.find(oid);
    const bool shown = found != before.relations.end() && found->second.schema != "pg_toast";
    return shown ? &found->second : nullptr;
  };
  std::map<std::uint32_t, TracedLock> held;
  for (const auto& [oid, mode] : locks) {
    const Relation* relation = known(oid);
    if (!relation) continue;
    auto& lock = held[oid];
    if (lock_strength(mode) <= lock_strength(lock.mode)) continue;
    const Relation* table = relation->table == 0 ? nullptr : known(relation->table);
    lock = {relation->name, mode, relation->kind, table ? table->name : "",
            !before.locks.contains({oid, mode})};
  }
  for (auto& [oid, lock] : held) trace.locks.push_back(std::move(lock));
  std::stable_sort(trace.locks.begin(), trace.locks.end(), [](const TracedLock& a, const TracedLock& b) {
    // A table before its indexes.
    return std::pair(-lock_strength(a.mode), !a.table.empty()) <
           std::pair(-lock_strength(b.mode), !b.table.empty());
  });
  for (const auto& [oid, now] : after.relations) {
    const auto found = before.relations.find(oid);
    const bool index = now.kind == 'i';
    if (found == before.relations.end()) {
      if (index && known(now.table)) add_once(trace.index_builds, now.name);
      continue;
    }
    if (now.file == found->second.file || now.file == 0 || now.schema == "pg_toast") continue;
    if (index) add_once(trace.index_builds, now.name);
    if (now.kind == 'r' || now.kind == 'm') add_once(trace.rewrites, now.name);
  }
  for (const auto& [oid, count] : after.scans) {
    const auto found = before.scans.find(oid);
    const Relation* relation = known(oid);
    if (relation && count > (found == before.scans.end() ? 0 : found->second))
      add_once(trace.scans, relation->name);
  }
  for (const auto& [oid, count] : after.written) {
    const auto found = before.written.find(oid);
    const Relation* relation = known(oid);
    const std::int64_t rows = count - (found == before.written.end() ? 0 : found->second);
    if (relation && rows >= kManyRows && 2 * static_cast<double>(rows) >= relation->rows)
      add_once(trace.row_locks, relation->name);
  }
  for (const auto& notice : session_->take_notices()) {
    if (!worth_telling(notice) || trace.notes.size() >= kNotesMax) continue;
    const auto colon = notice.find(": ");
    trace.notes.push_back(colon == std::string::npos ? notice : notice.substr(colon + 2));
    const std::string verified = named_in(notice, "verifying table");
    for (const auto& [oid, relation] : before.relations) {
      if (verified.empty() || relation.kind != 'r' ||
          !relation.name.ends_with("." + schema::quote_identifier(verified)))
        continue;
      if (held.contains(oid)) add_once(trace.scans, relation.name);
    }
  }
  PL_TRY(const auto wal,
         session_->run("SELECT pg_catalog.pg_wal_lsn_diff($1::pg_lsn, $2::pg_lsn)", {after.lsn, before.lsn}));
  trace.wal_bytes = ports::to_int(wal.rows.at(0)[0]);
  trace.disk_bytes = after.disk - before.disk;
  return {};
}

Result<Trace> Tracer::in_transaction(const std::string& sql) {
  Trace trace;
  trace.sql = sql;
  PL_TRY(const Snapshot before, look(false));
  (void)session_->take_notices();
  const TimePoint began = clock_->steady();
  auto done = session_->run(sql);
  trace.seconds = static_cast<double>((clock_->steady() - began).count()) / 1000.0;
  if (!done) {
    if (session_->broken()) return fail(std::move(done).error());
    trace.error = std::move(done).error();
    return trace;
  }
  trace.affected = done->affected;
  PL_TRY(const Snapshot after, look(false));
  PL_CHECK(tell(trace, before, after, after.locks));
  return trace;
}

Result<Trace> Tracer::standalone(const std::string& sql) {
  Trace trace;
  trace.sql = sql;
  trace.standalone = true;
  PL_TRY(const Snapshot before, look(true));
  (void)session_->take_notices();
  if (sampler_) {
    PL_CHECK(sampler_->start(*database_, session_->backend_pid()));
  }
  const TimePoint began = clock_->steady();
  auto done = session_->run(sql);
  trace.seconds = static_cast<double>((clock_->steady() - began).count()) / 1000.0;
  ports::RelationLocks locks;
  if (sampler_) {
    PL_TRY(locks, sampler_->stop());
  }
  if (!done) {
    if (session_->broken()) return fail(std::move(done).error());
    trace.error = std::move(done).error();
  }
  PL_TRY(const Snapshot after, look(true));
  PL_CHECK(tell(trace, before, after, locks));
  return trace;
}

Result<Trace> Tracer::alone(const std::string& sql) {
  PL_CHECK(session_->run("BEGIN"));
  auto trace = in_transaction(sql);
  if (!trace) return trace;
  if (!trace->error) {
    if (auto committed = session_->run("COMMIT"); !committed) {
      if (session_->broken()) return fail(std::move(committed).error());
      trace->error = std::move(committed).error();  // a deferred constraint
    }
    return trace;
  }
  PL_CHECK(session_->run("ROLLBACK"));
  if (trace->error->sqlstate == "25001") return standalone(sql);
  return trace;
}

}  // namespace poundlock::engine
