// What evaluations read: a snapshot, the local overrides that still hold, and the rollouts that were seen
// complete. Immutable once published; each thread keeps a copy of the pointer.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "client/override_file.h"
#include "flag/snapshot.h"
#include "poundlock/hook.h"

namespace poundlock::client {

using Hooks = std::vector<std::shared_ptr<const Hook>>;

struct View {
  std::shared_ptr<const flag::Snapshot> snapshot;  // null before the first one
  bool from_disk = false;
  std::shared_ptr<const Context> base;  // the client's own context, under every call's; null: none
  std::shared_ptr<const Hooks> hooks;   // null: none
  Overrides overrides;                  // without those of completed rollouts and those in `unheeded`
  std::string unheeded;                 // the overrides of rollouts that stand for no side, in words; ""
  // Rollout keys (without ".stage") whose last word was `complete`: from closing on a missing key must
  // not bring back a side that is about to be dropped. Only another word for the key takes one out.
  std::set<std::string, std::less<>> completed;
};

// The view that follows `previous` when a snapshot or the overrides changed.
std::shared_ptr<const View> next_view(const View& previous, std::shared_ptr<const flag::Snapshot> snapshot,
                                      bool from_disk, const Overrides& overrides);

struct Evaluated {
  flag::Reason reason = flag::Reason::kError;
  flag::ErrorCode error = flag::ErrorCode::kNone;
  const char* error_text = "";
  bool overridden = false;
  bool ready = true;                       // there is a snapshot
  int rule = -1;                           // which branch of the targeting rule decided; -1: not known
  const flag::Variant* variant = nullptr;  // null: none, or `name` alone is known
  std::string_view name;                   // the variant's name; empty: the caller's default holds
  const flag::CompiledFlag* flag = nullptr;
};

// Keys, sorted, whose evaluations may differ: flags that are new, gone or defined otherwise, and overrides.
std::vector<std::string> changed_keys(const View& before, const View& after);

// Answers refer into the view.
// `now_s` is asked only for rules that look at the time.
Evaluated evaluate(const View& view, std::string_view key, const flag::Attributes& attributes,
                   std::int64_t (*now_s)());

}  // namespace poundlock::client
