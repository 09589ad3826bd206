#include "telemetry/flag_usage.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <set>

#include "base/json.h"
#include "flag/rollout_flag.h"

namespace poundlock::telemetry {
namespace {

constexpr std::int64_t kDayMs = 24 * 3'600'000;
constexpr Millis kUnattestedStep{60'000};  // what is saved at most once a minute

// Sets the day; true where that is another one.
template <typename Map, typename Key>
bool touch(Map& map, const Key& key, std::int64_t day, std::size_t max) {
  const auto found = map.find(key);
  if (found == map.end()) return map.size() < max && map.emplace(key, day).second;
  return std::exchange(found->second, std::max(found->second, day)) < day;
}

Status read_days(const json::Object& from, const char* key, const auto& each) {
  PL_TRY(const auto* days, json::optional_object(from, key));
  if (!days) return {};
  for (const auto& one : *days) {
    PL_TRY(const auto day, json::as_int(one.value(), "a day"));
    each(std::string(one.key()), day);
  }
  return {};
}

}  // namespace

void FlagUsage::add(const std::vector<flag::EvaluationReport>& rows, TimePoint now, bool attested) {
  const std::int64_t day = now.ms / kDayMs;
  std::lock_guard lock(mutex_);
  bool changed = false;
  for (const auto& row : rows) {
    if (row.count == 0) continue;
    if (!flags_.contains(row.flag) && flags_.size() >= limits_.flags_max) continue;
    FlagUse& use = flags_[row.flag];
    changed = std::exchange(use.last_day, std::max(use.last_day, day)) < day || changed;
    if (!row.variant.empty()) changed = touch(use.variants, row.variant, day, limits_.details_max) || changed;
    if (row.rule >= 0) changed = touch(use.branches, row.rule, day, limits_.details_max) || changed;
    if (attested || now - use.unattested_at < kUnattestedStep) continue;
    use.unattested_at = now;
    changed = true;
  }
  if (changed) ++version_;
}

TimePoint FlagUsage::unattested(std::string_view flag) const {
  std::lock_guard lock(mutex_);
  TimePoint out;
  for (const std::string& key : {std::string(flag), std::string(flag) + std::string(flag::kStageSuffix)})
    if (const auto found = flags_.find(key); found != flags_.end())
      out = std::max(out, found->second.unattested_at);
  return out;
}

void FlagUsage::keep_only(const std::vector<std::string>& keys) {
  const std::set<std::string_view> known(keys.begin(), keys.end());
  std::lock_guard lock(mutex_);
  if (std::erase_if(flags_, [&](const auto& one) { return !known.contains(one.first); }) > 0) ++version_;
}

std::map<std::string, FlagUse, std::less<>> FlagUsage::all() const {
  std::lock_guard lock(mutex_);
  return flags_;
}

TimePoint FlagUsage::since() const {
  std::lock_guard lock(mutex_);
  return since_;
}

void FlagUsage::begin(TimePoint now) {
  std::lock_guard lock(mutex_);
  if (since_.ms != 0) return;
  since_ = now;
  ++version_;
}

std::uint64_t FlagUsage::version() const {
  std::lock_guard lock(mutex_);
  return version_;
}

std::string FlagUsage::save() const {
  std::lock_guard lock(mutex_);
  json::Object flags;
  for (const auto& [key, use] : flags_) {
    json::Object one{{"day", use.last_day}};
    json::Object variants, branches;
    for (const auto& [variant, day] : use.variants) variants[variant] = day;
    for (const auto& [branch, day] : use.branches) branches[std::to_string(branch)] = day;
    if (!variants.empty()) one["variants"] = std::move(variants);
    if (!branches.empty()) one["branches"] = std::move(branches);
    if (use.unattested_at.ms != 0) one["unattested"] = use.unattested_at.ms;
    flags[key] = std::move(one);
  }
  return json::dump(json::Object{{"since", since_.ms}, {"flags", std::move(flags)}});
}

Status FlagUsage::load(std::string_view text) {
  PL_TRY(const auto value, json::parse(text, "the stored usage of flags", json::kOwnLimits));
  PL_TRY(const auto* root, json::as_object(value, "the stored usage of flags"));
  PL_TRY(const auto since, json::get_int(*root, "since"));
  PL_TRY(const auto* flags, json::get_object(*root, "flags"));
  std::map<std::string, FlagUse, std::less<>> read;
  for (const auto& one : *flags) {
    PL_TRY(const auto* use, json::as_object(one.value(), "a flag's usage"));
    FlagUse& to = read[std::string(one.key())];
    PL_TRY(to.last_day, json::get_int(*use, "day"));
    PL_TRY(const auto unattested, json::optional_int(*use, "unattested"));
    to.unattested_at = {unattested.value_or(0)};
    PL_CHECK(
        read_days(*use, "variants", [&](std::string name, std::int64_t day) { to.variants[name] = day; }));
    PL_CHECK(read_days(*use, "branches", [&](const std::string& name, std::int64_t day) {
      int branch = -1;
      std::from_chars(name.data(), name.data() + name.size(), branch);
      if (branch >= 0) to.branches[branch] = day;
    }));
  }
  std::lock_guard lock(mutex_);
  flags_ = std::move(read);
  since_ = {since};
  return {};
}

}  // namespace poundlock::telemetry
