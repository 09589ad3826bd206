// What Poundlock keeps in the target database itself, in the schema `poundlock`: which generation may act,
// which steps committed, how far a backfill is. Written in the same transaction as the effect, so it is the
// truth when a commit's answer was lost and after a failover.
//
//   poundlock.rollout(name, uuid, generation)                      one row a rollout; the fence locks it
//   poundlock.ledger(rollout, step, direction, generation, attempt, at, detail)   append-only
//   poundlock.begun(rollout, step, direction, generation, at, sql)  a step outside a transaction, until it
//   ended poundlock.backfill(rollout, step, relation, filenode, ...)     one row a backfill
// Stateless functions on a session; errors are the session's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ports/database.h"

namespace poundlock::engine {

enum class Direction { kForward, kUndo };
const char* to_string(Direction direction);  // "forward", "undo"

// Creates or upgrades the schema; a few look-ups when it is current. kUser "pg.privilege" with the GRANT
// that is missing. Refuses (kConflict "ledger.newer") a ledger that a newer Poundlock has written.
Status install_ledger(ports::Session& session);

// First statement of every transaction: locks the rollout's row, makes it where there is none, raises
// SQLSTATE PLGEN (kConflict "generation.stale") when a newer generation holds it, else takes it.
ports::Sql fence(std::string_view rollout, std::uint64_t generation);

struct LedgerEntry {
  std::string rollout;
  std::string step;
  Direction direction = Direction::kForward;
  std::uint64_t generation = 0;
  std::string attempt;  // unique for each try, so that a lost commit can be asked for
  std::string detail;   // JSON
};
// Last statement before COMMIT.
ports::Sql record(const LedgerEntry& entry);

// Before a step that no transaction holds together: with its statements (a JSON array of texts) as `detail`,
// so that what a crash leaves half-built is known to be ours. After it, in the transaction of its record.
ports::Sql begin_step(const LedgerEntry& entry);
ports::Sql end_step(std::string_view rollout, std::string_view step);

Result<bool> was_recorded(ports::Session& session, std::string_view attempt);
// The newest entry of the step: done forward, or undone? nullopt: it never ran here.
Result<std::optional<Direction>> last_direction(ports::Session& session, std::string_view rollout,
                                                std::string_view step);
// The generation that holds the rollout here; 0 where it is not known.
Result<std::uint64_t> held_generation(ports::Session& session, std::string_view rollout);
// Takes away the rollout's rows in poundlock.backfill and its ledger's rows stay: they are its history.
ports::Sql forget_backfills(std::string_view rollout);

// Session advisory lock of a rollout's standalone steps; the answer tells whether it was free.
Result<bool> try_advisory_lock(ports::Session& session, std::string_view rollout);

}  // namespace poundlock::engine
