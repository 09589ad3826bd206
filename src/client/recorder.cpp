#include "client/recorder.h"

#include <functional>
#include <thread>

namespace poundlock::client {

namespace {

const std::string kOther = "other";

void count(flag::Counts& counts, const Failure* failure) {
  ++counts.attempts;
  if (failure == nullptr) return;
  switch (failure->kind) {
    case FailureKind::kTimeout: ++counts.timeouts; return;
    case FailureKind::kDeadlock: ++counts.deadlocks; return;
    case FailureKind::kConnection: ++counts.connection; return;
    case FailureKind::kOther: ++counts.other; return;
  }
}

}  // namespace

Recorder::Shard& Recorder::shard() {
  static thread_local const std::size_t mine = std::hash<std::thread::id>{}(std::this_thread::get_id());
  return shards_[(mine * 0x9E3779B97F4A7C15ULL >> 32) % shards_.size()];
}

flag::PathReport& Recorder::row(Tables& tables, const PathKey& key) {
  auto found = tables.paths.find(key);
  if (found != tables.paths.end()) return found->second;
  PathKey kept = key;
  if (tables.paths.size() >= kRowsMax) {
    kept.context = kOther;
    // A caller that makes up path names would otherwise still grow the table.
    if (tables.paths.size() >= 2 * kRowsMax) kept.path = kOther;
    if (tables.paths.size() >= 3 * kRowsMax) kept.flag = kOther;
  }
  flag::PathReport& report = tables.paths[kept];
  report.flag = kept.flag;
  report.path = kept.path;
  report.side = kept.side == Side::kNew ? flag::Side::kNew : flag::Side::kLegacy;
  report.write = kept.write;
  report.context = kept.context;
  return report;
}

std::uint64_t& Recorder::row(Tables& tables, const EvaluationKey& key) {
  auto found = tables.evaluations.find(key);
  if (found != tables.evaluations.end()) return found->second;
  EvaluationKey kept = key;
  if (tables.evaluations.size() >= kRowsMax) {
    kept.context = kOther;
    if (tables.evaluations.size() >= 2 * kRowsMax) kept.flag = kOther;
  }
  return tables.evaluations[kept];
}

flag::ShadowReport& Recorder::shadow_row(Tables& tables, std::pair<std::string, std::string> key) {
  auto found = tables.shadow.find(key);
  if (found != tables.shadow.end()) return found->second;
  if (tables.shadow.size() >= kRowsMax) key.second = kOther;
  if (tables.shadow.size() >= 2 * kRowsMax) key.first = kOther;
  flag::ShadowReport& report = tables.shadow[key];
  report.flag = key.first;
  report.path = key.second;
  return report;
}

void Recorder::attempt(const PathKey& key, std::uint64_t latency_us, const Failure* failure) {
  Shard& mine = shard();
  std::lock_guard lock(mine.mutex);
  flag::PathReport& report = row(mine.tables, key);
  count(report.counts, failure);
  report.latency.add(latency_us);
}

void Recorder::fallback(const PathKey& key) {
  Shard& mine = shard();
  std::lock_guard lock(mine.mutex);
  ++row(mine.tables, key).fallbacks;
}

void Recorder::user_error(const PathKey& key) {
  Shard& mine = shard();
  std::lock_guard lock(mine.mutex);
  ++row(mine.tables, key).user_errors;
}

void Recorder::evaluations(const EvaluationKey& key, std::uint64_t added) {
  Shard& mine = shard();
  std::lock_guard lock(mine.mutex);
  row(mine.tables, key) += added;
}

void Recorder::shadow(const std::string& flag, const std::string& path, Shadow what) {
  Shard& mine = shard();
  std::lock_guard lock(mine.mutex);
  flag::ShadowReport& report = shadow_row(mine.tables, {flag, path});
  if (what == Shadow::kSkipped) {
    ++report.skipped;
    return;
  }
  ++report.compared;
  if (what == Shadow::kDifferent) ++report.mismatches;
}

const std::string& Recorder::admit(const std::string& context) {
  if (context.empty() || context == kOther) return context;
  const auto known = contexts_.find(context);
  if (known != contexts_.end()) {
    known->second = reports_;
    return context;
  }
  if (contexts_.size() >= kContextsMax) {
    std::erase_if(contexts_, [this](const auto& entry) { return entry.second + kForgetAfter < reports_; });
  }
  if (contexts_.size() >= kContextsMax) return kOther;
  contexts_.emplace(context, reports_);
  return context;
}

void Recorder::merge(const Tables& from) {
  for (const auto& [key, report] : from.paths) {
    PathKey kept = key;
    kept.context = admit(key.context);
    flag::PathReport& total = row(undelivered_, kept);
    total.counts.attempts += report.counts.attempts;
    total.counts.timeouts += report.counts.timeouts;
    total.counts.deadlocks += report.counts.deadlocks;
    total.counts.connection += report.counts.connection;
    total.counts.other += report.counts.other;
    total.fallbacks += report.fallbacks;
    total.user_errors += report.user_errors;
    total.latency.merge(report.latency);
  }
  for (const auto& [key, added] : from.evaluations) {
    EvaluationKey kept = key;
    kept.context = admit(key.context);
    row(undelivered_, kept) += added;
  }
  for (const auto& [key, report] : from.shadow) {
    flag::ShadowReport& total = shadow_row(undelivered_, key);
    total.compared += report.compared;
    total.mismatches += report.mismatches;
    total.skipped += report.skipped;
  }
}

void Recorder::collect(flag::Report& report) {
  ++reports_;
  for (Shard& shard : shards_) {
    Tables taken;
    {
      std::lock_guard lock(shard.mutex);
      std::swap(taken, shard.tables);
    }
    merge(taken);
  }
  for (const auto& [key, row] : undelivered_.paths) report.paths.push_back(row);
  for (const auto& [key, count] : undelivered_.evaluations) {
    report.evaluations.push_back({key.flag, key.variant, key.reason, key.context, count, key.rule});
  }
  for (const auto& [key, row] : undelivered_.shadow) report.shadow.push_back(row);
}

void Recorder::delivered() {
  undelivered_ = {};
}

}  // namespace poundlock::client
