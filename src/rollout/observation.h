// What decide() may know: measured values with their time and source, what applications reported, how
// steps ended, and what operators asked for. Plain values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "base/result.h"
#include "base/time.h"
#include "flag/report.h"

namespace poundlock::rollout {

struct Observation {
  double value = 0;
  TimePoint at;
  std::string source;  // "primary", "replica 1", "application"
  std::string detail;  // names behind the number, for a person
};

struct Block {  // one second of attempts; consecutive blocks show how bursty failures come
  std::uint64_t attempts = 0;
  std::uint64_t errors = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t connection = 0;
  std::uint64_t fallbacks = 0;
  std::uint64_t user_errors = 0;
  Histogram latency;
};

struct SideStats {
  flag::Counts counts;
  std::uint64_t fallbacks = 0;
  std::uint64_t user_errors = 0;
  Histogram latency;
  std::vector<Block> blocks;  // the newest 120 of the window, oldest first
};

struct PathStats {
  std::string path;
  bool write = false;
  SideStats legacy;
  SideStats fresh;
};

struct ContextStats {
  std::string context;
  std::uint64_t legacy = 0;  // attempts on each side
  std::uint64_t fresh = 0;
  std::uint64_t evaluated_legacy = 0;  // evaluations of the flag, by what they answered
  std::uint64_t evaluated_fresh = 0;
};

struct InstanceInfo {
  std::string service, instance, build;
  bool legacy_path = true;
  bool connected = false;  // has a stream, or reported within the silence limit
  bool departed = false;   // left properly
  bool frozen = false;
  flag::Revision applied;  // newest that it acknowledged
  // Its protocol has acknowledgements. Otherwise what was delivered is all that can be known.
  bool acknowledges = true;
  flag::Revision delivered;  // newest that its stream took
  bool reports = true;       // its evaluations are known, by its reports or because they are done for it
  TimePoint last_seen;

  // Of a protocol without acknowledgements the delivery is all that can be known.
  bool reached(flag::Revision revision) const {
    return (acknowledges ? applied : std::max(applied, delivered)) >= revision;
  }
};

struct BreakerState {
  std::string path, instance, cause;
  bool open = false;
  std::uint64_t trips = 0;  // within the window
};

// What applications did under one flag since a mark. After a restart of the server the counts begin
// anew, so that gates hold until there are samples again.
struct AppWindow {
  std::uint64_t mark = 0;
  TimePoint since;
  TimePoint newest;                    // when the last report came
  std::vector<PathStats> paths;        // all contexts that are not excluded
  std::vector<ContextStats> contexts;  // every context
  std::vector<InstanceInfo> instances;
  std::vector<BreakerState> breakers;
  std::uint64_t shadow_compared = 0;
  std::uint64_t shadow_mismatches = 0;
  // Evaluations since the mark by readers of whose build nothing is known (OFREP, gRPC), and the newest.
  TimePoint unattested_at;
};

enum class OutcomeKind { kDone, kUndone, kFailed, kStopped };

struct StepOutcome {
  std::string step;
  std::uint64_t generation = 0;
  OutcomeKind kind = OutcomeKind::kFailed;
  std::optional<Error> error;             // kFailed
  std::map<std::string, double> figures;  // "rows", "seconds", "wal_bytes"
  std::string detail;
};

enum class RequestKind { kPromote, kPause, kResume, kRollback, kApprove, kAbort };

struct Request {
  RequestKind kind = RequestKind::kPause;
  std::string who;
  std::string why;
  std::string subject;  // kApprove: which approval; kRollback: "" or "prepare"
};

struct Published {
  std::string flags;  // the document part, as commanded
  flag::Revision revision;
};

struct Observations {
  std::map<std::string, Observation> values;
  std::optional<AppWindow> app;
  std::vector<StepOutcome> outcomes;
  std::vector<Request> requests;
  std::optional<Published> published;  // what was published last for this rollout
};

}  // namespace poundlock::rollout
