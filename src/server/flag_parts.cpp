#include "server/flag_parts.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <filesystem>

#include "base/json.h"
#include "client/override_file.h"
#include "flag/rollout_flag.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;

struct Winner {
  std::string_view owner;
  const bj::object* definition = nullptr;
  const FlagParts::File* file = nullptr;
};
using Winners = std::map<std::string_view, Winner>;

std::string_view set_of(const bj::object& definition) {
  const auto* metadata = json::find(definition, "metadata");
  const auto* name =
      metadata && metadata->is_object() ? json::find(metadata->as_object(), "flagSetId") : nullptr;
  return name && name->is_string() ? std::string_view(name->as_string()) : std::string_view();
}

std::string_view without_scheme(std::string_view uri) {
  return uri.starts_with("file:") ? uri.substr(5) : uri;
}

bool is_file(const Selector& selector, const FlagParts::File& file) {
  if (selector.by != Selector::By::kSource) return true;
  const auto wanted = without_scheme(selector.value);
  return wanted == without_scheme(file.uri) || wanted == file.path;
}

bool is_set(const Selector& selector, const bj::object& definition) {
  return selector.by != Selector::By::kFlagSet || set_of(definition) == selector.value;
}

// A flag that was set by hand says in its metadata where it belongs.
bool has_source(const Selector& selector, const bj::object& definition) {
  if (selector.by != Selector::By::kSource) return true;
  const auto* metadata = json::find(definition, "metadata");
  const auto* name =
      metadata && metadata->is_object() ? json::find(metadata->as_object(), "source") : nullptr;
  return name && name->is_string() && name->as_string() == selector.value;
}

void add_set(SelectorNames& to, const bj::value& definition) {
  if (!definition.is_object()) return;
  if (const auto set = set_of(definition.as_object()); !set.empty()) to.sets.emplace(set);
}

void add_files(const FlagParts& parts, const Selector& selector, Winners& out) {
  for (const auto& file : parts.files) {
    if (!is_file(selector, file)) continue;
    for (const auto& [key, definition] : file.flags)
      if (definition.is_object() && is_set(selector, definition.as_object()))
        out[key] = {"", &definition.as_object(), &file};
  }
}

// An order by hand reaches every reader of the flag, also those that follow one file or one flag set.
void add_by_hand(const FlagParts& parts, const Selector& selector, Winners& out) {
  for (const auto& [key, definition] : parts.by_hand) {
    if (!definition.is_object()) continue;
    const auto& flag = definition.as_object();
    const auto found = out.find(std::string_view(key));
    const bool replaces = found != out.end() && set_of(*found->second.definition) == set_of(flag);
    if (replaces || (is_set(selector, flag) && has_source(selector, flag))) out[key] = {"", &flag, nullptr};
  }
}

void add_rollouts(const FlagParts& parts, const Selector& selector, Winners& out) {
  for (const auto& [name, flags] : parts.rollouts) {
    for (const auto& [key, definition] : flags) {
      if (!definition.is_object()) continue;
      const bool chosen = selector.by == Selector::By::kAll ||
                          (selector.by == Selector::By::kSource && name == selector.value) ||
                          (selector.by == Selector::By::kFlagSet && is_set(selector, definition.as_object()));
      out.erase(std::string_view(key));
      if (chosen) out[key] = {name, &definition.as_object(), nullptr};
    }
  }
}

Winners winners(const FlagParts& parts, const Selector& selector) {
  Winners out;
  add_files(parts, selector, out);
  add_by_hand(parts, selector, out);
  add_rollouts(parts, selector, out);
  return out;
}

std::string_view rollout_key(std::string_view key) {
  if (key.ends_with(flag::kStageSuffix)) key.remove_suffix(flag::kStageSuffix.size());
  return key;
}

bool is_complete(const Winners& all, std::string_view key) {
  const auto stage = all.find(fmt::format("{}{}", rollout_key(key), flag::kStageSuffix));
  if (stage == all.end() || stage->second.owner.empty()) return false;
  const auto* fallback = json::find(*stage->second.definition, "defaultVariant");
  return fallback && fallback->is_string() &&
         fallback->as_string() == flag::to_string(flag::Stage::kComplete) &&
         !json::find(*stage->second.definition, "targeting");
}

bool has_stage(const Winners& all, std::string_view key) {
  return all.contains(fmt::format("{}{}", key, flag::kStageSuffix));
}

std::string variant_of(const Winner& winner, std::string_view word) {
  const auto* variants = json::find(*winner.definition, "variants");
  if (!variants || !variants->is_object()) return {};
  return std::string(client::variant_of(variants->as_object(), word));
}

