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
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "flag/snapshot.h"
#include "ports/flag_publisher.h"
#include "ports/state_store.h"
#include "server/flag_feed.h"

namespace poundlock::server {

struct FlagInfo {
  std::string key;
  std::string owner;  // the rollout that steers it; "" for a plain flag
  boost::json::object definition;
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
  // Plain flags by a file. Only what differs from the file that was loaded before, by this server or one
  // before it, is changed: an order that was given by hand since then outlives a restart.
  Result<flag::Revision> load_file(const boost::json::object& flags);

  std::vector<FlagInfo> list() const;

 private:
  using Parts = std::map<std::string, boost::json::object>;
  struct Listeners;
  FlagService(ports::StateStore& store, const Clock& clock);
  // Compiles, commits (with `beside`), swaps and delivers `parts`; the old snapshot stays where any of it
  // fails.
  Result<flag::Revision> replace(Parts parts, ports::AuditEntry audit, std::vector<ports::Write> beside = {});
  Status read_stored();
  Status begin_epoch();
  void adopt(ViewPtr next);  // mutex_ held

  ports::StateStore& store_;
  const Clock& clock_;
  const std::uint64_t identity_;  // tells this service from one that stood at the same address before
  std::shared_ptr<Listeners> listeners_;
  mutable std::mutex mutex_;
  Parts parts_;  // by rollout; "" holds the plain flags
  ViewPtr view_;
  std::atomic<std::uint64_t> version_of_view_{1};
  mutable std::map<std::string, ViewPtr> selected_;  // by selector, of the present revision
  flag::Revision revision_;
  std::int64_t version_ = 0;
  boost::json::object file_;  // what was loaded last
  std::int64_t file_version_ = 0;
};

}  // namespace poundlock::server
