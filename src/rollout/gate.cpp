#include "rollout/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "rollout/spec.h"

namespace poundlock::rollout {
namespace {

constexpr Millis kFresh{15'000};

GateReading reading(const GateInput& in, Verdict verdict, std::optional<double> value, std::string reason) {
  GateReading out;
  out.verdict = verdict;
  out.value = value;
  out.limit = in.settings.limit;
  out.reason = std::move(reason);
  return out;
}

}  // namespace

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass: return "pass";
    case Verdict::kHold: return "hold";
    case Verdict::kFail: return "fail";
  }
  return "unknown";
}

std::optional<double> GateInput::value(std::string_view name) const {
  const auto found = seen.values.find(std::string(name));
  if (found == seen.values.end() || now - found->second.at > kFresh) return std::nullopt;
  return found->second.value;
}

std::string GateInput::detail(std::string_view name) const {
  const auto found = seen.values.find(std::string(name));
  return found == seen.values.end() ? std::string() : found->second.detail;
}

std::optional<double> GateInput::since_mark(std::string_view name) const {
  const auto present = value(name);
  const auto mark = marks.find(std::string(name));
  if (!present || mark == marks.end()) return std::nullopt;
  return *present < mark->second ? *present : *present - mark->second;
}

GateSettings settings_of(const Gate& gate, const Plan& plan) {
  GateSettings out{gate.limit, gate.min_samples, gate.deadline, std::nullopt};
  const auto apply = [&](std::string_view key, bool own) {
    const auto found = plan.gates.find(std::string(key));
    if (found == plan.gates.end()) return;
    const GateOverride& changes = found->second;
    if (own && changes.limit) out.limit = *changes.limit;
    // A gate that counts no samples is not given a minimum by the key for all.
    if (changes.min_samples && (own || gate.min_samples > 0)) out.min_samples = *changes.min_samples;
    if (changes.deadline) out.deadline = *changes.deadline;
    if (own && changes.waived) out.waived = changes.waived;
  };
  apply(kEveryGate, false);
  apply(gate.id, true);
  return out;
}

const Gate* find_gate(std::string_view id) {
  const auto gates = all_gates();
  const auto found =
      std::find_if(gates.begin(), gates.end(), [&](const Gate* gate) { return gate->id == id; });
  return found == gates.end() ? nullptr : *found;
}

GateReading pass(const GateInput& in, std::optional<double> value, std::string reason) {
  return reading(in, Verdict::kPass, value, std::move(reason));
}

GateReading hold(const GateInput& in, std::optional<double> value, std::string reason) {
  return reading(in, Verdict::kHold, value, std::move(reason));
}

GateReading no_data(const GateInput& in, std::string reason) {
  GateReading out = reading(in, Verdict::kHold, std::nullopt, std::move(reason));
  out.no_data = true;
  return out;
}

GateReading violated(const GateInput& in, std::optional<double> value, std::string reason) {
  return reading(in, Verdict::kFail, value, std::move(reason));
}

std::vector<GateReading> judge_all(const GateInput& common, Moment moment) {
  std::vector<std::pair<const Gate*, GateSettings>> due;
  unsigned active = 0;
  for (const Gate* gate : all_gates()) {
    if (!has(gate->moments, moment)) continue;
    due.emplace_back(gate, settings_of(*gate, common.plan));
    active += due.back().second.waived ? 0 : 1;
  }
  std::vector<GateReading> out;
  out.reserve(due.size());
  for (const auto& [gate, settings] : due) {
    const GateInput in{common.seen, common.baseline, common.marks,         common.plan, settings,
                       moment,      common.exposure, std::max(1U, active), common.now,  common.dropped};
    GateReading one = gate->judge(in);
    one.gate = gate->id;
    one.unit = gate->unit;
    one.limit = settings.limit;
    if (settings.waived) {
      one.reason =
          fmt::format("waived: {} (unwaived: {}, {})", *settings.waived, to_string(one.verdict), one.reason);
      one.verdict = Verdict::kPass;
      one.waived = true;
      one.no_data = false;
    }
    out.push_back(std::move(one));
  }
  std::sort(out.begin(), out.end(),
            [](const GateReading& a, const GateReading& b) { return a.gate < b.gate; });
  return out;
}

}  // namespace poundlock::rollout