// KEY alone steers KEY.stage as well: whoever writes the file in an emergency need not know of two flags. A
// word that stands for neither side steers none of the two: they must not part.
std::string override_of(const Overrides& overrides, const Winners& all, std::string_view key,
                        const Winner& winner) {
  if (overrides.empty() || is_complete(all, key)) return {};
  if (const auto found = overrides.find(key); found != overrides.end())
    return has_stage(all, key) && !client::value_of(found->second) ? "" : variant_of(winner, found->second);
  if (!key.ends_with(flag::kStageSuffix)) return {};
  const auto found = overrides.find(rollout_key(key));
  const auto value = found == overrides.end() ? std::nullopt : client::value_of(found->second);
  return value ? variant_of(winner, *value ? "live" : "off") : "";
}

struct Defined {
  const bj::value* definition = nullptr;
  const FlagParts::File* file = nullptr;
};

Defined in_files(const FlagParts& parts, std::string_view key) {
  for (auto file = parts.files.rbegin(); file != parts.files.rend(); ++file) {
    const auto* found = file->flags.if_contains(key);
    if (found && found->is_object()) return {found, &*file};
  }
  return {};
}

// As winners() has it, where nothing is selected.
Winner winner_of(const FlagParts& parts, std::string_view key) {
  const auto object_in = [&](const bj::object& flags) {
    const auto* found = flags.if_contains(key);
    return found && found->is_object() ? &found->as_object() : nullptr;
  };
  for (auto one = parts.rollouts.rbegin(); one != parts.rollouts.rend(); ++one)
    if (const auto* definition = object_in(one->second)) return {one->first, definition, nullptr};
  if (const auto* definition = object_in(parts.by_hand)) return {"", definition, nullptr};
  const Defined found = in_files(parts, key);
  return {"", found.definition ? &found.definition->as_object() : nullptr, found.file};
}

FlagInfo info_of(std::string_view key, const Winner& winner, const Overrides& overrides, const Winners& all) {
  FlagInfo info{std::string(key), std::string(winner.owner), *winner.definition,
                winner.file ? winner.file->path : "", override_of(overrides, all, key, winner)};
  if (!info.overridden.empty()) {
    info.definition["state"] = "ENABLED";
    info.definition["defaultVariant"] = info.overridden;
    info.definition.erase("targeting");
  }
  return info;
}

Result<bj::object> object_of(const bj::object& from, std::string_view key) {
  PL_TRY(const auto* object, json::get_object(from, key));
  return *object;
}

}  // namespace

const FlagParts::File* FlagParts::find_file(std::string_view path) const {
  for (const auto& file : files)
    if (file.path == path) return &file;
  return nullptr;
}

std::string Shadowed::to_string() const {
  return by_rollout ? fmt::format("{}: the flag {} does not count, the rollout {} steers this key for ever",
                                  source, key, by)
                    : fmt::format("{}: the flag {} does not count, {} defines it, too", source, key, by);
}

std::vector<FlagInfo> effective_flags(const FlagParts& parts, const Overrides& overrides,
                                      const Selector& selector) {
  const Winners all = winners(parts, selector);
  std::vector<FlagInfo> out;
  out.reserve(all.size());
  for (const auto& [key, winner] : all) out.push_back(info_of(key, winner, overrides, all));
  return out;
}

std::optional<FlagInfo> effective_flag(const FlagParts& parts, const Overrides& overrides,
                                       std::string_view key) {
  const std::string stage = fmt::format("{}{}", rollout_key(key), flag::kStageSuffix);
  Winners some;  // what decides about this key: its stage says whether an override still holds
  for (const std::string_view one : {key, std::string_view(stage)})
    if (const Winner found = winner_of(parts, one); found.definition) some[one] = found;
  const auto found = some.find(key);
  if (found == some.end()) return std::nullopt;
  return info_of(key, found->second, overrides, some);
}

bool SelectorNames::has(const Selector& selector) const {
  if (selector.by == Selector::By::kAll) return true;
  if (selector.by == Selector::By::kFlagSet) return sets.contains(selector.value);
  return sources.contains(selector.value) || sources.contains(without_scheme(selector.value));
}

SelectorNames selector_names(const FlagParts& parts) {
  SelectorNames out;
  for (const auto& file : parts.files) {
    out.sources.emplace(without_scheme(file.uri));
    out.sources.emplace(file.path);
    for (const auto& [key, definition] : file.flags) add_set(out, definition);
  }
  for (const auto& [key, definition] : parts.by_hand) {
    add_set(out, definition);
    const auto* flag = definition.is_object() ? &definition.as_object() : nullptr;
    const auto* metadata = flag ? json::find(*flag, "metadata") : nullptr;
    const auto* source =
        metadata && metadata->is_object() ? json::find(metadata->as_object(), "source") : nullptr;
    if (source && source->is_string()) out.sources.emplace(source->as_string());
  }
  for (const auto& [name, flags] : parts.rollouts) {
    out.sources.emplace(name);
    for (const auto& [key, definition] : flags) add_set(out, definition);
  }
  return out;
}

