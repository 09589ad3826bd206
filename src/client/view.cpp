#include "client/view.h"

#include "base/json.h"
#include "flag/rollout_flag.h"

namespace poundlock::client {

namespace {

std::string_view rollout_of(std::string_view key) {
  if (key.ends_with(flag::kStageSuffix)) key.remove_suffix(flag::kStageSuffix.size());
  return key;
}

// A flag that is disabled or broken gives the code's default, which is the legacy side: after `complete` that
// is no order to go back.
bool says_something(const flag::CompiledFlag& compiled) {
  return compiled.enabled && compiled.rule_error.empty() &&
         (compiled.has_rule || compiled.fallback != nullptr);
}

void remember_completed(View& view) {
  if (view.snapshot == nullptr) return;
  for (const flag::CompiledFlag* compiled : view.snapshot->flags()) {
    if (!compiled->key.ends_with(flag::kStageSuffix)) continue;
    const std::string_view key = rollout_of(compiled->key);
    if (compiled->is_constant("complete")) {
      view.completed.emplace(key);
    } else if (says_something(*compiled)) {
      if (auto found = view.completed.find(key); found != view.completed.end()) view.completed.erase(found);
    }
  }
}

const flag::CompiledFlag* find(const View& view, std::string_view key) {
  return view.snapshot == nullptr ? nullptr : view.snapshot->find(key);
}

std::string_view variant_in(const flag::CompiledFlag& compiled, std::string_view word) {
  const json::Value* variants = compiled.source.if_contains("variants");
  return variants && variants->is_object() ? variant_of(variants->get_object(), word) : std::string_view();
}

// Of a rollout's two flags a word must steer both or none: else one is on the new side and the other is not.
bool steers_a_side(const View& view, std::string_view key, std::string_view word) {
  if (key.ends_with(flag::kStageSuffix)) {
    const flag::CompiledFlag* stage = find(view, key);
    return stage == nullptr || !variant_in(*stage, word).empty();
  }
  if (value_of(word)) return true;
  return find(view, std::string(key) + std::string(flag::kStageSuffix)) == nullptr;
}

// `KEY` alone in an override file steers `KEY.stage` as well: whoever kills offline must not have to
// know of two flags.
std::string_view override_for(const Overrides& overrides, std::string_view key,
                              const flag::CompiledFlag* compiled) {
  if (auto found = overrides.find(key); found != overrides.end()) {
    const std::string_view variant =
        compiled == nullptr ? std::string_view() : variant_in(*compiled, found->second);
    return variant.empty() ? found->second : variant;
  }
  if (!key.ends_with(flag::kStageSuffix)) return {};
  auto found = overrides.find(rollout_of(key));
  const auto value = found == overrides.end() ? std::nullopt : value_of(found->second);
  if (!value) return {};
  return *value ? "live" : "off";
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
  view->base = previous.base;
  view->hooks = previous.hooks;
  view->completed = previous.completed;
  remember_completed(*view);
  for (const auto& [key, variant] : overrides) {
    if (view->completed.contains(rollout_of(key))) continue;
    if (steers_a_side(*view, key, variant))
      view->overrides.emplace(key, variant);
    else
      view->unheeded += (view->unheeded.empty() ? "" : ", ") + key + ": " + variant;
  }
  return view;
}

namespace {

// What an application can see of a flag. The order of revisions is in the set's metadata and changes with
// each: that alone is no change.
bool same_metadata(const json::Object& a, const json::Object& b) {
  const auto counts = [](std::string_view key) { return key != "epoch" && key != "revision"; };
  std::size_t of_a = 0, of_b = 0;
  for (const auto& entry : b) of_b += counts(entry.key()) ? 1 : 0;
  for (const auto& entry : a) {
    if (!counts(entry.key())) continue;
    ++of_a;
    const json::Value* other = b.if_contains(entry.key());
    if (other == nullptr || *other != entry.value()) return false;
  }
  return of_a == of_b;
}

void add_changed_flags(const View& before, const View& after, std::set<std::string>& keys) {
  if (before.snapshot == after.snapshot) return;
  if (after.snapshot != nullptr) {
    for (const flag::CompiledFlag* now : after.snapshot->flags()) {
      const flag::CompiledFlag* then = before.snapshot == nullptr ? nullptr : before.snapshot->find(now->key);
      const bool same =
          then != nullptr && then->source == now->source && same_metadata(then->metadata, now->metadata);
      if (!same) keys.insert(now->key);
    }
  }
  if (before.snapshot == nullptr) return;
  for (const flag::CompiledFlag* then : before.snapshot->flags()) {
    if (after.snapshot == nullptr || after.snapshot->find(then->key) == nullptr) keys.insert(then->key);
  }
}

void add_changed_overrides(const View& from, const View& to, std::set<std::string>& keys) {
  for (const auto& [key, variant] : from.overrides) {
    auto found = to.overrides.find(key);
    if (found != to.overrides.end() && found->second == variant) continue;
    keys.insert(key);
    // It steers KEY.stage as well, see override_for().
    std::string stage = key + std::string(flag::kStageSuffix);
    if (to.snapshot != nullptr && to.snapshot->find(stage) != nullptr) keys.insert(std::move(stage));
  }
}

}  // namespace

std::vector<std::string> changed_keys(const View& before, const View& after) {
  std::set<std::string> keys;
  add_changed_flags(before, after, keys);
  add_changed_overrides(before, after, keys);
  add_changed_overrides(after, before, keys);
  return {keys.begin(), keys.end()};
}

Evaluated evaluate(const View& view, std::string_view key, const flag::Attributes& attributes,
                   std::int64_t (*now_s)()) {
  const flag::CompiledFlag* compiled = find(view, key);
  if (!view.overrides.empty()) {
    if (const std::string_view name = override_for(view.overrides, key, compiled); !name.empty()) {
      Evaluated result = named(name, compiled, flag::Reason::kStatic);
      result.overridden = true;
      return result;
    }
  }
  if (!view.completed.empty() && view.completed.contains(rollout_of(key)) &&
      (compiled == nullptr || !says_something(*compiled))) {
    return named(key.ends_with(flag::kStageSuffix) ? "complete" : "on", nullptr, flag::Reason::kStatic);
  }
  if (compiled == nullptr) {
    Evaluated result;
    result.error = flag::ErrorCode::kFlagNotFound;
    result.ready = view.snapshot != nullptr;
    result.error_text = result.ready ? "no such flag" : "no snapshot yet";
    return result;
  }
  const flag::Resolution resolution =
      view.snapshot->evaluate(*compiled, attributes, compiled->needs_time ? now_s() : 0);
  Evaluated result;
  result.reason = resolution.reason;
  result.error = resolution.error;
  result.error_text = resolution.error_text;
  result.rule = resolution.branch;
  result.variant = resolution.variant;
  if (resolution.variant != nullptr) result.name = resolution.variant->name;
  result.flag = compiled;
  return result;
}

}  // namespace poundlock::client
