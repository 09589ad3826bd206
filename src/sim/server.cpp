#include "sim/server.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/statements.h"

namespace poundlock::sim {
namespace {

constexpr Millis kIdleInTransactionMax{5'000};  // as every transaction of the engine sets it
constexpr Millis kHangingSessionMax{60'000};    // then somebody ends the session of a process that hangs
constexpr Millis kLockWaitStep{10};
constexpr Millis kLockWaitMax{3'600'000};  // of a session without lock_timeout

Error error(Disposition disposition, std::string code, std::string state, std::string message) {
  Error out = make_error(disposition, std::move(code), std::move(message));
  out.sqlstate = std::move(state);
  return out;
}

Error connection_error(bool in_doubt) {
  return in_doubt
             ? error(Disposition::kInDoubt, "pg.in_doubt", "",
                     "the connection broke while a commit was in flight")
             : error(Disposition::kReconnect, "pg.connection", "", "the connection to the server is broken");
}

Error application_error(const std::string& state, const std::string& message) {
  return error(Disposition::kUser, "pg." + state, state, message);
}

}  // namespace

std::string up(const std::string& legacy) {
  return legacy + "!";
}
std::string down(const std::string& fresh) {
  return fresh.empty() ? fresh : fresh.substr(0, fresh.size() - 1);
}

// --- sessions --------------------------------------------------------------------------------------

SimSession::~SimSession() {
  server_.disconnect(*this);
}

bool SimSession::broken() const {
  return broken_ || server_.gone(*this);
}

Result<ports::Rows> SimSession::run(const ports::Sql& sql) {
  PL_TRY(auto all, server_.round_trip(*this, std::span(&sql, 1)));
  return std::move(all.front());
}

Result<std::vector<ports::Rows>> SimSession::pipeline(std::span<const ports::Sql> statements) {
  return server_.round_trip(*this, statements);
}

Server::Server(WorldClock& clock, const rollout::Plan& plan, int row_count) : clock_(clock), plan_(plan) {
  schema.legacy_name = plan.legacy.empty() ? "" : plan.legacy[0].column;
  schema.fresh_name = plan.fresh.empty() ? "" : plan.fresh[0].column;
  schema.legacy = {true, true, true};
  for (int id = 0; id < row_count; ++id) rows.push_back({id, fmt::format("v{}", id), std::nullopt, 0});
}

Result<std::unique_ptr<ports::Session>> Server::connect(int process) {
  if (hooks.before) hooks.before(process);
  if (hooks.dead && hooks.dead(process)) return fail(connection_error(false));
  if (hooks.fate && hooks.fate(process) == Break::kBefore) return fail(connection_error(false));
  auto session = std::make_unique<SimSession>(*this, process, next_pid_++);
  session->active_ = clock_.steady();
  sessions_.insert(session.get());
  return std::unique_ptr<ports::Session>(std::move(session));
}

bool Server::gone(const SimSession& session) const {
  return hooks.dead && hooks.dead(session.process_);
}

void Server::disconnect(SimSession& session) {
  roll_back(session);
  session.broken_ = true;
  session.advisory_ = false;
  sessions_.erase(&session);
}

// Backends whose client is gone end at once, those that sit idle in a transaction after their time-out.
void Server::expire() {
  std::vector<SimSession*> ended;
  for (SimSession* session : sessions_) {
    const bool idle = session->transaction_ && clock_.steady() - session->active_ >= kIdleInTransactionMax;
    const bool hangs = hooks.overtaken && hooks.overtaken(session->process_) &&
                       clock_.steady() - session->active_ >= kHangingSessionMax;
    if (idle || hangs || gone(*session)) ended.push_back(session);
  }
  // By pid: pointers have another order in every run.
  std::sort(ended.begin(), ended.end(), [](const auto* a, const auto* b) { return a->pid_ < b->pid_; });
  for (SimSession* session : ended) {
    if (hooks.tell) hooks.tell(fmt::format("server: session {} is ended", session->pid_));
    disconnect(*session);
  }
}

Result<std::vector<ports::Rows>> Server::round_trip(SimSession& session,
                                                    std::span<const ports::Sql> statements) {
  if (hooks.before) hooks.before(session.process_);
  expire();
  if (session.broken()) return fail(connection_error(false));
  const Break fate = hooks.fate ? hooks.fate(session.process_) : Break::kNone;
  const bool committing = std::any_of(statements.begin(), statements.end(),
                                      [](const ports::Sql& sql) { return sql.text == "COMMIT"; });
  const bool autocommit =
      !session.transaction_ && statements.size() == 1 && changes_something(statements[0].text);
  if (fate == Break::kBefore) {
    disconnect(session);
    return fail(connection_error(false));
  }
  std::vector<ports::Rows> answers;
  std::size_t left = fate == Break::kMiddle ? statements.size() / 2 : statements.size();
  for (const ports::Sql& sql : statements) {
    if (left-- == 0) break;
    const bool controls = sql.text == "BEGIN" || sql.text == "COMMIT" || sql.text == "ROLLBACK";
    session.active_ = clock_.steady();
    if (session.cancel_ && !controls) {
      session.cancel_ = false;
      if (session.transaction_) session.transaction_->failed = true;
      return fail(
          error(Disposition::kRetry, "pg.canceled", "57014", "canceling statement due to user request"));
    }
    if (fate == Break::kDeadlock && session.transaction_ && !controls) {
      session.transaction_->failed = true;
      return fail(error(Disposition::kRetry, "pg.deadlock", "40P01", "deadlock detected"));
    }
    auto answer = execute(session, sql);
    session.active_ = clock_.steady();
    if (!answer) {
      if (session.transaction_) session.transaction_->failed = true;
      return fail(std::move(answer).error());
    }
    answers.push_back(std::move(*answer));
  }
  if (fate == Break::kMiddle || fate == Break::kAfter) {
    if (fate == Break::kMiddle && autocommit) break_halfway(*this, statements[0].text);
    disconnect(session);
    return fail(connection_error(committing || autocommit));
  }
  return answers;
}

// --- transactions ----------------------------------------------------------------------------------

Result<ports::Rows> Server::execute(SimSession& session, const ports::Sql& sql) {
  if (sql.text == "ROLLBACK") {
    roll_back(session);
    return ports::Rows{};
  }
  if (session.transaction_ && session.transaction_->failed)
    return fail(application_error("25P02", "current transaction is aborted"));
  if (sql.text == "BEGIN") {
    session.transaction_.emplace();
    return ports::Rows{};
  }
  if (sql.text == "COMMIT") {
    PL_CHECK(commit(session));
    return ports::Rows{};
  }
  return Statements(*this, session, plan_).run(sql);
}

Status Server::commit(SimSession& session) {
  if (!session.transaction_) return {};
  Transaction done = std::move(*session.transaction_);
  session.transaction_.reset();
  for (SimRow& row : rows)
    if (row.locked_by == session.pid_) row.locked_by = 0;
  if (done.generation != 0) session.fenced_ = done.generation;
  if (done.recorded && done.recorded->step.ends_with("verify") && done.recorded->direction == "forward")
    verified_at = clock_.steady();
  note_sync();
  if ((!done.effects.empty() || done.rows_changed) && hooks.committed) {
    Effect effect{
        session.process_, done.generation, held_generation(), "", "", done.effects, done.repeated, true};
    if (done.recorded) {
      effect.step = done.recorded->step;
      effect.direction = done.recorded->direction;
    }
    hooks.committed(effect);
  }
  return {};
}

void Server::roll_back(SimSession& session) {
  if (!session.transaction_) return;
  auto& undo = session.transaction_->undo;
  for (auto it = undo.rbegin(); it != undo.rend(); ++it) (*it)();
  for (SimRow& row : rows)
    if (row.locked_by == session.pid_) row.locked_by = 0;
  session.transaction_.reset();
}

void Server::changed(SimSession& session, const std::string& effect) {
  if (session.transaction_) {
    session.transaction_->effects.push_back(effect);
    return;
  }
  note_sync();
  if (!hooks.committed) return;
  hooks.committed({session.process_, session.fenced_, held_generation(), "", "", {effect}, false, false});
}

void Server::note_sync() {
  const std::string mode = schema.sync_mode();
  const bool syncs = !mode.empty() && mode != "off" && schema.legacy.exists && schema.fresh.exists;
  if (!syncs)
    synced_since = {};
  else if (synced_since.ms == 0)
    synced_since = clock_.steady();
}

std::uint64_t Server::held_generation() const {
  const auto found = generations_.find(plan_.rollout);
  return found == generations_.end() ? 0 : found->second;
}

// --- locks -----------------------------------------------------------------------------------------

bool Server::locked_by_other(const SimSession& session) const {
  return std::any_of(sessions_.begin(), sessions_.end(), [&](const SimSession* other) {
    return other != &session && other->transaction_ && other->transaction_->holds_table;
  });
}

Status Server::wait_for(SimSession& session, const std::function<bool()>& free, const std::string& what) {
  const Millis limit = session.lock_timeout_.count() > 0 ? session.lock_timeout_ : kLockWaitMax;
  for (Millis waited{0};; waited += kLockWaitStep) {
    expire();
    if (free()) return {};
    if (session.cancel_) {
      session.cancel_ = false;
      return fail(
          error(Disposition::kRetry, "pg.canceled", "57014", "canceling statement due to user request"));
    }
    if (waited >= limit)
      return fail(error(Disposition::kRetry, "pg.lock_timeout", "55P03",
                        "canceling statement due to lock timeout: " + what));
    session.active_ = clock_.steady();
    clock_.advance(std::min(kLockWaitStep, limit - waited));
    session.active_ = clock_.steady();
  }
}

// --- the application's side ------------------------------------------------------------------------

SimRow* Server::row_of(int id) {
  const auto found = std::find_if(rows.begin(), rows.end(), [id](const SimRow& row) { return row.id == id; });
  return found == rows.end() ? nullptr : &*found;
}

// Turned off, the sync derives nothing any more, but goes on to answer for what the expand has made of the
// new column: read off the statement that turns it off, so that one that forgets it is found here.
bool Server::fills_when_off() const {
  return std::any_of(plan_.close_sync.begin(), plan_.close_sync.end(), [](const change::Step& step) {
    return std::any_of(step.sql.begin(), step.sql.end(), [](const std::string& sql) {
      return sql.find("\n  IF TG_OP = ") != std::string::npos;
    });
  });
}

// What the trigger does with a row of which one side was written.
void Server::derive(SimRow& row, bool fresh_side) {
  const std::string mode = schema.sync_mode();
  if (mode.empty() || mode == "off" || !schema.legacy.exists || !schema.fresh.exists) return;
  const bool authority = fresh_side && mode != "legacy" && !mutations.loses_writes;
  if (mode == "fresh" || authority)
    row.legacy = row.fresh ? std::optional(down(*row.fresh)) : std::nullopt;
  else
    row.fresh = row.legacy ? std::optional(up(*row.legacy)) : std::nullopt;
}

Result<bool> Server::write(int id, bool fresh_side, const std::string& legacy_value) {
  expire();
  SimRow* row = row_of(id);
  if (!row) return fail(internal_error("a row that the application wrote is gone"));
  const SimColumn& column = fresh_side ? schema.fresh : schema.legacy;
  const bool table = std::any_of(sessions_.begin(), sessions_.end(), [](const SimSession* one) {
    return one->transaction_ && one->transaction_->holds_table;
  });
  if (table || row->locked_by != 0) return false;
  ++(fresh_side ? fresh_reads : legacy_reads);
  if (!column.exists)
    return fail(application_error("42703", "the column that the application writes is not there"));
  (fresh_side ? row->fresh : row->legacy) = fresh_side ? up(legacy_value) : legacy_value;
  derive(*row, fresh_side);
  return true;
}

Result<bool> Server::insert(int id, bool fresh_side, const std::string& legacy_value) {
  const SimColumn& column = fresh_side ? schema.fresh : schema.legacy;
  const SimColumn& other = fresh_side ? schema.legacy : schema.fresh;
  const bool table = std::any_of(sessions_.begin(), sessions_.end(), [](const SimSession* one) {
    return one->transaction_ && one->transaction_->holds_table;
  });
  if (table) return false;
  ++(fresh_side ? fresh_reads : legacy_reads);
  if (!column.exists)
    return fail(application_error("42703", "the column that the application writes is not there"));
  SimRow row{id, std::nullopt, std::nullopt, 0};
  (fresh_side ? row.fresh : row.legacy) = fresh_side ? up(legacy_value) : legacy_value;
  if (other.exists && other.has_default)
    (fresh_side ? row.legacy : row.fresh) = fresh_side ? "pending" : up("pending");
  if (schema.sync_mode() == "off" && !fresh_side && fills_when_off())
    row.fresh = up(legacy_value);
  else
    derive(row, fresh_side);
  // Where both sides are there and the default was taken, derive() has replaced it, or nobody keeps the
  // sides.
  const auto& value = fresh_side ? row.legacy : row.fresh;
  if (other.exists && other.not_null && !value)
    return fail(application_error("23502", "null value in a column that the application does not write"));
  const bool checked =
      std::any_of(schema.constraints.begin(), schema.constraints.end(), [](const auto&) { return true; });
  if (checked && schema.fresh.exists && !row.fresh)
    return fail(application_error("23514", "a check of the change refuses the application's row"));
  rows.push_back(std::move(row));
  return true;
}

Result<std::string> Server::read(int id, bool fresh_side) const {
  const SimColumn& column = fresh_side ? schema.fresh : schema.legacy;
  if (!column.exists)
    return fail(application_error("42703", "the column that the application reads is not there"));
  for (const SimRow& row : rows) {
    if (row.id != id) continue;
    const auto& value = fresh_side ? row.fresh : row.legacy;
    if (!value) return std::string("NULL");
    return fresh_side ? down(*value) : *value;
  }
  return fail(internal_error("a row that the application wrote is gone"));
}

int Server::mismatches() const {
  if (!schema.legacy.exists || !schema.fresh.exists) return static_cast<int>(rows.size());
  return static_cast<int>(std::count_if(rows.begin(), rows.end(), [](const SimRow& row) {
    return row.fresh != (row.legacy ? std::optional(up(*row.legacy)) : std::nullopt);
  }));
}

}  // namespace poundlock::sim
