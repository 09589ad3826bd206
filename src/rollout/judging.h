// What several gates share: is there an application to look at, how is a rate judged, how are numbers
// written. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rollout/gate.h"

namespace poundlock::rollout {

std::string count_text(double n);       // "12,345"
std::string percent_text(double rate);  // 0.00025 -> "0.025 %"

// "1 row", "3 rows".
std::string counted(double n, std::string_view one, std::string_view many);

// This gate's share of the error budget of a decision.
double budget(const GateInput& in);

// A figure of a finished step ("dry_run.blocking_seconds"): what was measured once does not go stale.
std::optional<double> figure(const GateInput& in, std::string_view name);

// Why the application's figures cannot be judged now; nullopt where they can. A plan without a flag steers
// no application and passes; one with a flag that nobody reports on, or not for 15 s, has no data.
std::optional<GateReading> without_application(const GateInput& in);

// The same for what judges attempts. Builds without a legacy path may have stopped reporting this flag, and
// the drop must not wait for attempts that nobody makes.
std::optional<GateReading> without_attempts(const GateInput& in);

// Before the expand nothing is to be proved yet, and before the drop it has been: only what already fails is
// said, and few samples are no reason to wait.
bool only_failures_count(Moment moment);

// The side whose attempts count at this moment: legacy up to the end of dual_write, new from then on.
bool judges_fresh(Moment moment);
const SideStats& judged_side(const GateInput& in, const PathStats& path);

// What happened in the newest blocks, two minutes of a busy path. In the third day of a window the counts
// since the mark hide for hours what begins now.
struct Recent {
  double events = 0;
  double trials = 0;
  double variance = 1;
  void add(const SideStats& side, std::uint64_t Block::*kind);
  void add(const Recent& other);
  // Over p0, with this gate's share of the error budget split over all the stretches that are looked at? Not
  // asked where there are no older attempts: then the counts since the mark tell.
  bool above(double p0, double e, double all_trials) const;
};

// Is s of n within the limit (per cent in settings)? Fails by the confidence sequence; passes when there are
// min_samples and the Wilson bound is low enough for the present exposure.
struct Rate {
  double events = 0;
  double trials = 0;
  double variance = 1;     // block_variance()
  std::string events_are;  // "attempts on the new side failed"
  std::string where;       // names the worst path where it is not the sum
  Recent recent;           // the same of the newest blocks
};
Rate rate_of(const SideStats& side, std::uint64_t events, std::uint64_t Block::*recent, const char* what,
             const std::string& path);
Rate sum_of(const std::vector<Rate>& parts, const char* what);
GateReading judge_rate(const GateInput& in, const std::vector<Rate>& parts, const Rate& total);

// Has a kind of client error (time-outs, connections) become more frequent than before the change? Fails by
// the confidence sequence against the limit (per cent) or twice the recorded baseline's whole error rate.
GateReading judge_client_errors(const GateInput& in, std::uint64_t flag::Counts::*kind,
                                std::uint64_t Block::*recent_kind, std::string_view name);

}  // namespace poundlock::rollout
