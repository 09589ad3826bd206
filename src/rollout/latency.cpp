#include "rollout/latency.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "rollout/judging.h"
#include "rollout/statistics.h"

namespace poundlock::rollout {
namespace {

struct PathReading {
  std::string text;
  double ratio = 0;
  std::uint64_t samples = 0;
  bool above = false;   // proven
  bool likely = false;  // not proven, and more than chance
};

// The concurrent control where there is one; else the slower of the recorded baseline and the last control.
const Histogram* control_of(const GateInput& in, const PathStats& path, double q) {
  if (judges_fresh(in.moment) && path.legacy.latency.count() >= kControlSamplesMin)
    return &path.legacy.latency;
  if (!in.baseline) return nullptr;
  const Histogram* best = nullptr;
  const auto offer = [&](const Histogram& candidate) {
    if (candidate.count() < kControlSamplesMin) return;
    if (!best || candidate.quantile(q) > best->quantile(q)) best = &candidate;
  };
  if (const auto found = in.baseline->paths.find(path.path); found != in.baseline->paths.end())
    offer(found->second.latency);
  if (const auto found = in.baseline->controls.find(path.path); found != in.baseline->controls.end())
    offer(found->second);
  return best;
}

std::string millis_text(double micros) {
  return fmt::format("{:.2f} ms", micros / 1000);
}

// The newest blocks against legacy's newest: in the third day of a window the samples since the mark hide for
// hours what begins now. At 100 % nobody is left on legacy, and two minutes of a busy hour are slower for
// everybody than any recording: only what is far beyond it counts then.
constexpr double kFarBeyond = 2;

bool recently_above(const GateInput& in, const PathStats& path, const Histogram& control, double q, double e,
                    PathReading& out) {
  Histogram recent;
  Histogram beside;
  const SideStats& side = judged_side(in, path);
  for (const Block& block : side.blocks) recent.merge(block.latency);
  for (const Block& block : path.legacy.blocks) beside.merge(block.latency);
  if (recent.count() == 0 || recent.count() >= side.latency.count()) return false;
  // The last seconds before everybody was exposed are beside nothing.
  const bool together = judges_fresh(in.moment) && beside.count() >= kControlSamplesMin &&
                        2 * path.legacy.blocks.size() >= side.blocks.size();
  const Histogram& with = together ? beside : control;
  const double upper = with.at_rank(quantile_ranks(with.count(), q)->upper);
  const double threshold =
      std::max(in.settings.limit * upper, upper + kLatencySlackMicros) * (together ? 1 : kFarBeyond);
  std::vector<BlockCount> blocks;
  for (const Block& block : side.blocks)
    blocks.push_back({block.latency.above(threshold), block.latency.count()});
  const double v = block_variance(blocks);
  const double s = static_cast<double>(recent.above(threshold)) / v;
  const double n = static_cast<double>(recent.count()) / v;
  if (rate_against(s, n, 1 - q, e / kRecentLooks) != Against::kAbove) return false;
  const double before = with.quantile(q);
  out.ratio = before > 0 ? recent.quantile(q) / before : 1;
  out.text =
      fmt::format("{}: {} in the newest {} attempts against {}", path.path, millis_text(recent.quantile(q)),
                  count_text(static_cast<double>(recent.count())), millis_text(before));
  return true;
}

PathReading read_path(const GateInput& in, const PathStats& path, const Histogram& control, double q,
                      double e) {
  const SideStats& side = judged_side(in, path);
  const Histogram& latency = side.latency;
  const double upper = control.at_rank(quantile_ranks(control.count(), q)->upper);
  const double threshold = std::max(in.settings.limit * upper, upper + kLatencySlackMicros);
  std::vector<BlockCount> blocks;
  for (const Block& block : side.blocks)
    blocks.push_back({block.latency.above(threshold), block.latency.count()});
  const double v = block_variance(blocks);
  const double s = static_cast<double>(latency.above(threshold)) / v;
  const double n = static_cast<double>(latency.count()) / v;
  PathReading out;
  out.samples = latency.count();
  const double before = control.quantile(q);
  out.ratio = before > 0 ? latency.quantile(q) / before : 1;
  out.above = rate_against(s, n, 1 - q, e) == Against::kAbove;
  out.likely = s / n > (1 - q) + 2 * std::sqrt(q * (1 - q) / n) + 1 / n;
  out.text =
      fmt::format("{}: {} against {}", path.path, millis_text(latency.quantile(q)), millis_text(before));
  if (!out.above) out.above = recently_above(in, path, control, q, e, out);
  return out;
}

}  // namespace

GateReading judge_latency(const GateInput& in, double q) {
  if (auto reading = without_application(in)) return *std::move(reading);
  const auto& paths = in.seen.app->paths;
  const double e = budget(in) / static_cast<double>(std::max<std::size_t>(1, paths.size()));
  std::uint64_t samples = 0;
  std::size_t judged = 0;
  std::string unjudged;
  std::uint64_t unjudged_samples = 0;
  PathReading worst;
  for (const PathStats& path : paths) {
    if (judged_side(in, path).latency.count() == 0) continue;
    const Histogram* control = control_of(in, path, q);
    if (!control) {
      unjudged += (unjudged.empty() ? "" : ", ") + path.path;
      unjudged_samples += judged_side(in, path).latency.count();
      continue;
    }
    PathReading one = read_path(in, path, *control, q, e);
    samples += one.samples;
    const auto rank = [](const PathReading& r) { return std::tuple(r.above, r.likely, r.ratio); };
    if (judged++ == 0 || rank(one) > rank(worst)) worst = std::move(one);
  }
  const std::string rest = unjudged.empty() ? "" : "; too few samples to compare with for " + unjudged;
  if (judged == 0) {
    if (unjudged.empty()) return no_data(in, "no attempt on the judged side yet");
    return hold(in, std::nullopt,
                fmt::format("{} samples of a path are needed for comparison{}",
                            count_text(static_cast<double>(kControlSamplesMin)), rest));
  }
  const double limit = in.settings.limit;
  if (worst.above)
    return violated(in, worst.ratio,
                    fmt::format("{}: {:.2f} times, over {:.2f}{}", worst.text, worst.ratio, limit, rest));
  if (worst.likely) {
    return hold(in, worst.ratio,
                fmt::format("{}: {:.2f} times, likely over {:.2f} but not proven yet{}", worst.text,
                            worst.ratio, limit, rest));
  }
  if (samples < in.settings.min_samples) {
    return hold(in, worst.ratio,
                fmt::format("{} of {} samples so far; {}{}", count_text(static_cast<double>(samples)),
                            count_text(static_cast<double>(in.settings.min_samples)), worst.text, rest));
  }
  const double all = static_cast<double>(samples + unjudged_samples);
  if (static_cast<double>(unjudged_samples) > kShareThatMatters * all)
    return hold(in, worst.ratio,
                fmt::format("{} of {} attempts are on paths that cannot be compared{}",
                            count_text(static_cast<double>(unjudged_samples)), count_text(all), rest));
  return pass(in, worst.ratio,
              fmt::format("slowest path {}: {:.2f} times, {} samples{}", worst.text, worst.ratio,
                          count_text(static_cast<double>(samples)), rest));
}

}  // namespace poundlock::rollout
