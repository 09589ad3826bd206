// What an application instance tells the server once a second about the flags it uses: aggregates
// only, never one record per evaluation. The client library writes it, telemetry reads it; this is
// the body of POST /v1/telemetry.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/histogram.h"
#include "base/result.h"

namespace poundlock::flag {

enum class Side { kLegacy, kNew };
const char* to_string(Side side);  // "legacy", "new"

// Order of snapshots: epoch first, then revision. A restored store starts a new epoch.
struct Revision {
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;
  auto operator<=>(const Revision&) const = default;
};

struct Counts {
  std::uint64_t attempts = 0;  // each try, before any fallback
  std::uint64_t timeouts = 0;  // statement or connection time-outs
  std::uint64_t deadlocks = 0;
  std::uint64_t connection = 0;
  std::uint64_t other = 0;  // every other failed attempt
  std::uint64_t errors() const { return timeouts + deadlocks + connection + other; }
};

// One path (a name from the rollout's `paths`, or any name the application chose) on one side in one
// context class, since the previous report.
struct PathReport {
  std::string flag;  // the flag key that steered it
  std::string path;
  Side side = Side::kLegacy;
  bool write = false;
  std::string context;  // the evaluation context's `context` attribute; "" where it has none
  Counts counts;
  std::uint64_t fallbacks = 0;    // reads that failed on new and were answered by legacy
  Histogram latency;              // of every attempt, without the wait for a pooled connection
  std::uint64_t user_errors = 0;  // errors that reached the application's caller
};

struct EvaluationReport {
  std::string flag;
  std::string variant;
  std::string reason;
  std::string context;
  std::uint64_t count = 0;
  int rule = -1;  // which branch of the targeting rule's outermost `if` decided, from 0; -1: not known
};

struct ShadowReport {  // stage shadow: both sides read, results compared off the caller's path
  std::string flag;
  std::string path;
  std::uint64_t compared = 0;
  std::uint64_t mismatches = 0;
  std::uint64_t skipped = 0;  // over the time limit or the queue bound
};

struct BreakerReport {
  std::string flag;
  std::string path;
  bool open = false;
  std::uint64_t trips = 0;  // since the instance started
  std::string cause;        // "timeout", "deadlock", "error burst"
};

struct Report {
  std::string service;
  std::string instance;
  std::string build;
  // False: figures only. Who sends them follows no flag stream, and says nothing about itself.
  bool member = true;
  bool legacy_path = true;  // does this build still hold code that reads legacy?
  std::uint64_t sequence = 0;
  Revision applied;
  bool frozen = false;  // the stream is silent: variants are kept, exposure never widens
  std::vector<PathReport> paths;
  std::vector<EvaluationReport> evaluations;
  std::vector<ShadowReport> shadow;
  std::vector<BreakerReport> breakers;
};

std::string to_json(const Report& report);
Result<Report> report_from_json(std::string_view json);  // bounded: 1 MiB, 10,000 rows

}  // namespace poundlock::flag
