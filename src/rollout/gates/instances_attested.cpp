#include <fmt/format.h>

#include <string>
#include <utility>

#include "rollout/gate.h"
#include "rollout/judging.h"

namespace poundlock::rollout {
namespace {

// A day's jobs have run by then.
constexpr Millis kQuiet{24 * 3'600'000};

GateReading judge(const GateInput& in) {
  // Who asks by OFREP or gRPC says nothing of its build: it may read legacy as well as not.
  if (const auto& app = in.seen.app; app && app->unattested_at.ms != 0) {
    const Millis quiet{static_cast<std::int64_t>(static_cast<double>(kQuiet.count()) / in.plan.speed)};
    if (in.now - app->unattested_at < quiet)
      return violated(
          in, std::nullopt,
          fmt::format("readers that attest no build (OFREP or gRPC) evaluated the flag {} ago; {} without "
                      "any would do",
                      format_duration(in.now - app->unattested_at), format_duration(quiet)));
  }
  if (auto reading = without_application(in)) return *std::move(reading);
  double live = 0;
  double legacy = 0;
  std::string names;
  for (const InstanceInfo& one : in.seen.app->instances) {
    if (one.departed) continue;
    ++live;
    const bool behind = !in.seen.published || one.applied < in.seen.published->revision;
    if (one.connected && !one.legacy_path && !behind) continue;
    if (++legacy > 5) continue;
    const char* why = !one.connected      ? "silent: its build is unknown"
                      : !one.acknowledges ? "attests nothing over this protocol"
                      : one.legacy_path   ? "has the legacy path"
                                          : "an older flag revision";
    names += fmt::format("{}{} build {} ({})", names.empty() ? "" : ", ", one.instance, one.build, why);
  }
  if (live == 0)
    return no_data(in, "no instance is registered, so none attests that it can do without legacy");
  if (legacy > in.settings.limit)
    return violated(in, legacy,
                    fmt::format("{} of {} cannot do without legacy: {}", count_text(legacy),
                                counted(live, "instance", "instances"), names));
  return pass(in, legacy,
              fmt::format("{} live, none with a legacy path", counted(live, "instance", "instances")));
}

}  // namespace

const Gate& instances_attested() {
  static const Gate gate{
      .id = "instances_attested",
      .title = "instances without a legacy path",
      .why =
          "An instance whose build still holds the legacy path would fail with the first statement "
          "after the drop.",
      .unit = "count",
      .gate_class = GateClass::kAbsolute,
      .on_failure = OnFailure::kBlock,
      .moments = static_cast<Moments>(Moment::kBeforeDrop),
      .limit = 0,
      .min_samples = 0,
      .judge = judge,
  };
  return gate;
}

}  // namespace poundlock::rollout
