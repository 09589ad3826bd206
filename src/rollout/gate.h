// A gate: a check on observations that answers pass, hold or fail with a reason. Each gate is one file
// in gates/ that defines `const Gate& NAME();` (the table is generated): it asks its own questions of
// the database, digests the answers into observations and judges them. All functions are pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rollout/observation.h"
#include "rollout/plan.h"

namespace poundlock::rollout {

enum class Verdict { kPass, kHold, kFail };
const char* to_string(Verdict verdict);

// Both arms share one database, so that comparing them is blind to what hurts both: hence three classes.
enum class GateClass {
  kDifferential,  // new against legacy, or against the recorded baseline
  kAbsolute,      // a limit that holds by itself
  kHealth,        // the database's health against the baseline
};

enum class OnFailure {
  kRollback,  // at once and by itself
  kPause,     // stop going forward; roll back when it still fails at its deadline
  kBlock,     // only refuses to go forward
};

struct GateSettings {
  double limit = 0;
  std::uint64_t min_samples = 0;
  Millis deadline{30 * 60'000};
  std::optional<std::string> waived;
};

// pg_stat_statements may be installed in any schema, and search_path is not to be trusted.
inline constexpr std::string_view kStatementsView = "{pg_stat_statements}";

// A question for a database. The engine asks it every `every` while a moment of the gate is on.
struct Question {
  enum class Target { kPrimary, kEachReplica };
  std::string name;  // prefix of the observations: "replication_lag"
  Target target = Target::kPrimary;
  // One SELECT. The word kStatementsView in it becomes the quoted name of that view; where the extension is
  // not installed the question is not asked.
  std::string sql;
  std::vector<std::optional<std::string>> params;
  Millis every{1000};
  // Above 0, each value X is followed by X_median over the last `sliding`, once half of that is covered: one
  // spike is no trend.
  Millis sliding{0};
  bool in_baseline = false;  // also asked while the baseline is recorded, to be compared with later
  using Table = std::vector<std::vector<std::optional<std::string>>>;
  // Turns the rows into observations (names without prefix). Null: the first row's columns by name, as
  // numbers. Of several replicas the largest value counts.
  std::map<std::string, Observation> (*digest)(const Table& rows, const Plan& plan) = nullptr;
};

struct PathBaseline {
  std::uint64_t attempts = 0;
  std::uint64_t errors = 0;
  Histogram latency;
};

// Recorded before the expand, while only legacy exists.
struct Baseline {
  TimePoint at;
  double seconds = 0;  // length of the recording
  // Some application was there: where none is seen any more, we do not know what it does now.
  bool application = true;
  std::map<std::string, PathBaseline> paths;
  std::map<std::string, double> values;       // observations at its end
  std::map<std::string, double> differences;  // observations: end minus beginning
  // Legacy beside new at the last exposure step that had enough of it. At 100 % nobody is left to compare
  // with; a machine that is busier for everybody since the recording must not look like a slow new path.
  std::map<std::string, Histogram> controls;
};

struct GateInput {
  const Observations& seen;
  const Baseline* baseline = nullptr;          // null before it is recorded
  const std::map<std::string, double>& marks;  // observations at the beginning of the present mark
  const Plan& plan;
  GateSettings settings;
  Moment moment = Moment::kPrepare;
  double exposure = 0;  // share of users on the new side, 0..1
  unsigned active = 1;  // gates judged together: each spends 1/active of the error budget
  TimePoint now;
  bool dropped = false;  // a drop has committed, or is about to: what it drops may be gone

  // nullopt: not observed, or older than 15 s. A number that nobody measured is never a pass.
  std::optional<double> value(std::string_view name) const;
  std::string detail(std::string_view name) const;
  // Growth since the mark; nullopt where unknown. A counter that went back (statistics were reset)
  // counts from zero, and the controller sets the mark anew.
  std::optional<double> since_mark(std::string_view name) const;
};

struct GateReading {
  std::string gate;
  Verdict verdict = Verdict::kHold;
  std::optional<double> value;
  double limit = 0;
  std::string unit;
  std::string reason;  // plain words: what was seen and why that passes, holds or fails
  bool waived = false;
  bool no_data = false;  // holds because nothing was measured: past the deadline that rolls back
};

struct Gate {
  std::string_view id;     // "replication_lag"; the key in the rollout file
  std::string_view title;  // "replication lag"
  std::string_view why;    // the failure that it prevents; printed in the documentation
  std::string_view unit;   // "ms", "ratio", "count", "%"
  GateClass gate_class = GateClass::kAbsolute;
  OnFailure on_failure = OnFailure::kRollback;
  // It tells whether the sides agree. Once everybody is on the new side a failure stops for a person, where
  // going back would show users a side that may be behind.
  bool compares_sides = false;
  // It compares with what the application did before anything changed: the baseline waits for figures.
  bool compares_application = false;
  Moments moments = 0;
  double limit = 0;
  std::uint64_t min_samples = 0;
  Millis deadline{30 * 60'000};
  std::vector<Question> (*questions)(const Plan& plan) = nullptr;  // may be null: it needs none
  GateReading (*judge)(const GateInput& input) = nullptr;
};

std::span<const Gate* const> all_gates();
const Gate* find_gate(std::string_view id);
GateSettings settings_of(const Gate& gate, const Plan& plan);

// For judges.
GateReading pass(const GateInput& in, std::optional<double> value, std::string reason);
GateReading hold(const GateInput& in, std::optional<double> value, std::string reason);
GateReading no_data(const GateInput& in, std::string reason);  // hold, counted against the deadline
GateReading violated(const GateInput& in, std::optional<double> value, std::string reason);

// Every gate of this moment, waived ones included, ordered by id.
std::vector<GateReading> judge_all(const GateInput& common, Moment moment);

}  // namespace poundlock::rollout
