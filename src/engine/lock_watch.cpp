#include "engine/lock_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "rollout/question_text.h"

namespace poundlock::engine {
namespace {

constexpr Millis kRecent{60'000};
constexpr Millis kReconnectAfter{1000};
constexpr std::size_t kRecentMax = 4096;

// One row for each session that waits. waitstart is read through jsonb since PostgreSQL 13 has none; there
// the statement's start stands in, where this role may see it.
constexpr std::string_view kSql = R"sql(
WITH waiting AS MATERIALIZED (
  SELECT l.pid, min((to_jsonb(l) ->> 'waitstart')::timestamptz) AS since
  FROM pg_catalog.pg_locks l WHERE NOT l.granted AND l.pid IS NOT NULL GROUP BY l.pid
)
SELECT w.pid, a.application_name LIKE 'poundlock%',
       1000 * extract(epoch FROM clock_timestamp() - coalesce(w.since, a.query_start)),
       array_to_string(pg_catalog.pg_blocking_pids(w.pid), ','),
       (SELECT string_agg(o.pid::text, ',') FROM pg_catalog.pg_stat_activity o
        WHERE o.application_name LIKE 'poundlock%'),
       format('pid %s of %s (%s)', w.pid, coalesce(a.usename, '?'), coalesce(a.application_name, ''))
FROM waiting w JOIN pg_catalog.pg_stat_activity a ON a.pid = w.pid LIMIT 1000)sql";

std::vector<int> pids(const ports::Cell& cell) {
  std::vector<int> out;
  if (!cell) return out;
  const char* at = cell->data();
  const char* end = at + cell->size();
  while (at < end) {
    int pid = 0;
    const auto [next, error] = std::from_chars(at, end, pid);
    if (error != std::errc()) break;
    out.push_back(pid);
    at = next < end ? next + 1 : end;
  }
  return out;
}

}  // namespace

const Waiter* longest_behind(const std::vector<Waiter>& waiters, const std::set<int>& ours) {
  std::map<int, const Waiter*> by_pid;
  for (const Waiter& waiter : waiters) by_pid[waiter.pid] = &waiter;
  const Waiter* longest = nullptr;
  for (const Waiter& waiter : waiters) {
    if (waiter.ours || ours.contains(waiter.pid)) continue;
    std::set<int> seen{waiter.pid};  // waits may go in a circle until the deadlock is found
    std::vector<int> open = waiter.blockers;
    bool behind = false;
    while (!open.empty() && !behind) {
      const int pid = open.back();
      open.pop_back();
      if (!seen.insert(pid).second) continue;
      behind = ours.contains(pid);
      const auto found = by_pid.find(pid);
      if (found != by_pid.end())
        open.insert(open.end(), found->second->blockers.begin(), found->second->blockers.end());
    }
    if (behind && (!longest || waiter.ms > longest->ms)) longest = &waiter;
  }
  return longest;
}

Status LockWatch::look(TimePoint now) {
  if (session_ && session_->broken()) session_.reset();
  if (!session_) {
    if (now < retry_at_)
      return fail(make_error(Disposition::kRetry, "lock_watch.connection", "no connection"));
    retry_at_ = now + kReconnectAfter;
    PL_TRY(auto session, database_.connect());
    PL_CHECK(session->run("SET statement_timeout = '500ms'"));
    PL_CHECK(session->run("SET jit = off"));
    session_ = std::move(session);
  }
  PL_TRY(const ports::Rows rows, session_->run(std::string(kSql)));
  std::vector<Waiter> waiters;
  std::set<int> ours;
  for (const auto& row : rows.rows) {
    Waiter waiter;
    waiter.pid = static_cast<int>(rollout::number_in(row[0]).value_or(0));
    waiter.ours = row[1] == "t";
    waiter.ms = rollout::number_in(row[2]).value_or(0);
    waiter.blockers = pids(row[3]);
    for (const int pid : pids(row[4])) ours.insert(pid);
    waiter.who = row[5].value_or("");
    waiters.push_back(std::move(waiter));
  }
  now_ = {};
  if (const Waiter* longest = longest_behind(waiters, ours)) now_ = {longest->ms, longest->who};
  return {};
}

void LockWatch::sample(rollout::Observations& into, TimePoint now) {
  if (!look(now)) return;
  if (now_.ms > max_.ms) max_ = now_;
  if (now_.ms > longest_.ms) longest_ = now_;
  if (now_.ms > 0) recent_.emplace_back(now, now_);
  while (!recent_.empty() && (recent_.size() > kRecentMax || now - recent_.front().first > kRecent))
    recent_.pop_front();
  Wait recent;
  for (const auto& [at, wait] : recent_) {
    if (wait.ms > recent.ms) recent = wait;
  }
  const auto tell = [&](const char* name, const Wait& wait) {
    into.values[name] = {std::max(0.0, wait.ms), now, "primary", wait.who};
  };
  tell("lock_waits.now_ms", now_);
  tell("lock_waits.recent_ms", recent);
  tell("lock_waits.max_ms", max_);
  tell("lock_waits.longest_ms", longest_);
}

}  // namespace poundlock::engine