std::vector<std::string> unheeded_overrides(const FlagParts& parts, const Overrides& overrides) {
  const Winners all = winners(parts, {});
  std::vector<std::string> out;
  for (const auto& [key, word] : overrides) {
    const auto found = all.find(key);
    if (found == all.end()) {
      out.push_back(fmt::format("the override of {} does nothing yet: there is no such flag", key));
    } else if (is_complete(all, key)) {
      out.push_back(fmt::format("the override of {} is not heeded: its rollout is closing or closed", key));
    } else if (override_of(overrides, all, key, found->second).empty()) {
      const char* hint = has_stage(all, key) ? "no variant of its rollout's flag: write on or off"
                                             : "no variant of the flag";
      out.push_back(fmt::format("the override of {} is not heeded: {} is {}", key, word, hint));
    }
  }
  return out;
}

std::vector<Shadowed> shadowed_flags(const FlagParts& parts) {
  const Winners all = winners(parts, {});
  std::vector<Shadowed> out;
  for (const auto& file : parts.files) {
    for (const auto& [key, definition] : file.flags) {
      const auto& winner = all.at(key);
      if (winner.file == &file) continue;
      if (!winner.owner.empty())
        out.push_back({std::string(key), file.path, std::string(winner.owner), true});
      else if (winner.file)
        out.push_back({std::string(key), file.path, winner.file->path, false});
    }
  }
  return out;
}

void keep_orders(const FlagParts& before, FlagParts& next) {
  std::vector<std::string> undone;
  for (const auto& [key, order] : next.by_hand) {
    const Defined was = in_files(before, key), now = in_files(next, key);
    const auto* last = before.vanished.if_contains(key);
    if (!last) last = was.definition;
    const auto* old = now.file ? before.find_file(now.file->path) : nullptr;
    const auto* own = old ? old->flags.if_contains(key) : nullptr;
    if (now.definition && last && *now.definition == *last)
      next.vanished.erase(key);
    else if (!now.definition || (own && *own == *now.definition)) {
      if (last) next.vanished[key] = *last;  // a file that won is away, and another may show through
    } else {
      undone.emplace_back(key);
    }
  }
  for (const auto& key : undone) {
    next.by_hand.erase(key);
    next.vanished.erase(key);
  }
}

bool is_in_folder(const std::string& file, const std::string& folder) {
  return std::filesystem::path(file).parent_path() / "" == std::filesystem::path(folder) / "";
}

std::string to_json(const FlagParts& parts, flag::Revision revision) {
  bj::object all;
  for (const auto& [owner, flags] : parts.rollouts) all[owner] = flags;
  if (!parts.by_hand.empty()) all[""] = parts.by_hand;
  bj::array files;
  for (const auto& file : parts.files)
    files.push_back(bj::object{{"path", file.path}, {"uri", file.uri}, {"flags", file.flags}});
  return json::dump(json::Object{{"epoch", revision.epoch},
                                 {"revision", revision.number},
                                 {"parts", std::move(all)},
                                 {"vanished", parts.vanished},
                                 {"files", std::move(files)}});
}

Status from_json(std::string_view text, FlagParts& parts, flag::Revision& revision) {
  PL_TRY(const auto value, json::parse(text, "the stored flag set", json::kOwnLimits));
  PL_TRY(const auto* object, json::as_object(value, "the stored flag set"));
  PL_TRY(revision.epoch, json::get_uint(*object, "epoch"));
  PL_TRY(revision.number, json::get_uint(*object, "revision"));
  PL_TRY(const auto* owners, json::get_object(*object, "parts"));
  for (const auto& [owner, flags] : *owners) {
    PL_TRY(auto part, object_of(*owners, owner));
    (owner.empty() ? parts.by_hand : parts.rollouts[std::string(owner)]) = std::move(part);
  }
  if (object->contains("vanished")) {
    PL_TRY(parts.vanished, object_of(*object, "vanished"));
  }
  PL_TRY(const auto* files, json::optional_array(*object, "files"));
  for (std::size_t i = 0; files && i < files->size(); ++i) {
    PL_TRY(const auto* file, json::as_object((*files)[i], "a stored flag file"));
    FlagParts::File one;
    PL_TRY(one.path, json::get_string(*file, "path"));
    PL_TRY(one.uri, json::get_string(*file, "uri"));
    PL_TRY(one.flags, object_of(*file, "flags"));
    parts.files.push_back(std::move(one));
  }
  return {};
}

}  // namespace poundlock::server
