#include "client/view.h"

#include "flag/rollout_flag.h"

namespace poundlock::client {

namespace {

std::string_view rollout_of(std::string_view key) {
  if (key.ends_with(flag::kStageSuffix)) key.remove_suffix(flag::kStageSuffix.size());
  return key;
}

void remember_completed(View& view) {
  if (view.snapshot == nullptr) return;
  for (const flag::CompiledFlag* compiled : view.snapshot->flags()) {
    if (!compiled->key.ends_with(flag::kStageSuffix)) continue;
    const std::string_view key = rollout_of(compiled->key);
    if (compiled->is_constant("complete")) {
      view.completed.emplace(key);
    } else if (auto found = view.completed.find(key); found != view.completed.end()) {
      view.completed.erase(found);
    }
  }
}

// `KEY` alone in an override file steers `KEY.stage` as well: whoever kills offline must not have to
// know of two flags.
std::string_view override_for(const Overrides& overrides, std::string_view key) {
  if (auto found = overrides.find(key); found != overrides.end()) return found->second;
  if (!key.ends_with(flag::kStageSuffix)) return {};
  auto found = overrides.find(rollout_of(key));
  if (found == overrides.end()) return {};
  return found->second == "on" || found->second == "true" ? "live" : "off";
}

Evaluated named(std::string_view name, const flag::CompiledFlag* compiled, flag::Reason reason) {
  Evaluated result;
  result.reason = reason;
  result.flag = compiled;
  result.name = name;
  if (compiled != nullptr) result.variant = compiled->find_variant(name);
  return result;
}

}  // namespace

std::shared_ptr<const View> next_view(const View& previous, std::shared_ptr<const flag::Snapshot> snapshot,
                                      bool from_disk, const Overrides& overrides) {
  auto view = std::make_shared<View>();
  view->snapshot = std::move(snapshot);
  view->from_disk = from_disk;
  view->completed = previous.completed;
  remember_completed(*view);
  for (const auto& [key, variant] : overrides) {
    if (!view->completed.contains(rollout_of(key))) view->overrides.emplace(key, variant);
  }
  return view;
}

Evaluated evaluate(const View& view, std::string_view key, const flag::Attributes& attributes,
                   std::int64_t (*now_s)()) {
  const flag::CompiledFlag* compiled = view.snapshot == nullptr ? nullptr : view.snapshot->find(key);
  if (!view.overrides.empty()) {
    if (const std::string_view name = override_for(view.overrides, key); !name.empty()) {
      Evaluated result = named(name, compiled, flag::Reason::kStatic);
      result.overridden = true;
      return result;
    }
  }
  if (!view.completed.empty() && view.completed.contains(rollout_of(key)) &&
      (compiled == nullptr || !compiled->enabled)) {
    return named(key.ends_with(flag::kStageSuffix) ? "complete" : "on", nullptr, flag::Reason::kStatic);
  }
  if (compiled == nullptr) {
    Evaluated result;
    result.error = flag::ErrorCode::kFlagNotFound;
    result.error_text = view.snapshot == nullptr ? "no snapshot yet" : "no such flag";
    return result;
  }
  const flag::Resolution resolution =
      view.snapshot->evaluate(*compiled, attributes, compiled->needs_time ? now_s() : 0);
  Evaluated result;
  result.reason = resolution.reason;
  result.error = resolution.error;
  result.error_text = resolution.error_text;
  result.variant = resolution.variant;
  if (resolution.variant != nullptr) result.name = resolution.variant->name;
  result.flag = compiled;
  return result;
}

}  // namespace poundlock::client
