// The whole change on a shadow, walked in every direction: forward, back from every phase and from the middle
// of each step of the expand, through the drop and back by restore, and forward again. After each way schema
// and data must be as expected, and nothing of ours may be left. The write cost of the expand is measured on
// the way: production's WAL per write is later held to it. One implementation for the prepare phase's check
// and for `poundlock rehearse`.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "engine/checks.h"

namespace poundlock::engine {

enum class LegVerdict { kPassed, kFailed, kSkipped };
const char* to_string(LegVerdict verdict);  // "passed", "failed", "skipped"

struct RehearsalLeg {
  change::Phase phase = change::Phase::kPrepare;
  std::string at;         // "in the middle of dual_write.backfill", "the drop"
  std::string direction;  // "forward", "back", "restore"
  double seconds = 0;
  LegVerdict verdict = LegVerdict::kPassed;
  std::string detail;  // why it failed or was skipped
};

struct RehearsalOptions {
  bool each_step = true;      // also back from the middle of each step of the expand
  Millis budget{5 * 60'000};  // for these; what is left then is skipped and said to be
};

struct RehearsalReport {
  std::string shadow;
  std::vector<RehearsalLeg> legs;
  std::vector<std::string> notes;  // such as views that were in the way of the drop
  // WAL of an update of a legacy column, after the expand and before; 0 where it could not be measured.
  double wal_ratio = 0, wal_records_ratio = 0;
  double wal_records_before = 0, wal_records_after = 0;  // for each row
  int failures() const;
};

// On a shadow of its own. On one that is kept there is no drop, and the change is taken back at the end.
Result<RehearsalReport> rehearse(const CheckContext& context, const RehearsalOptions& options);

// Begins the step and stops it in its middle: a transaction is rolled back after its last statement, a
// concurrent index build is cancelled while it waits for an old snapshot (and stays INVALID, as after a
// kill), a backfill stops after a few batches. An error where the step fails for another reason.
Status stop_in_the_middle(const CheckContext& context, ports::Database& shadow, const change::Step& step);

}  // namespace poundlock::engine
