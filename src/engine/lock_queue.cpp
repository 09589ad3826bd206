#include "engine/lock_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "lint/locks.h"
#include "ports/cells.h"
#include "schema/sql.h"
#include "schema/tree.h"

namespace poundlock::engine {
namespace {

constexpr int kShare = 5;  // the weakest mode that an UPDATE has to wait for
constexpr Millis kBackoffMin{50};
constexpr Millis kBackoffMax{200};
constexpr std::size_t kSqlMax = 60;     // bytes of a statement in a note
constexpr Millis kGiveUpAfter{30'000};  // beyond the long transaction

// With and without our policy nobody else is served better: both rounds measure the same.
Status roll_back(ports::Session& session) {
  PL_CHECK(session.run("ROLLBACK"));
  return {};
}

// A full disk (class 53) does not get better by waiting here.
bool worth_a_retry(const Error& error) {
  return error.disposition == Disposition::kRetry && !error.sqlstate.starts_with("53");
}

std::string beginning_of(const std::string& sql) {
  std::size_t end = std::min(sql.size(), kSqlMax);
  while (end > 0 && end < sql.size() && (static_cast<unsigned char>(sql[end]) & 0xC0) == 0x80) --end;
  return end < sql.size() ? sql.substr(0, end) + "..." : sql;
}

}  // namespace

std::vector<ports::TrafficStatement> LockQueue::traffic_for(const std::vector<std::string>& tables) const {
  if (!options_.traffic.empty()) return options_.traffic;
  std::vector<ports::TrafficStatement> out;
  for (const auto& table : tables) {
    out.push_back({"read of " + table, fmt::format("SELECT 1 FROM {} LIMIT 1", table), {}});
    out.push_back({"write of " + table, fmt::format("DELETE FROM {} WHERE false", table), {}});
    // What an UPDATE of one row waits for.
    if (std::find(row_locks_.begin(), row_locks_.end(), table) != row_locks_.end())
      out.push_back({"write of a row of " + table,
                     fmt::format("SELECT 1 FROM {} LIMIT 1 FOR NO KEY UPDATE", table),
                     {}});
  }
  return out;
}

// It has written (ROW EXCLUSIVE): a reader alone would let pass what stops writers only (SHARE and SHARE ROW
// EXCLUSIVE: an index, a foreign key, a trigger), which waits for a batch job as well as an ALTER does.
// Ends by itself: nobody here could end it while the statement waits for it.
Result<std::unique_ptr<ports::Session>> LockQueue::long_transaction(const std::vector<std::string>& tables) {
  PL_TRY(auto session, shadow_.connect());
  PL_CHECK(session->run("SET idle_in_transaction_session_timeout = '" +
                        std::to_string(options_.long_transaction.count()) + "ms'"));
  PL_CHECK(session->run("BEGIN"));
  for (const auto& table : tables)
    PL_CHECK(session->run(fmt::format("LOCK TABLE {} IN ROW EXCLUSIVE MODE", table)));
  return session;
}

Status LockQueue::attempt(ports::Session& session, const std::vector<std::string>& statements,
                          Millis lock_timeout, Round& round) {
  const TimePoint began = ports_.clock->steady();
  for (;;) {
    round.tries += 1;
    PL_CHECK(session.run("BEGIN"));
    PL_CHECK(session.run(fmt::format("SET LOCAL lock_timeout = {}", lock_timeout.count())));
    std::optional<Error> error;
    for (const auto& sql : statements) {
      if (auto done = session.run(sql); !done) {
        error = std::move(done).error();
        break;
      }
    }
    if (session.broken()) return fail(*error);
    PL_CHECK(roll_back(session));
    if (!error) return {};
    if (error->sqlstate == "40P01") round.deadlock = true;
    if (!worth_a_retry(*error)) return fail(std::move(*error));
    if (ports_.clock->steady() - began > options_.long_transaction + kGiveUpAfter ||
        (ports_.stopped && ports_.stopped())) {
      round.unfinished = true;
      return {};
    }
    ports_.clock->sleep(std::max(kBackoffMin, jitter_.around(kBackoffMax)));
  }
}

Result<LockQueue::Round> LockQueue::play(const std::vector<std::string>& statements,
                                         const std::vector<std::string>& tables, Millis lock_timeout,
                                         const Alone* alone) {
  Round round;
  PL_TRY(auto session, shadow_.connect());
  PL_CHECK(session->run("SET search_path = " + options_.search_path));
  std::unique_ptr<ports::Session> in_the_way;
  if (options_.long_transaction.count() > 0) {
    PL_TRY(in_the_way, long_transaction(tables));
  }
  PL_CHECK(ports_.traffic->start(shadow_, traffic_for(tables), options_.search_path, options_.sessions,
                                 options_.lock_timeout * 2));
  const Status done = alone ? attempt_alone(*session, statements.front(), alone->undo, lock_timeout, round)
                            : attempt(*session, statements, lock_timeout, round);
  round.traffic = ports_.traffic->stop();
  in_the_way.reset();
  // Ours, not the change's: with the traffic still beside it, its wait would count as the change's stall.
  if (alone && !alone->undo.empty() && !session->broken()) PL_CHECK(session->run(alone->undo));
  PL_CHECK(done);
  return round;
}

bool LockQueue::count(const std::string& name, bool policy, const Result<Round>& round) {
  if (!round) {
    report_.notes.push_back(
        fmt::format("the lock queue of {} was not measured: {}", name, round.error().to_string()));
    return false;
  }
  auto& stall = policy ? report_.longest_stall : report_.longest_stall_without_policy;
  stall = std::max(stall, round->traffic.longest_statement);
  report_.statements += round->traffic.statements;
  report_.deadlocks += std::max<std::uint64_t>(round->traffic.deadlocks, round->deadlock ? 1 : 0);
  if (policy) report_.lock_tries += round->tries;
  if (round->unfinished)
    report_.notes.push_back(fmt::format("{} never got its locks beside the traffic", name));
  if (round->deadlock || round->traffic.deadlocks > 0)
    report_.notes.push_back(fmt::format(
        "{} {} with the traffic{}", name, policy ? "deadlocks, with our policy as well," : "deadlocks",
        round->traffic.first_deadlock.empty() ? "" : ": its victim was " + round->traffic.first_deadlock));
  const std::uint64_t failed = round->traffic.errors - round->traffic.row_errors;
  report_.failed += failed;
  if (failed > 0 && report_.first_failed.empty()) report_.first_failed = round->traffic.first_error;
  if (failed == 0 && round->traffic.errors > 0)
    report_.notes.push_back(fmt::format("{} statements of the traffic failed: {}", round->traffic.errors,
                                        round->traffic.first_error));
  return true;
}

// Each try by itself, under the session's lock_timeout, as the product's own steps of that kind. What a try
// leaves half-built (an invalid index) is taken away before the next one.
Status LockQueue::attempt_alone(ports::Session& session, const std::string& sql, const std::string& undo,
                                Millis lock_timeout, Round& round) {
  const TimePoint began = ports_.clock->steady();
  for (;;) {
    round.tries += 1;
    PL_CHECK(session.run(fmt::format("SET lock_timeout = {}", lock_timeout.count())));
    auto done = session.run(sql);
    if (session.broken()) return fail(std::move(done).error());
    PL_CHECK(session.run("SET lock_timeout = 0"));
    if (done) return {};
    if (done.error().sqlstate == "40P01") round.deadlock = true;
    if (!worth_a_retry(done.error())) return fail(std::move(done).error());
    if (ports_.clock->steady() - began > options_.long_transaction + kGiveUpAfter ||
        (ports_.stopped && ports_.stopped())) {
      round.unfinished = true;
      return {};
    }
    // It waits for the long transaction, and nobody waits for it.
    if (!undo.empty()) PL_CHECK(session.run(undo));
    ports_.clock->sleep(std::max(kBackoffMin, jitter_.around(kBackoffMax)));
  }
}

// VACUUM, CLUSTER and REINDEX of something named change nothing that a second run would find otherwise, and
// an index that was built can be dropped. nullopt: it cannot be run twice.
Result<std::optional<LockQueue::Alone>> LockQueue::repeatable(ports::Session& session,
                                                              const std::string& sql) {
  const auto parsed = schema::parse_statement(sql);
  if (!parsed) return std::nullopt;
  const auto relation = lint::strongest_lock(*parsed).relation;
  const PgQuery__Node& node = *parsed->node();
  const bool index = node.node_case == PG_QUERY__NODE__NODE_INDEX_STMT;
  const bool again = node.node_case == PG_QUERY__NODE__NODE_VACUUM_STMT ||
                     node.node_case == PG_QUERY__NODE__NODE_CLUSTER_STMT ||
                     node.node_case == PG_QUERY__NODE__NODE_REINDEX_STMT;
  if ((!index && !again) || relation.name.empty()) return std::nullopt;
  PL_TRY(const auto found,
         session.run("SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                     "ON n.oid = c.relnamespace WHERE c.oid = coalesce((SELECT indrelid FROM "
                     "pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass($1)), "
                     "pg_catalog.to_regclass($1))",
                     {relation.to_sql()}));
  if (found.rows.empty()) return std::nullopt;
  const schema::QualifiedName table{ports::to_text(found.rows[0][0]), ports::to_text(found.rows[0][1])};
  Alone out{{}, table.to_sql()};
  if (!index) return out;
  const std::string name(schema::text_of(node.index_stmt->idxname));
  const std::string made = schema::QualifiedName{table.schema, name}.to_sql();
  PL_TRY(const auto taken, session.run("SELECT pg_catalog.to_regclass($1) IS NOT NULL", {made}));
  if (name.empty() || ports::to_bool(taken.rows.at(0)[0])) return std::nullopt;  // nobody's index is dropped
  out.undo = "DROP INDEX CONCURRENTLY IF EXISTS " + made;
  return out;
}

Status LockQueue::measure_alone(Tracer& tracer, const std::string& name, const std::string& sql) {
  PL_TRY(const auto alone, repeatable(tracer.session(), sql));
  if (!alone) {
    report_.notes.push_back(
        fmt::format("the lock queue of {} was not measured: what refuses a transaction cannot be taken back "
                    "and run again; its locks are those that were seen while it ran: {}",
                    name, beginning_of(sql)));
    return {};
  }
  const TimePoint began = ports_.clock->steady();
  for (const bool policy : {false, true}) {
    const Millis timeout = policy ? options_.lock_timeout : Millis{0};
    if (!count(name, policy, play({sql}, {alone->table}, timeout, &*alone))) return {};
    if (ports_.clock->steady() - began > options_.statement_max) {
      report_.notes.push_back(
          fmt::format("{} takes too long to be run once more: its lock queue was measured "
                      "without our policy only",
                      name));
      break;
    }
  }
  report_.groups += 1;
  return {};
}

Status LockQueue::measure(Tracer& tracer, const std::string& name,
                          const std::vector<std::string>& statements) {
  if (!ports_.traffic) return {};
  if (report_.groups >= options_.groups_max) {
    const std::string rest = fmt::format(
        "the lock queue of the first {} transactions that block writers was measured, not that of what came "
        "after them",
        options_.groups_max);
    if (report_.notes.empty() || report_.notes.back() != rest) report_.notes.push_back(rest);
    return {};
  }
  std::vector<std::string> tables;
  row_locks_.clear();
  PL_CHECK(tracer.session().run("BEGIN"));
  double seconds = 0;
  Status failed;
  for (const auto& sql : statements) {
    auto trace = tracer.in_transaction(sql);
    if (!trace) return fail(std::move(trace).error());
    seconds += trace->seconds;
    if (trace->error) {
      PL_CHECK(roll_back(tracer.session()));
      if (trace->error->sqlstate == "25001")
        return statements.size() == 1 ? measure_alone(tracer, name, sql) : Status{};
      return {};
    }
    for (const auto& lock : trace->locks) {
      const bool table = lock.kind == 'r' || lock.kind == 'p' || lock.kind == 'm';
      if (table && lock_strength(lock.mode) >= kShare &&
          std::find(tables.begin(), tables.end(), lock.relation) == tables.end())
        tables.push_back(lock.relation);
    }
    for (const auto& table : trace->row_locks) {
      row_locks_.push_back(table);
      if (std::find(tables.begin(), tables.end(), table) == tables.end()) tables.push_back(table);
    }
  }
  PL_CHECK(roll_back(tracer.session()));
  if (tables.empty()) return {};
  const Millis own{static_cast<std::int64_t>(seconds * 1000)};
  if (own > options_.statement_max) {
    report_.longest_stall = std::max(report_.longest_stall, own);
    report_.longest_stall_without_policy = std::max(report_.longest_stall_without_policy, own);
    report_.notes.push_back(fmt::format(
        "{} takes {} by itself: every statement on its tables waits that long", name, format_duration(own)));
    return {};
  }
  for (const bool policy : {false, true}) {
    if (!count(name, policy, play(statements, tables, policy ? options_.lock_timeout : Millis{0}))) return {};
  }
  report_.groups += 1;
  return {};
}

}  // namespace poundlock::engine
