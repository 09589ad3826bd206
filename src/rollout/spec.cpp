#include "rollout/spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "base/suggest.h"
#include "rollout/gate.h"
#include "rollout/spec_parts.h"

namespace poundlock::rollout {
namespace {

using change::Profile;
using yaml::Fields;
using yaml::Node;

constexpr std::size_t kOperationsMax = 50;
constexpr Millis kWindowMax{365LL * 86'400'000};
constexpr Millis kDeadlineMax{90LL * 86'400'000};
constexpr double kHoldbackMax = 50;
constexpr std::size_t kReasonMax = 1'000;
const std::vector<std::string> kApprovals{"expose", "release", "drop"};

Result<Profile> read_profile(const Node& node) {
  PL_TRY(const std::string text, node.as_string("profile"));
  const std::vector<std::string> known{"additive", "quick", "full"};
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (text == known[i]) return static_cast<Profile>(i);
  }
  Error error = node.error("spec.profile", fmt::format("profile: expected additive, quick or full, found {}",
                                                       quote_for_message(text)));
  if (const auto near = nearest(text, known); !near.empty())
    error.hint = fmt::format("did you mean '{}'?", near);
  return fail(std::move(error));
}

Status read_change(const Node& node, RolloutSpec& spec) {
  PL_CHECK(parts::check_list(node, "change", 1, kOperationsMax, "- change_column: {table: orders, ...}"));
  for (const Node& entry : node.items) {
    PL_TRY(auto operation, change::parse_operation(entry));
    spec.operations.push_back(std::move(operation));
  }
  return {};
}

// The largest profile that an operation asks for, and which one asks.
const change::Operation& most_demanding(const RolloutSpec& spec) {
  return **std::max_element(spec.operations.begin(), spec.operations.end(),
                            [](const auto& a, const auto& b) { return a->profile() < b->profile(); });
}

Status settle_profile(Fields& fields, RolloutSpec& spec) {
  const change::Operation& needs = most_demanding(spec);
  const Node* node = fields.optional("profile");
  if (!node) {
    // Somebody who writes a flag means the whole ceremony, also for a change that could do with less.
    spec.profile = fields.optional("feature_flags") ? Profile::kFull : needs.profile();
    return {};
  }
  PL_TRY(spec.profile, read_profile(*node));
  if (spec.profile < needs.profile()) {
    return fail(node->error("spec.profile", fmt::format("profile '{}' is too small: {} needs '{}'",
                                                        change::to_string(spec.profile), needs.title(),
                                                        change::to_string(needs.profile())))
                    .with_hint(fmt::format("write profile: {}, or leave it out",
                                           change::to_string(needs.profile()))));
  }
  return {};
}

Status read_flag(Fields& fields, RolloutSpec& spec) {
  if (const Node* node = fields.optional("feature_flags")) {
    PL_TRY(spec.flag, parts::feature_flags(*node));
    return {};
  }
  if (spec.profile == Profile::kAdditive) return {};
  return fail(
      fields.node()
          .error("spec.no_flag", fmt::format("profile '{}' needs a flag, and feature_flags is missing",
                                             change::to_string(spec.profile)))
          .with_hint("add feature_flags: {KEY: {steps: [1, 5, 25, 50, 100]}}; without it nobody could be "
                     "brought back"));
}

// An additive change is complete when it is verified; what it would silently ignore is refused.
Status refuse_in_additive(Fields& fields, const RolloutSpec& spec) {
  if (spec.profile != Profile::kAdditive) return {};
  for (const std::string_view key : {"feature_flags", "paths", "windows", "holdback", "approvals"}) {
    const Node* node = fields.optional(key);
    const bool empty = !node || node->kind == yaml::Kind::kNull ||
                       (node->kind != yaml::Kind::kScalar && node->items.empty() && node->entries.empty());
    if (empty) continue;
    return fail(node->error("spec.additive", fmt::format("{} has no meaning in profile 'additive'", key))
                    .with_hint(fmt::format("remove {}, or write profile: full", key)));
  }
  return {};
}

Status read_windows(const Node* node, RolloutSpec& spec) {
  if (spec.profile != Profile::kFull) spec.windows = Windows{Millis{0}, Millis{0}, Millis{0}};
  if (!node || node->kind == yaml::Kind::kNull) return {};
  PL_TRY(Fields fields, parts::mapping(*node, "windows", {"overlap", "dual_write", "observe"}));
  const auto read = [&](std::string_view key, Millis& window) -> Status {
    if (const Node* value = fields.optional(key)) {
      PL_TRY(window, parts::duration(*value, key, Millis{0}, kWindowMax));
    }
    return {};
  };
  PL_CHECK(read("overlap", spec.windows.overlap));
  PL_CHECK(read("dual_write", spec.windows.dual_write));
  return read("observe", spec.windows.observe);
}

Result<GateOverride> gate_override(const Node& node, const std::string& id) {
  const bool every = id == kEveryGate;
  const std::string what = fmt::format("gate '{}'", id);
  // A limit has another unit in each gate, and a waiver names what it waives.
  PL_TRY(Fields fields, every ? parts::mapping(node, what, {"min_samples", "deadline"})
                              : parts::mapping(node, what, {"limit", "min_samples", "deadline", "waive"}));
  GateOverride gate;
  if (const Node* value = fields.optional("min_samples")) {
    PL_TRY(const std::int64_t samples, value->as_int("min_samples", 0, 1'000'000'000'000));
    gate.min_samples = static_cast<std::uint64_t>(samples);
  }
  if (const Node* value = fields.optional("deadline")) {
    PL_TRY(gate.deadline, parts::duration(*value, "deadline", Millis{1'000}, kDeadlineMax));
  }
  if (every) return gate;
  if (const Node* value = fields.optional("limit")) {
    PL_TRY(gate.limit, value->as_double("limit", 0, 1e15));
  }
  if (const Node* value = fields.optional("waive")) {
    auto reason = parts::text(*value, "waive", kReasonMax);
    if (!reason || *reason == "true" || *reason == "false") {
      return fail(
          value->error("spec.waive", "waive: expected the reason in words")
              .with_hint("it is written into the audit trail: waive: \"no replica in this environment\""));
    }
    gate.waived = std::move(*reason);
  }
  return gate;
}

Status read_gates(const Node* node, RolloutSpec& spec) {
  if (!node || node->kind == yaml::Kind::kNull) return {};
  if (node->kind != yaml::Kind::kMapping) {
    return fail(node->error("yaml.type",
                            fmt::format("gates: expected a mapping, found {}", yaml::to_string(node->kind)))
                    .with_hint("write gates: {replication_lag: {limit: 50}}"));
  }
  std::vector<std::string> known{std::string(kEveryGate)};
  for (const Gate* gate : all_gates()) known.emplace_back(gate->id);
  for (const auto& [key, value] : node->entries) {
    if (std::find(known.begin(), known.end(), key.scalar) == known.end()) {
      const auto near = nearest(key.scalar, known);
      return fail(
          key.error("spec.unknown_gate", fmt::format("unknown gate {}", quote_for_message(key.scalar)))
              .with_hint(near.empty() ? fmt::format("known gates: {}", fmt::join(known, ", "))
                                      : fmt::format("did you mean '{}'?", near)));
    }
    PL_TRY(spec.gates[key.scalar], gate_override(value, key.scalar));
  }
  return {};
}

Status read_holdback(const Node* node, RolloutSpec& spec) {
  if (!node) return {};
  PL_TRY(spec.holdback, parts::percentage(*node, "holdback", 0));
  if (spec.holdback > kHoldbackMax) {
    return fail(node->error("spec.range", fmt::format("holdback: expected a number from 0 to {}, found {}",
                                                      kHoldbackMax, spec.holdback)));
  }
  // The last step reaches 100 - holdback and has to be larger than the one before.
  const auto& steps = spec.flag->steps;
  if (steps.size() > 1 && spec.holdback > 0 && 100 - spec.holdback <= steps[steps.size() - 2]) {
    return fail(node->error("spec.range",
                            fmt::format("holdback: {} % leaves {} % for the last step, and the step before "
                                        "is {} %",
                                        spec.holdback, 100 - spec.holdback, steps[steps.size() - 2]))
                    .with_hint("take a smaller holdback, or leave that step out"));
  }
  return {};
}

Status read_approvals(const Node* node, RolloutSpec& spec) {
  if (!node) {
    if (spec.profile == Profile::kFull) spec.approvals = {"release", "drop"};
    return {};
  }
  PL_CHECK(parts::check_list(*node, "approvals", 0, kApprovals.size(), "[release, drop]"));
  for (const Node& item : node->items) {
    PL_TRY(std::string approval, item.as_string("approvals"));
    if (std::find(kApprovals.begin(), kApprovals.end(), approval) == kApprovals.end()) {
      const auto near = nearest(approval, kApprovals);
      return fail(
          item.error("spec.approval", fmt::format("approvals: expected {}, found {}",
                                                  parts::words(kApprovals), quote_for_message(approval)))
              .with_hint(near.empty() ? "" : fmt::format("did you mean '{}'?", near)));
    }
    if (std::find(spec.approvals.begin(), spec.approvals.end(), approval) != spec.approvals.end()) {
      return fail(item.error("spec.approval", fmt::format("approvals: '{}' stands twice", approval)));
    }
    spec.approvals.push_back(std::move(approval));
  }
  return {};
}

Result<RolloutSpec> read(const Node& root) {
  PL_TRY(Fields fields, parts::mapping(root, "rollout",
                                       {"rollout", "database", "profile", "change", "paths", "feature_flags",
                                        "windows", "gates", "holdback", "approvals"}));
  RolloutSpec spec;
  PL_TRY(const Node* name, fields.required("rollout"));
  PL_TRY(spec.name, parts::plain_name(*name, "rollout"));
  if (const Node* node = fields.optional("database")) {
    PL_TRY(spec.database, parts::plain_name(*node, "database"));
  }
  PL_TRY(const Node* change, fields.required("change"));
  PL_CHECK(read_change(*change, spec));
  PL_CHECK(settle_profile(fields, spec));
  PL_CHECK(refuse_in_additive(fields, spec));
  PL_CHECK(read_flag(fields, spec));
  if (const Node* node = fields.optional("paths"); node && node->kind != yaml::Kind::kNull) {
    PL_TRY(spec.paths, parts::paths(*node));
  }
  PL_CHECK(read_windows(fields.optional("windows"), spec));
  PL_CHECK(read_gates(fields.optional("gates"), spec));
  if (spec.flag) PL_CHECK(read_holdback(fields.optional("holdback"), spec));
  if (spec.profile != Profile::kAdditive) PL_CHECK(read_approvals(fields.optional("approvals"), spec));
  return spec;
}

}  // namespace

Result<RolloutSpec> parse_rollout(std::string_view text, std::string file) {
  PL_TRY(const Node root, yaml::parse(text, std::move(file)));
  PL_TRY(RolloutSpec spec, read(root));
  spec.source = text;
  return spec;
}

}  // namespace poundlock::rollout
