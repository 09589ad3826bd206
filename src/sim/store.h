// A state store in memory: compare-and-swap, an audit trail with a chain, and commits that fail, get lost or
// are the last thing that their process does. What a process sees ends with it; the data stays. One thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ports/state_store.h"

namespace poundlock::sim {

enum class CommitFate {
  kDone,
  kBusy,         // not durable, and said so
  kLostAnswer,   // durable, and the caller does not learn it
  kCrashBefore,  // the process dies before it
  kCrashAfter,   // the process dies right after it
};

class MemoryStore final : public ports::StateStore {
 public:
  Result<std::optional<ports::Entry>> get(std::string_view key) override;
  Result<std::vector<ports::Entry>> list(std::string_view prefix) override;
  Status commit(const std::vector<ports::Write>& writes,
                const std::vector<ports::AuditEntry>& audit) override;
  Result<std::vector<ports::AuditEntry>> audit(std::string_view subject, int limit) override;
  Result<std::optional<std::int64_t>> verify_audit() override;

  bool loses_commits = false;  // a deliberate fault: says done, and keeps nothing

 private:
  std::map<std::string, ports::Entry, std::less<>> entries_;
  std::vector<ports::AuditEntry> audit_;
};

// One process's way to the store. `fate` is asked at each commit and may mark the process as dead.
class ProcessStore final : public ports::StateStore {
 public:
  ProcessStore(MemoryStore& store, const bool& dead, std::function<CommitFate()> fate)
      : store_(store), dead_(dead), fate_(std::move(fate)) {}
  Result<std::optional<ports::Entry>> get(std::string_view key) override;
  Result<std::vector<ports::Entry>> list(std::string_view prefix) override;
  Status commit(const std::vector<ports::Write>& writes,
                const std::vector<ports::AuditEntry>& audit) override;
  Result<std::vector<ports::AuditEntry>> audit(std::string_view subject, int limit) override;
  Result<std::optional<std::int64_t>> verify_audit() override { return store_.verify_audit(); }

 private:
  MemoryStore& store_;
  const bool& dead_;
  std::function<CommitFate()> fate_;
};

}  // namespace poundlock::sim
