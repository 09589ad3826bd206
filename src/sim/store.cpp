#include "sim/store.h"

#include <fmt/format.h>

namespace poundlock::sim {
namespace {

std::string chained(const std::string& before, const ports::AuditEntry& entry) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const auto* text : {&before, &entry.who, &entry.what, &entry.subject, &entry.why, &entry.details})
    for (const char c : *text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return fmt::format("{:016x}", hash);
}

Error gone() {
  return make_error(Disposition::kRetry, "store.process", "the process has ended");
}

}  // namespace

Result<std::optional<ports::Entry>> MemoryStore::get(std::string_view key) {
  const auto found = entries_.find(key);
  return found == entries_.end() ? std::optional<ports::Entry>() : std::optional(found->second);
}

Result<std::vector<ports::Entry>> MemoryStore::list(std::string_view prefix) {
  std::vector<ports::Entry> out;
  for (auto it = entries_.lower_bound(prefix); it != entries_.end() && it->first.starts_with(prefix); ++it)
    out.push_back(it->second);
  return out;
}

Status MemoryStore::commit(const std::vector<ports::Write>& writes,
                           const std::vector<ports::AuditEntry>& audit) {
  for (const auto& write : writes) {
    const auto found = entries_.find(write.key);
    const std::int64_t version = found == entries_.end() ? 0 : found->second.version;
    if (version != write.expected_version)
      return fail(
          make_error(Disposition::kConflict, "store.conflict",
                     fmt::format("{} has version {}, not {}", write.key, version, write.expected_version)));
  }
  for (const auto& write : writes) {
    auto& entry = entries_[write.key];
    // The version moves on, or the next commit would find out.
    entry = {write.key, loses_commits && entry.version > 2 ? entry.value : write.value,
             write.expected_version + 1};
  }
  for (ports::AuditEntry entry : audit) {
    entry.sequence = static_cast<std::int64_t>(audit_.size()) + 1;
    entry.hash = chained(audit_.empty() ? "" : audit_.back().hash, entry);
    audit_.push_back(std::move(entry));
  }
  return {};
}

Result<std::vector<ports::AuditEntry>> MemoryStore::audit(std::string_view subject, int limit) {
  std::vector<ports::AuditEntry> out;
  for (auto it = audit_.rbegin(); it != audit_.rend() && static_cast<int>(out.size()) < limit; ++it)
    if (subject.empty() || it->subject == subject) out.push_back(*it);
  return out;
}

Result<std::optional<std::int64_t>> MemoryStore::verify_audit() {
  std::string before;
  for (const auto& entry : audit_) {
    if (entry.hash != chained(before, entry)) return std::optional(entry.sequence);
    before = entry.hash;
  }
  return std::optional<std::int64_t>();
}

Result<std::optional<ports::Entry>> ProcessStore::get(std::string_view key) {
  if (dead_) return fail(gone());
  return store_.get(key);
}

Result<std::vector<ports::Entry>> ProcessStore::list(std::string_view prefix) {
  if (dead_) return fail(gone());
  return store_.list(prefix);
}

Result<std::vector<ports::AuditEntry>> ProcessStore::audit(std::string_view subject, int limit) {
  if (dead_) return fail(gone());
  return store_.audit(subject, limit);
}

Status ProcessStore::commit(const std::vector<ports::Write>& writes,
                            const std::vector<ports::AuditEntry>& audit) {
  if (dead_) return fail(gone());
  const CommitFate fate = fate_();
  if (fate == CommitFate::kCrashBefore) return fail(gone());
  if (fate == CommitFate::kBusy)
    return fail(make_error(Disposition::kRetry, "store.busy", "the store is busy"));
  PL_CHECK(store_.commit(writes, audit));
  if (fate == CommitFate::kDone) return {};
  return fail(make_error(Disposition::kInDoubt, "store.answer", "the store's answer was lost"));
}

}  // namespace poundlock::sim
