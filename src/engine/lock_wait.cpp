#include "engine/lock_wait.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ports/cells.h"

namespace poundlock::engine {
namespace {

// Weakest first; a mode's row tells what it conflicts with.
constexpr std::array<std::string_view, 8> kModes{
    "AccessShareLock", "RowShareLock",          "RowExclusiveLock", "ShareUpdateExclusiveLock",
    "ShareLock",       "ShareRowExclusiveLock", "ExclusiveLock",    "AccessExclusiveLock"};
constexpr std::array<unsigned, 8> kConflicts{0b10000000, 0b11000000, 0b11110000, 0b11111000,
                                             0b11101100, 0b11111100, 0b11111110, 0b11111111};

}  // namespace

std::vector<std::string> conflicting_modes(std::string_view mode) {
  const auto at = std::find(kModes.begin(), kModes.end(), mode);
  // An unknown mode is taken for the strongest: to wait too long is better than to stall somebody.
  const unsigned bits =
      at == kModes.end() ? kConflicts.back() : kConflicts[static_cast<std::size_t>(at - kModes.begin())];
  std::vector<std::string> modes;
  for (std::size_t i = 0; i < kModes.size(); ++i) {
    if ((bits >> i) & 1U) modes.emplace_back(kModes[i]);
  }
  return modes;
}

Result<std::vector<LockHolder>> lock_holders(ports::Session& session, const std::string& relation,
                                             const std::string& mode) {
  // Partitions and the indexes' tables are locked with their parent: pg_partition_tree has them all; for a
  // plain table it answers the table itself (PostgreSQL 12 on).
  PL_TRY(
      const auto rows,
      session.run(
          "SELECT l.pid, l.virtualtransaction, coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - "
          "a.xact_start), -1), coalesce(a.state, ''), l.mode, coalesce(a.backend_type = 'autovacuum worker', "
          "false) FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid WHERE "
          "l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = "
          "pg_catalog.current_database()) AND (l.relation = pg_catalog.to_regclass($1)::oid OR l.relation IN "
          "(SELECT relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)))) AND l.mode = ANY "
          "($2::text[]) AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() ORDER BY 3 DESC LIMIT 100",
          {relation, ports::array_literal(conflicting_modes(mode))}));
  std::vector<LockHolder> holders;
  for (const auto& r : rows.rows) {
    holders.push_back({static_cast<int>(ports::to_int(r[0])), ports::to_text(r[1]),
                       ports::to_double(r[2], -1), ports::to_text(r[3]), ports::to_text(r[4]),
                       ports::to_bool(r[5])});
  }
  return holders;
}

// Who is in the way for long, in words; "" for nobody.
Result<std::string> LockWait::in_the_way(ports::Session& session, const std::string& relation,
                                         const std::string& mode) {
  PL_TRY(const auto holders, lock_holders(session, relation, mode));
  std::string who;
  for (const auto& holder : holders) {
    if (holder.autovacuum && options_.autovacuum_gives_way) continue;
    const std::string key =
        fmt::format("{}/{}/{}", static_cast<const void*>(&session), holder.pid, holder.transaction);
    now_.insert(key);
    hidden_ = hidden_ || holder.age_seconds < 0;
    const bool aged = holder.age_seconds * 1000.0 > static_cast<double>(options_.long_after.count());
    if (!aged && !seen_.contains(key)) continue;
    if (!who.empty()) continue;  // the oldest is named
    who = fmt::format("session {}{} holds {} on {}", holder.pid, holder.autovacuum ? " (autovacuum)" : "",
                      holder.mode, relation);
    if (holder.age_seconds >= 0) who += fmt::format(", its transaction is {:.1f} s old", holder.age_seconds);
    if (!holder.state.empty()) who += fmt::format(", {}", holder.state);
  }
  return who;
}

// On the first replica that has somebody, or that cannot tell.
std::string LockWait::in_the_way_on(Replicas& replicas, const std::string& relation,
                                    const std::string& mode) {
  std::string who;
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    ports::Session* session = replicas.session(i);
    std::string here;
    if (session == nullptr) {
      here = replicas.trouble(i);
    } else if (auto looked = in_the_way(*session, relation, mode)) {
      here = std::move(*looked);
    } else {
      here = fmt::format("{} does not tell who reads there: {}", Replicas::name(i), looked.error().message);
    }
    if (who.empty()) who = std::move(here);
  }
  return who;
}

Result<bool> LockWait::until_free(ports::Session& primary, Replicas* replicas, const std::string& relation,
                                  const std::string& mode, const StopToken& stop,
                                  const ProgressCallback& tell) {
  const TimePoint begin = clock_.steady();
  for (int look = 0;; ++look) {
    if (stop.stop()) return false;
    now_.clear();
    hidden_ = false;
    PL_TRY(std::string who, in_the_way(primary, relation, mode));
    if (replicas != nullptr) {
      std::string there = in_the_way_on(*replicas, relation, mode);
      if (who.empty()) who = std::move(there);
    }
    // One look cannot tell a long holder whose age is hidden from a quick one; the second one can.
    const bool look_again = look == 0 && hidden_;
    seen_ = now_;
    if (who.empty() && !look_again) return true;
    if (clock_.steady() - begin > options_.limit) {
      return fail(make_error(Disposition::kRetry, "lock.held",
                             fmt::format("the lock on {} was not to be had: {}", relation, who))
                      .with_hint("end that transaction; nothing was changed"));
    }
    if (tell && !who.empty()) tell({.step = {}, .activity = "waiting for a lock", .throttle = who});
    clock_.sleep(who.empty() ? options_.long_after : jitter_.around(Millis{100}));
  }
}

}  // namespace poundlock::engine
