// Everything a rollout remembers. Committed before any effect of it; plain values, JSON in the store.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rollout/gate.h"
#include "rollout/plan.h"

namespace poundlock::rollout {

enum class Mode {
  kRunning,      // going forward
  kPaused,       // stays where it is: an operator's wish, a failed gate or a step that needs a person
  kRollingBack,  // on the way back
  kRolledBack,   // everybody is on legacy; waits for resume
  kDone,         // finished: the contract is complete (or an additive change is verified)
  kAborted,      // taken back wholly and closed
};
const char* to_string(Mode mode);

struct StepRecord {
  bool done = false;
  std::uint32_t attempts = 0;  // failed ones since it was last done or undone
  TimePoint at;                // when it last changed
  std::map<std::string, double> figures;
  std::string detail;
};

struct RollbackRecord {
  std::string cause;  // gate id or "operator:NAME"
  std::string reason;
  TimePoint began;           // when the cause was seen
  TimePoint flag_off;        // when the flag was off in the store; 0 where it did not get so far
  TimePoint everybody_back;  // when every live reader had applied it
  flag::Revision revision;   // the snapshot that brought everybody back
};

struct RolloutState {
  std::string rollout;
  Mode mode = Mode::kRunning;
  std::size_t position = 0;      // index of the present item
  std::uint64_t generation = 1;  // grows with each executor that takes over
  TimePoint started;
  TimePoint last_tick;  // 0: windows do not grow over the gap before the first tick
  TimePoint item_since;
  Millis dwelt{0};          // in the present exposure item, while gates did not hold
  TimePoint holding_since;  // 0: no gate lacks data
  TimePoint retry_at;       // a failed step is not tried before this
  std::string pause_reason;
  bool paused_by_gate = false;
  TimePoint paused_since;
  std::map<std::string, StepRecord> steps;
  std::map<std::string, Millis> windows;         // accumulated
  std::map<std::string, std::string> approvals;  // name -> who
  std::optional<Baseline> baseline;
  std::uint64_t mark = 1;  // grows with every exposure change; gates count since it
  TimePoint mark_at;       // when it began: marks are the first observations after it
  std::map<std::string, double> marks;
  FlagSetting flag;                // what is, or is to be, published
  flag::Revision flag_revision;    // as which it was published; {0,0}: not yet
  std::vector<GateReading> gates;  // newest readings
  std::vector<std::string> undo;   // step ids still to be undone, in order
  std::size_t undo_close = 0;      // how many of close_sync are done
  bool undo_all = false;           // the rollback goes back to the beginning
  bool abort = false;              // and then closes the rollout
  bool restoring = false;          // after the drop: plan.restore is being carried out
  // A rollback that came while a drop was under way: nothing is published before its outcome is known.
  std::optional<Request> pending_rollback;
  std::vector<RollbackRecord> rollbacks;  // the newest 50
  std::vector<std::string> journal;       // the newest 200 lines of what happened, for people
};

boost::json::value to_json(const RolloutState& state);
Result<RolloutState> state_from_json(const boost::json::value& json);

}  // namespace poundlock::rollout
