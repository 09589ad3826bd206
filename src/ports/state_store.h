// Where rollouts, flag snapshots and the audit trail live. One commit is atomic and durable before it
// returns. Implemented by store/ on SQLite (and later etcd); the same contract tests run on each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace poundlock::ports {

struct Entry {
  std::string key;
  std::string value;
  std::int64_t version = 0;  // grows by one with each write of this key; 1 is the first
};

struct Write {
  std::string key;
  std::string value;
  // The version this write replaces; 0: the key must not exist. Anything else is a conflict.
  std::int64_t expected_version = 0;
};

struct AuditEntry {
  std::int64_t sequence = 0;  // set by the store, without gaps from 1
  TimePoint at;
  std::string who;      // "operator:alice", "controller"
  std::string what;     // "rollback", "start", "gate_failed"
  std::string subject;  // the rollout or flag
  std::string why;
  std::string details;  // JSON: gate values at that moment, old and new value
  std::string hash;     // set by the store: SHA-256 over the previous hash and this entry
};

// Thread-safe.
class StateStore {
 public:
  virtual ~StateStore() = default;
  virtual Result<std::optional<Entry>> get(std::string_view key) = 0;
  virtual Result<std::vector<Entry>> list(std::string_view prefix) = 0;
  // All writes and audit entries, or none. kConflict with code "store.conflict" when a version differs.
  virtual Status commit(const std::vector<Write>& writes, const std::vector<AuditEntry>& audit) = 0;
  // Newest first; at most `limit`. An empty subject means all.
  virtual Result<std::vector<AuditEntry>> audit(std::string_view subject, int limit) = 0;
  // Recomputes the hash chain: the sequence number of the first broken entry, or nullopt.
  virtual Result<std::optional<std::int64_t>> verify_audit() = 0;
};

}  // namespace poundlock::ports
