#include "sim/statements.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/time.h"
#include "ports/cells.h"

namespace poundlock::sim {
namespace {

using ports::Cell;
using ports::Rows;

constexpr const char* kTableOid = "16400";
constexpr const char* kFilenode = "16400";

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

Rows table(std::vector<std::vector<Cell>> rows) {
  return Rows{{}, std::move(rows), 0};
}
Rows one(Cell cell) {
  return table({{std::move(cell)}});
}
Rows truth(bool value) {
  return one(value ? "t" : "f");
}

Error refuse(std::string code, std::string state, Disposition disposition, std::string message) {
  Error out = make_error(disposition, std::move(code), std::move(message));
  out.sqlstate = std::move(state);
  return out;
}

// The number that follows `before`, or the fallback.
int number_after(std::string_view text, std::string_view before, int fallback) {
  const auto at = text.find(before);
  if (at == std::string_view::npos) return fallback;
  int out = fallback;
  std::from_chars(text.data() + at + before.size(), text.data() + text.size(), out);
  return out;
}

// "(42)" and {"1","2"}: what key_text() and array_literal() make of ids.
std::vector<int> ids_in(const std::string& array) {
  std::vector<int> out;
  for (std::size_t i = 0; i < array.size();) {
    if (array[i] < '0' || array[i] > '9') {
      ++i;
      continue;
    }
    int id = 0;
    const auto end = std::from_chars(array.data() + i, array.data() + array.size(), id).ptr;
    out.push_back(id);
    i = static_cast<std::size_t>(end - array.data());
  }
  return out;
}

struct Scope {                   // which rows a WHERE means
  int from = 0, to = 1'000'000;  // blocks
  int stripe = 0, stripes = 1;
  std::vector<int> ids;
  bool by_id = false;
  bool contains(const SimRow& row, std::size_t place) const {
    if (by_id) return std::find(ids.begin(), ids.end(), row.id) != ids.end();
    const int block = static_cast<int>(place) / kRowsInBlock;
    return block >= from && block < to && row.id % stripes == stripe;
  }
};

Scope scope_of(const ports::Sql& sql) {
  Scope out;
  out.from = number_after(sql.text, "ctid >= '(", 0);
  out.to = number_after(sql.text, "ctid < '(", out.to);
  out.stripes = std::max(1, number_after(sql.text, "& 2147483647) % ", 1));
  if (out.stripes > 1) {
    const auto at = sql.text.find("& 2147483647) % ");
    out.stripe = number_after(std::string_view(sql.text).substr(at), " = ", 0);
  }
  if (!sql.params.empty()) {
    out.by_id = true;
    out.ids = ids_in(sql.params[0].value_or(""));
  }
  return out;
}

bool ends_in_step(const rollout::Plan& plan, const std::string& text, bool& to_fresh) {
  const auto matches = [&](const change::Step& step) {
    return step.in_step && has(text, step.in_step->out_of_step);
  };
  for (const auto& item : plan.items) {
    if (!item.step || !matches(*item.step)) continue;
    to_fresh = true;
    return true;
  }
  for (const auto& step : plan.restore) {
    if (!matches(step)) continue;
    to_fresh = false;
    return true;
  }
  return false;
}

// Swapped for a restore, where legacy is derived from new.
bool out_of_step(const SimRow& row, bool to_fresh) {
  if (to_fresh) return row.fresh != (row.legacy ? std::optional(up(*row.legacy)) : std::nullopt);
  return row.legacy != (row.fresh ? std::optional(down(*row.fresh)) : std::nullopt);
}

}  // namespace

bool changes_something(std::string_view sql) {
  return has(sql, "INDEX CONCURRENTLY") || sql.starts_with("VACUUM");
}

void break_halfway(Server& server, std::string_view sql) {
  if (!sql.starts_with("CREATE") || !has(sql, " INDEX CONCURRENTLY ")) return;
  const std::string name = quoted_after(sql, " INDEX CONCURRENTLY ");
  if (!server.schema.indexes.contains(name)) server.schema.indexes[name] = false;
}

Result<Rows> Statements::run(const ports::Sql& sql) {
  using Part = Answer (Statements::*)(const ports::Sql&);
  for (const Part part :
       {&Statements::settings, &Statements::ledger, &Statements::probe, &Statements::step, &Statements::locks,
        &Statements::shape, &Statements::backfill, &Statements::select_rows}) {
    if (auto answer = (this->*part)(sql)) return std::move(*answer);
  }
  return fail(make_error(Disposition::kInternal, "sim.statement",
                         fmt::format("the simulated server does not understand: {}", sql.text)));
}

// --- settings and the ledger -----------------------------------------------------------------------

Statements::Answer Statements::settings(const ports::Sql& sql) {
  if (sql.text.starts_with("SELECT pg_catalog.set_config('lock_timeout', ")) {
    const std::string value = sql.params.empty() ? "20ms" : sql.params[0].value_or("0ms");
    session_.lock_timeout_ = parse_duration(value).value_or(Millis{0});
    return Rows{};
  }
  if (has(sql.text, "has_parameter_privilege")) return truth(false);
  if (sql.text.starts_with("SELECT pg_catalog.current_setting('server_version_num')"))
    return table({{"150006", "8192"}});
  if (has(sql.text, "pg_try_advisory_lock")) {
    const bool free =
        std::none_of(server_.sessions_.begin(), server_.sessions_.end(),
                     [&](const SimSession* other) { return other != &session_ && other->advisory_; });
    session_.advisory_ = session_.advisory_ || free;
    return truth(free);
  }
  if (has(sql.text, "pg_advisory_xact_lock")) return Rows{};
  return std::nullopt;
}

Statements::Answer Statements::ledger(const ports::Sql& sql) {
  const std::string& text = sql.text;
  auto& transaction = session_.transaction_;
  if (has(text, "to_regclass('poundlock.meta')")) return truth(server_.ledger_);
  if (text == "SELECT version FROM poundlock.meta") return one("2");
  if (text.starts_with("INSERT INTO poundlock.begun") || text.starts_with("DELETE FROM poundlock.begun"))
    return Rows{};
  if (text.starts_with("INSERT INTO poundlock.meta")) {
    server_.ledger_ = true;
    return Rows{};
  }
  for (const char* install :
       {"DO 'BEGIN IF pg_catalog.to_regnamespace(''poundlock'') IS NULL THEN CREATE SCHEMA",
        "GRANT USAGE ON SCHEMA poundlock TO PUBLIC", "CREATE TABLE IF NOT EXISTS poundlock.",
        "CREATE INDEX IF NOT EXISTS ledger_", "CREATE OR REPLACE FUNCTION poundlock.",
        "REVOKE EXECUTE ON FUNCTION poundlock.", "DELETE FROM poundlock.meta"})
    if (text.starts_with(install)) return Rows{};
  if (text == "SELECT poundlock.fence($1, $2)") return fence(sql);
  if (text.starts_with("INSERT INTO poundlock.ledger")) {
    LedgerRow row{ports::to_text(sql.params.at(0)), ports::to_text(sql.params.at(1)),
                  ports::to_text(sql.params.at(2)), ports::to_text(sql.params.at(4)),
                  static_cast<std::uint64_t>(ports::to_int(sql.params.at(3)))};
    if (transaction) {
      transaction->recorded = row;
      transaction->undo.push_back([this_server = &server_] { this_server->ledger_rows_.pop_back(); });
    }
    server_.ledger_rows_.push_back(std::move(row));
    return Rows{{}, {}, 1};
  }
  if (text.starts_with("SELECT EXISTS (SELECT FROM poundlock.ledger WHERE attempt")) {
    const std::string attempt = ports::to_text(sql.params.at(0));
    return truth(std::any_of(server_.ledger_rows_.begin(), server_.ledger_rows_.end(),
                             [&](const LedgerRow& row) { return row.attempt == attempt; }));
  }
  if (text.starts_with("SELECT direction FROM poundlock.ledger")) {
    for (auto it = server_.ledger_rows_.rbegin(); it != server_.ledger_rows_.rend(); ++it)
      if (it->rollout == sql.params.at(0) && it->step == sql.params.at(1)) return one(it->direction);
    return Rows{};
  }
  if (text.starts_with("DELETE FROM poundlock.backfill")) {
    server_.checkpoints_.clear();
    return Rows{};
  }
  return std::nullopt;
}

Result<Rows> Statements::fence(const ports::Sql& sql) {
  const std::string name = ports::to_text(sql.params.at(0));
  const auto generation = static_cast<std::uint64_t>(ports::to_int(sql.params.at(1)));
  if (!server_.ledger_)
    return fail(refuse("pg.42883", "42883", Disposition::kUser, "poundlock.fence is not there"));
  PL_CHECK(server_.wait_for(
      session_,
      [&] {
        return std::none_of(server_.sessions_.begin(), server_.sessions_.end(), [&](const SimSession* other) {
          return other != &session_ && other->transaction_ && other->transaction_->holds_fence;
        });
      },
      "the rollout's row"));
  const std::uint64_t held = server_.generations_[name];
  if (held > generation && !server_.mutations.no_fence)
    return fail(refuse("generation.stale", "PLGEN", Disposition::kConflict,
                       fmt::format("generation {} is out of date: {} holds it", generation, held)));
  if (session_.transaction_) {
    session_.transaction_->holds_fence = true;
    session_.transaction_->generation = generation;
    session_.transaction_->undo.push_back(
        [server = &server_, name, held] { server->generations_[name] = held; });
  }
  server_.generations_[name] = std::max(held, generation);
  return one(std::to_string(held));
}

// --- the plan's own statements ---------------------------------------------------------------------

bool Statements::in_effect(const change::Step& step) const {
  const SimSchema& s = server_.schema;
  const std::string& id = step.id;
  const std::string mode = s.functions.empty() ? "" : s.functions.begin()->second;
  const auto any_check = [&](bool validated) {
    return std::any_of(s.constraints.begin(), s.constraints.end(),
                       [&](const auto& one_check) { return !validated || one_check.second; });
  };
  const auto index = [&](std::string_view prefix) {
    const auto found = s.indexes.find(id.substr(prefix.size()));
    return found != s.indexes.end() && found->second;
  };
  if (id == "dual_write.add_column") return s.fresh.exists;
  if (id == "dual_write.sync_trigger" || id == "restore.sync_trigger")
    return !s.triggers.empty() && !mode.empty() && mode != "off";
  if (id.starts_with("dual_write.index_")) return index("dual_write.index_");
  if (id == "dual_write.not_null_check") return any_check(false) || s.fresh.not_null;
  if (id == "dual_write.not_null_validate") return any_check(true) || s.fresh.not_null;
  if (id == "dual_write.not_null_set") return s.fresh.not_null && s.constraints.empty();
  if (id == "dual_write.default") return s.fresh.has_default;
  if (id == "dual_write.close_sync") return s.functions.empty() || mode == "off";
  if (id == "expose.open_sync" || id == "restore.open_sync") return mode == "both";
  if (id == "expose.open_sync_new") return mode == "new";
  if (id == "contract.drop") return !s.legacy.exists && s.functions.empty();
  if (id == "restore.add_column") return s.legacy.exists;
  if (id == "restore.not_null") return any_check(false) || s.legacy.not_null;
  if (id == "restore.not_null_validate") return any_check(true) || s.legacy.not_null;
  if (id == "restore.not_null_set") return s.legacy.not_null;
  if (id == "restore.default") return s.legacy.has_default;
  return false;
}

Statements::Answer Statements::probe(const ports::Sql& sql) {
  const auto matches = [&](const change::Step& step) -> Answer {
    if (!step.probe.empty() && step.probe == sql.text)
      return truth(!server_.mutations.no_probe && in_effect(step));
    if (step.repair_when.empty() || step.repair_when != sql.text) return std::nullopt;
    return truth(std::any_of(server_.schema.indexes.begin(), server_.schema.indexes.end(),
                             [](const auto& index) { return !index.second; }));
  };
  for (const auto& item : plan_.items)
    if (item.step)
      if (auto answer = matches(*item.step)) return answer;
  for (const auto* steps : {&plan_.close_sync, &plan_.restore})
    for (const auto& step : *steps)
      if (auto answer = matches(step)) return answer;
  return std::nullopt;
}

const change::Step* Statements::owner(const std::string& sql, bool& forward) const {
  const change::Step* found = nullptr;
  const auto look = [&](const change::Step& step) {
    const auto in = [&](const std::vector<std::string>& all) {
      return std::find(all.begin(), all.end(), sql) != all.end();
    };
    if (in(step.sql) || in(step.repair)) {
      forward = in(step.sql);
      found = &step;
    } else if (in(step.undo)) {
      forward = false;
      found = &step;
    }
  };
  for (const auto& item : plan_.items)
    if (item.step && !found) look(*item.step);
  for (const auto* steps : {&plan_.close_sync, &plan_.restore})
    for (const auto& step : *steps)
      if (!found) look(step);
  return found;
}

Status Statements::lock_table(const std::string& mode) {
  if (mode.empty()) return {};
  // Others hold the weakest lock (a long read), which only the strongest one conflicts with.
  const bool strongest = mode == "AccessExclusiveLock";
  PL_CHECK(server_.wait_for(
      session_,
      [&] {
        const bool reader = strongest && server_.clock_.steady() < server_.reader_until;
        return !reader && !server_.locked_by_other(session_);
      },
      "the table"));
  if (session_.transaction_) session_.transaction_->holds_table = true;
  return {};
}

Statements::Answer Statements::step(const ports::Sql& sql) {
  bool forward = false;
  const change::Step* step = owner(sql.text, forward);
  if (!step) return std::nullopt;
  const DdlResult kind = classify_ddl(sql.text);
  if (!kind.understood) return std::nullopt;
  if (auto locked = lock_table(kind.lock); !locked) return fail(std::move(locked).error());
  SimSchema before = server_.schema;
  if (session_.transaction_ && session_.transaction_->effects.empty() && forward &&
      step->sql.front() == sql.text)
    session_.transaction_->repeated = !step->probe.empty() && in_effect(*step);
  if (server_.mutations.keeps_sequence && sql.text.starts_with("DROP SEQUENCE")) return Rows{};
  if (has(sql.text, "INDEX CONCURRENTLY") &&
      !server_.wait_for(
          session_, [&] { return server_.clock_.steady() >= server_.reader_until; }, "old snapshots")) {
    break_halfway(server_, sql.text);
    return fail(
        refuse("pg.canceled", "57014", Disposition::kRetry, "canceling statement due to user request"));
  }
  const DdlResult done = apply_ddl(server_.schema, sql.text);
  if (done.already_exists && server_.mutations.no_probe) {
    server_.changed(session_, "made again: " + sql.text.substr(0, 60));
    return Rows{};
  }
  if (done.already_exists)
    return fail(refuse("pg.42710", "42710", Disposition::kUser, fmt::format("already exists: {}", sql.text)));
  if (sql.text.starts_with("EXPLAIN") && !(before.legacy.exists && before.fresh.exists))
    return fail(refuse("pg.42703", "42703", Disposition::kUser, "a column is not there"));
  if (server_.schema == before && !sql.text.starts_with("VACUUM")) return Rows{};
  // A column that comes or goes takes its values with it; the table's lock keeps writers out meanwhile.
  std::vector<SimRow> values;
  if (server_.schema.legacy.exists != before.legacy.exists ||
      server_.schema.fresh.exists != before.fresh.exists) {
    values = server_.rows;
    for (SimRow& row : server_.rows) {
      if (server_.schema.legacy.exists != before.legacy.exists) row.legacy.reset();
      if (server_.schema.fresh.exists != before.fresh.exists) row.fresh.reset();
    }
  }
  if (session_.transaction_) {
    session_.transaction_->undo.push_back([server = &server_, before, values = std::move(values)] {
      server->schema = before;
      if (!values.empty()) server->rows = values;
    });
  }
  server_.changed(session_, sql.text.substr(0, 60));
  return Rows{};
}

// --- locks, shape, backfill, verify ----------------------------------------------------------------

Statements::Answer Statements::locks(const ports::Sql& sql) {
  if (!has(sql.text, "FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a"))
    return std::nullopt;
  const TimePoint now = server_.clock_.steady();
  if (now >= server_.reader_until || !has(sql.params.at(1).value_or(""), "AccessShareLock")) return Rows{};
  return table({{"77", "3/77", "1.5", "idle in transaction", "AccessShareLock", "f"}});
}

Statements::Answer Statements::shape(const ports::Sql& sql) {
  const auto blocks = std::to_string((server_.rows.size() + kRowsInBlock - 1) / kRowsInBlock);
  if (sql.text.starts_with("SELECT c.oid, pg_catalog.format('%I.%I'"))
    return table({{kTableOid, "public.orders", kFilenode, blocks, std::to_string(server_.rows.size())}});
  if (sql.text.starts_with("SELECT pg_catalog.format_type(")) return one("bigint");
  if (sql.text.starts_with("SELECT pg_catalog.pg_relation_size($1::oid)")) return one(blocks);
  if (sql.text.starts_with("SELECT pg_catalog.pg_relation_filenode(")) return table({{kFilenode, blocks}});
  if (sql.text.starts_with("SELECT pg_catalog.pg_current_wal_lsn()")) return one("1000000");
  if (has(sql.text, "FROM pg_catalog.pg_stat_replication")) return Rows{};
  if (sql.text.starts_with("SELECT (SELECT count(*) FROM pg_catalog.pg_locks l WHERE NOT l.granted"))
    return table({{"0", "0", "f"}});
  return std::nullopt;
}

Statements::Answer Statements::backfill(const ports::Sql& sql) {
  const auto key = [&] { return ports::to_text(sql.params.at(0)) + "/" + ports::to_text(sql.params.at(1)); };
  if (sql.text.starts_with("SELECT filenode, pass,")) {
    const auto found = server_.checkpoints_.find(key() + "/" + ports::to_text(sql.params.at(2)));
    if (found == server_.checkpoints_.end()) return Rows{};
    return table({found->second});
  }
  if (sql.text.starts_with("SELECT coalesce(max(pass), 1)")) {
    for (const auto& [name, cells] : server_.checkpoints_)
      if (name.starts_with(key() + "/")) return one(cells.at(1));
    return one("1");
  }
  if (sql.text.starts_with("SELECT changed, took_ms FROM poundlock.backfill_batch(")) return batch(sql);
  return std::nullopt;
}

void Statements::checkpoint(const std::string& key, std::vector<Cell> cells) {
  const auto old = server_.checkpoints_.find(key);
  const auto before = old == server_.checkpoints_.end() ? std::nullopt : std::optional(old->second);
  if (session_.transaction_) {
    session_.transaction_->undo.push_back([server = &server_, key, before] {
      if (before)
        server->checkpoints_[key] = *before;
      else
        server->checkpoints_.erase(key);
    });
  }
  server_.checkpoints_[key] = std::move(cells);
}

// poundlock.backfill_batch: fence, UPDATE where there is one, and the checkpoint with what it changed.
Result<Rows> Statements::batch(const ports::Sql& sql) {
  const auto at = [&](std::size_t i) { return ports::to_text(sql.params.at(i)); };
  PL_CHECK(fence({{}, {sql.params.at(2), sql.params.at(0)}}));
  std::uint64_t changed = 0;
  if (!at(1).empty()) {
    PL_TRY(const Rows done, update({at(1), {}}));
    changed = done.affected;
  }
  std::vector<Cell> cells(sql.params.begin() + 5, sql.params.end());  // filenode ... done
  for (const std::size_t rows : {6, 7})
    cells.at(rows) = std::to_string(ports::to_int(cells.at(rows)) + static_cast<std::int64_t>(changed));
  cells.back() = cells.back() == "true" ? "t" : "f";
  if (session_.transaction_) session_.transaction_->recorded = LedgerRow{at(2), at(3), "backfill", "", 0};
  checkpoint(at(2) + "/" + at(3) + "/" + at(4), std::move(cells));
  return table({{std::to_string(changed), "2.5"}});
}

Result<Rows> Statements::update(const ports::Sql& sql) {
  bool to_fresh = true;
  if (!ends_in_step(plan_, sql.text, to_fresh))
    return fail(make_error(Disposition::kInternal, "sim.statement", "an UPDATE of no step: " + sql.text));
  const SimSchema& s = server_.schema;
  if (!s.legacy.exists || !s.fresh.exists)
    return fail(refuse("pg.42703", "42703", Disposition::kUser, "a column is not there"));
  PL_CHECK(server_.wait_for(
      session_, [&] { return !server_.locked_by_other(session_); }, "the table"));
  const Scope scope = scope_of(sql);
  const bool skips = has(sql.text, "SKIP LOCKED");
  Rows out;
  for (std::size_t place = 0; place < server_.rows.size(); ++place) {
    SimRow& row = server_.rows[place];
    if (!scope.contains(row, place) || !out_of_step(row, to_fresh)) continue;
    const bool held = place < kRowsInBlock && server_.clock_.steady() < server_.row_lock_until;
    if ((held || (row.locked_by != 0 && row.locked_by != session_.pid_)) && skips) continue;
    if (held) {
      PL_CHECK(server_.wait_for(
          session_, [&] { return server_.clock_.steady() >= server_.row_lock_until; }, "a row"));
    }
    row.locked_by = session_.pid_;
    auto& target = to_fresh ? row.fresh : row.legacy;
    if (session_.transaction_) {
      session_.transaction_->rows_changed = true;
      session_.transaction_->undo.push_back([server = &server_, id = row.id, to_fresh, before = target] {
        if (SimRow* again = server->row_of(id)) (to_fresh ? again->fresh : again->legacy) = before;
      });
    }
    target = to_fresh ? std::optional(up(*row.legacy)) : std::optional(down(*row.fresh));
    ++out.affected;
  }
  return out;
}

// Verify: counts and names of rows out of step.
Statements::Answer Statements::select_rows(const ports::Sql& sql) {
  bool to_fresh = true;
  if (!sql.text.starts_with("SELECT ") || !has(sql.text, " FROM public.orders WHERE ")) return std::nullopt;
  if (!ends_in_step(plan_, sql.text, to_fresh)) return std::nullopt;
  if (!server_.schema.legacy.exists || !server_.schema.fresh.exists)
    return fail(refuse("pg.42703", "42703", Disposition::kUser, "a column is not there"));
  const Scope scope = scope_of(sql);
  std::vector<const SimRow*> differing;
  int all = 0;
  for (std::size_t place = 0; place < server_.rows.size(); ++place) {
    const SimRow& row = server_.rows[place];
    if (!scope.contains(row, place)) continue;
    ++all;
    if (out_of_step(row, to_fresh)) differing.push_back(&row);
  }
  if (sql.text.starts_with("SELECT count(*), count(*) FILTER"))
    return table({{std::to_string(all), std::to_string(differing.size())}});
  if (sql.text.starts_with("SELECT count(*) FROM")) return one(std::to_string(differing.size()));
  Rows out;
  for (const SimRow* row : differing)
    out.rows.push_back({fmt::format("({})", row->id), std::to_string(row->id)});
  return out;
}

}  // namespace poundlock::sim
