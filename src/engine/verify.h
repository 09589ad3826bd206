// Compares both sides on every row, in chunks of blocks, and names the rows that are out of step. A
// mismatch counts only when it stays: writes in two transactions may show one that is gone a moment later.
// One thread; reads only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "change/step.h"
#include "engine/progress.h"
#include "engine/stop_token.h"
#include "ports/database.h"

namespace poundlock::engine {

struct VerifyOptions {
  std::int64_t blocks = 2'048;  // of a chunk: 16 MiB
  // A table up to this size is compared in one statement, which PostgreSQL may do in parallel (a range of
  // blocks it does not): half a second of an old snapshot is no harm.
  std::int64_t blocks_at_once = 65'536;
  int rechecks = 3;
  Millis recheck_after{100};
  int samples_max = 20;  // keys that are named
  bool open = false;     // the new side is written too: InStep::out_of_step_open
};

struct VerifyResult {
  std::uint64_t rows = 0;
  std::uint64_t mismatches = 0;
  std::vector<std::string> samples;  // keys as text: "(42)", "(7,eu)"; "ctid (12,3)" without a key
  double seconds = 0;
  bool stopped = false;
  std::map<std::string, double> figures() const;
};

// kUser "verify.up_fails" where the comparison itself raises, with the rows.
Result<VerifyResult> verify(ports::Session& session, Clock& clock, const change::InStep& in_step,
                            const VerifyOptions& options, const StopToken& stop,
                            const ProgressCallback& progress);

}  // namespace poundlock::engine
