#include "rollout/judging.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rollout/statistics.h"

namespace poundlock::rollout {
namespace {

constexpr Millis kFresh{15'000};

Against decide_rate(const Rate& rate, double p0, double e) {
  const double v = std::max(1.0, rate.variance);
  return rate_against(rate.events / v, rate.trials / v, p0, e);
}

std::string seen_text(const Rate& rate) {
  const std::string where = rate.where.empty() ? "" : fmt::format(" on path {}", rate.where);
  return fmt::format("{} of {} {}{}, {}", count_text(rate.events), count_text(rate.trials), rate.events_are,
                     where, percent_text(rate.trials > 0 ? rate.events / rate.trials : 0));
}

// `are`: "attempts on the new side failed".
std::string recent_text(const Recent& recent, std::string_view are, const std::string& where) {
  return fmt::format("{} of the newest {} {}{}, {}", count_text(recent.events), count_text(recent.trials),
                     are, where.empty() ? "" : fmt::format(" on path {}", where),
                     percent_text(recent.trials > 0 ? recent.events / recent.trials : 0));
}

// What the Wilson bound must stay under to pass: the more users are on the new side, the less. Never asks
// for more than min_samples without an event can prove, or a healthy change could not pass at all.
double acceptable(const GateInput& in) {
  const double limit = in.settings.limit / 100;
  const double exposure = judges_fresh(in.moment) ? std::max(in.exposure, 1e-4) : 1.0;
  const double by_exposure = std::min(10 * limit, 0.25 * limit / exposure);
  const double floor =
      wilson_upper(0, static_cast<double>(std::max<std::uint64_t>(1, in.settings.min_samples)));
  return std::max({judges_fresh(in.moment) ? by_exposure : limit, floor});
}

}  // namespace

std::string count_text(double n) {
  const double whole = std::round(std::max(0.0, n));
  std::string digits = fmt::format("{:.0f}", whole);
  for (std::ptrdiff_t i = static_cast<std::ptrdiff_t>(digits.size()) - 3; i > 0; i -= 3)
    digits.insert(static_cast<std::size_t>(i), ",");
  return digits;
}

std::string percent_text(double rate) {
  const double percent = rate * 100;
  if (percent == 0) return "0 %";
  if (percent < 0.001) return "under 0.001 %";
  return fmt::format("{:.{}f} %", percent, percent < 0.1 ? 3 : percent < 10 ? 2 : 1);
}

std::string counted(double n, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count_text(n), n == 1 ? one : many);
}

double budget(const GateInput& in) {
  return kErrorBudget / std::max(1U, in.active);
}

std::optional<double> figure(const GateInput& in, std::string_view name) {
  const auto found = in.seen.values.find(std::string(name));
  if (found == in.seen.values.end()) return std::nullopt;
  return found->second.value;
}

std::optional<GateReading> without_application(const GateInput& in) {
  if (!in.plan.flag)
    return pass(in, std::nullopt,
                "no flag steers this change, so no application takes a new path because of it");
  if (!in.seen.app || in.seen.app->newest.ms == 0)
    return no_data(in, "no application has reported on this flag since the mark");
  const Millis age = in.now - in.seen.app->newest;
  if (age > kFresh)
    return no_data(in, fmt::format("the application's last report is {} old", format_duration(age)));
  return std::nullopt;
}

std::optional<GateReading> without_attempts(const GateInput& in) {
  // Who is connected and up to date is for readers_applied and instances_attested to say.
  if (in.moment == Moment::kBeforeDrop && in.seen.app && in.now - in.seen.app->newest > kFresh)
    return pass(in, std::nullopt, "no attempt is reported any more: what has no legacy path need not");
  return without_application(in);
}

bool only_failures_count(Moment moment) {
  return moment == Moment::kBaseline || moment == Moment::kBeforeDrop;
}

bool judges_fresh(Moment moment) {
  return moment != Moment::kBaseline && moment != Moment::kDualWrite && moment != Moment::kExpand;
}

const SideStats& judged_side(const GateInput& in, const PathStats& path) {
  return judges_fresh(in.moment) ? path.fresh : path.legacy;
}

void Recent::add(const SideStats& side, std::uint64_t Block::*kind) {
  std::vector<BlockCount> counts;
  for (const Block& block : side.blocks) {
    counts.push_back({block.*kind, block.attempts});
    events += static_cast<double>(block.*kind);
    trials += static_cast<double>(block.attempts);
  }
  variance = std::max(variance, block_variance(counts));
}

void Recent::add(const Recent& other) {
  events += other.events;
  trials += other.trials;
  variance = std::max(variance, other.variance);
}

bool Recent::above(double p0, double e, double all_trials) const {
  if (trials <= 0 || trials >= all_trials) return false;
  return rate_against(events / variance, trials / variance, p0, e / kRecentLooks) == Against::kAbove;
}

Rate rate_of(const SideStats& side, std::uint64_t events, std::uint64_t Block::*recent, const char* what,
             const std::string& path) {
  Rate out{static_cast<double>(events), static_cast<double>(side.counts.attempts), 1, what, path, {}};
  out.recent.add(side, recent);
  out.variance = out.recent.variance;
  return out;
}

Rate sum_of(const std::vector<Rate>& parts, const char* what) {
  Rate total;
  total.events_are = what;
  for (const Rate& part : parts) {
    total.events += part.events;
    total.trials += part.trials;
    total.recent.add(part.recent);
  }
  total.variance = total.recent.variance;
  return total;
}

GateReading judge_rate(const GateInput& in, const std::vector<Rate>& parts, const Rate& total) {
  const double limit = in.settings.limit / 100;
  const double e = budget(in) / static_cast<double>(parts.size() + 1);
  const auto percent = [](const Rate& rate) { return rate.trials > 0 ? 100 * rate.events / rate.trials : 0; };
  std::vector<const Rate*> all{&total};
  for (const Rate& part : parts) all.push_back(&part);
  for (const Rate* one : all) {
    if (decide_rate(*one, limit, e) == Against::kAbove)
      return violated(in, percent(*one), fmt::format("{}: over {}", seen_text(*one), percent_text(limit)));
    if (one->recent.above(limit, e, one->trials))
      return violated(in, 100 * one->recent.events / one->recent.trials,
                      fmt::format("{}: over {}", recent_text(one->recent, one->events_are, one->where),
                                  percent_text(limit)));
  }
  if (total.trials == 0 && in.moment != Moment::kBeforeDrop)
    return no_data(in, fmt::format("none of the {} yet", total.events_are));
  if (only_failures_count(in.moment))
    return pass(in, percent(total), fmt::format("{}: not over {}", seen_text(total), percent_text(limit)));
  if (total.trials < static_cast<double>(in.settings.min_samples)) {
    return hold(in, percent(total),
                fmt::format("{}; {} are needed for a verdict", seen_text(total),
                            count_text(static_cast<double>(in.settings.min_samples))));
  }
  const double v = std::max(1.0, total.variance);
  const double upper = wilson_upper(total.events / v, total.trials / v);
  const double accepted = acceptable(in);
  const std::string bound =
      fmt::format("{}, at most {} with 95 % confidence", seen_text(total), percent_text(upper));
  if (upper > accepted)
    return hold(in, percent(total),
                fmt::format("{}; under {} is asked for here", bound, percent_text(accepted)));
  return pass(in, percent(total), bound);
}

GateReading judge_client_errors(const GateInput& in, std::uint64_t flag::Counts::*kind,
                                std::uint64_t Block::*recent_kind, std::string_view name) {
  if (auto reading = without_attempts(in)) return *std::move(reading);
  Rate total;
  Recent recent;
  double before_errors = 0;
  double before_attempts = 0;
  for (const PathStats& path : in.seen.app->paths) {
    for (const SideStats* side : {&path.legacy, &path.fresh}) {
      total.events += static_cast<double>(side->counts.*kind);
      total.trials += static_cast<double>(side->counts.attempts);
      recent.add(*side, recent_kind);
    }
    if (!in.baseline) continue;
    if (const auto found = in.baseline->paths.find(path.path); found != in.baseline->paths.end()) {
      before_errors += static_cast<double>(found->second.errors);
      before_attempts += static_cast<double>(found->second.attempts);
    }
  }
  const double before = before_attempts > 0 ? before_errors / before_attempts : 0;
  const double limit = std::max(in.settings.limit / 100, 2 * before);
  const double value = total.trials > 0 ? 100 * total.events / total.trials : 0;
  const std::string seen = fmt::format("{} of {} attempts ended in a {}, {}", count_text(total.events),
                                       count_text(total.trials), name, percent_text(value / 100));
  if (total.trials == 0 && in.moment != Moment::kBeforeDrop)
    return no_data(in, "the application has attempted nothing yet");
  if (decide_rate(total, limit, budget(in)) == Against::kAbove)
    return violated(in, value, fmt::format("{}: over {}", seen, percent_text(limit)));
  if (recent.above(limit, budget(in), total.trials))
    return violated(
        in, 100 * recent.events / recent.trials,
        fmt::format("{}: over {}", recent_text(recent, fmt::format("attempts ended in a {}", name), ""),
                    percent_text(limit)));
  return pass(in, value, fmt::format("{}: not over {}", seen, percent_text(limit)));
}

}  // namespace poundlock::rollout
