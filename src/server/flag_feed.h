// What every protocol serves: one immutable view of the published flags at a time, and news of the next.
// HTTP, gRPC and the client library's stream all read the same view, so that no two of them ever answer from
// different revisions.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "flag/snapshot.h"

namespace poundlock::server {

struct FlagView {
  flag::Revision revision;
  std::shared_ptr<const flag::Snapshot> snapshot;  // never null
  std::string document;                            // for the client library, on one line, with its revision
  // {"flags": {...}} as flagd sends it: every $ref inlined, the flag set's metadata merged into each flag.
  std::string flagd;
};
using ViewPtr = std::shared_ptr<const FlagView>;

struct FlagChange {
  std::string key;
  const char* type = "";  // flagd's words: "write" (new), "update", "delete"
};
std::vector<FlagChange> changed_flags(const FlagView& before, const FlagView& now);

// "flagSetId=x", "source=x", a bare "x" (a source); "" is everything. Errors (kUser): flag.selector.
struct Selector {
  enum class By { kAll, kFlagSet, kSource };
  By by = By::kAll;
  std::string value;
  static Result<Selector> parse(std::string_view text);
};

// Thread-safe.
class FlagFeed {
 public:
  virtual ~FlagFeed() = default;

  // Without a lock, unless a newer view was published since this thread's last call. The reference is this
  // thread's own and is valid until its next call of view().
  virtual const ViewPtr& view() const = 0;
  // The flags of one set or source only; the same pointer until the next revision, unless many others were
  // asked for since. Whatever chooses nothing gets one and the same view.
  virtual Result<ViewPtr> view(const Selector& selector) const = 0;

  // Called after each publication, in order, on the publishing thread, which waits: hand over, do not work.
  // A listener may read view(), and must not publish. Destroying the handle waits for a call under way.
  using Listener = std::function<void(const ViewPtr& before, const ViewPtr& now)>;
  virtual std::shared_ptr<void> listen(Listener listener) = 0;
};

}  // namespace poundlock::server
