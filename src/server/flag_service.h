// The published flags: parts of rollouts and plain flags, compiled to one snapshot, durable in the store
// before anybody hears of it, ordered by (epoch, revision). A new store begins a new epoch taken from
// the clock, so that readers of a lost one still obey.
#pragma once

#include <atomic>
#include <boost/json/object.hpp>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "flag/snapshot.h"
#include "ports/flag_publisher.h"
#include "ports/state_store.h"
#include "server/flag_feed.h"
#include "server/flag_parts.h"

namespace poundlock::server {

// What one file holds now; a folder that cannot be listed stands for all files that it held.
struct FlagFile {
  std::string path;
  std::string uri;
  std::optional<boost::json::object> flags;  // nullopt: it cannot be read, its last good flags stay
  bool is_empty = false;  // a folder that holds no file, and may never have: it is not missing
};

// What became of a set of files.
struct FlagFilesLoaded {
  flag::Revision revision;
  std::map<std::string, Error> refused;  // files whose rules are at fault: their last good flags stay
  std::vector<Shadowed> shadowed;        // definitions that do not count
  std::vector<std::string> missing;      // files that never held a good set of flags
};

// Thread-safe.
class FlagService : public ports::FlagPublisher, public FlagFeed {
 public:
  static Result<std::unique_ptr<FlagService>> open(ports::StateStore& store, const Clock& clock);

  const ViewPtr& view() const override;
  Result<ViewPtr> view(const Selector& selector) const override;
  std::shared_ptr<void> listen(Listener listener) override;

  Result<flag::Revision> publish(std::string_view rollout, std::string_view flags_json) override;

  // A plain flag by its flagd definition. Refused (kConflict "flag.owned") where a rollout steers the
  // key: its exposure is decided by gates, not by hand.
  Result<flag::Revision> set(std::string_view key, const boost::json::object& definition,
                             std::string_view who, std::string_view why);
  // The same of what stands there: `edit` gets the flag (none where it is not there yet) and answers its new
  // definition. No other order and no file comes in between: of two orders at once neither is lost.
  using Edit = std::function<Result<boost::json::object>(const std::optional<FlagInfo>& known)>;
  Result<flag::Revision> change(std::string_view key, const Edit& edit, std::string_view who,
                                std::string_view why);
  // Takes away what was set by hand. kUser "flag.unknown" where nothing was; kConflict "flag.owned" for a
  // rollout's key, "flag.in_file" for one that a file defines: it would be back with the next look.
  Result<flag::Revision> erase(std::string_view key, std::string_view who, std::string_view why);
  // Takes back what was set by hand over a file's flag: the file's definition counts again. kUser
  // "flag.unknown" where there is no such flag; kConflict "flag.owned" for a rollout's key,
  // "flag.not_by_hand" where nothing was set, "flag.not_in_file" where nothing would be left.
  Result<flag::Revision> reset(std::string_view key, std::string_view who, std::string_view why);
  // A key steers one rollout, for ever: kUser "flag.taken" where KEY or KEY.stage belongs to another one,
  // closed or not, or is a plain flag.
  Status check_free(std::string_view key, std::string_view rollout) const;

  // Plain flags by files: all of them, in their order, in one revision. Only a definition that differs from
  // the files that were loaded before, by this server or one before it, undoes an order by hand (see
  // keep_orders): what was set since then outlives a restart, and files that are away.
  Result<FlagFilesLoaded> load_files(std::vector<FlagFile> files);
  // Variants that outrank everything until closing; durable in their own file, not here.
  Result<flag::Revision> set_overrides(Overrides overrides);

  // All of them, as copies: of thousands of flags that takes a good part of a second. find() copies one.
  bool holds_files() const;  // flags of some file were taken once, by this server or one before it
  std::vector<FlagInfo> list() const;
  std::optional<FlagInfo> find(std::string_view key) const;
  std::vector<Shadowed> shadowed() const;
  std::vector<std::string> unheeded_overrides() const;
  // When a flag became what it is: the revision that brought it, and the (steady) time of its publication.
  struct Change {
    flag::Revision revision;
    TimePoint at;
  };
  std::optional<Change> last_change(std::string_view key) const;

 private:
  struct Listeners;
  FlagService(ports::StateStore& store, const Clock& clock);
  // One revision, whole, and never changed: readers take it with them and work on it without a lock.
  struct Published;
  using PublishedPtr = std::shared_ptr<const Published>;
  PublishedPtr published() const;
  // Compiles, commits, swaps and delivers; the old snapshot stays where any of it fails. writer_ held.
  Result<flag::Revision> replace(FlagParts parts, Overrides overrides, ports::AuditEntry audit);
  Status read_stored(FlagParts& parts);
  Status read_older_form(FlagParts& parts);
  Status begin_epoch(const FlagParts& parts);
  void adopt(PublishedPtr next);  // writer_ held

  ports::StateStore& store_;
  const Clock& clock_;
  const std::uint64_t identity_;  // tells this service from one that stood at the same address before
  std::shared_ptr<Listeners> listeners_;
  // One publication at a time, from the first look at what is published to the last listener. Whoever reads
  // never waits for it: the store may take seconds, and listeners read.
  std::mutex writer_;
  flag::Revision revision_;   // writer_ held
  std::int64_t version_ = 0;  // in the store; writer_ held
  mutable std::mutex mutex_;  // what follows; held for a few instructions
  PublishedPtr published_;
  std::atomic<std::uint64_t> version_of_view_{1};
  std::map<std::string, Change, std::less<>> changes_;  // of flags that changed since the start
  Change started_;
};

}  // namespace poundlock::server
