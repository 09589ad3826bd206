// The heart of a client, shared by Client, Routers and the session's threads: which view holds, what was
// counted, which breakers exist. Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "client/event_queue.h"
#include "client/recorder.h"
#include "client/thread_state.h"
#include "client/view.h"
#include "flag/report.h"
#include "poundlock/client.h"

namespace poundlock::client {

enum class Offer { kApplied, kSame, kRefused };

class Core {
 public:
  static constexpr std::size_t kHooksMax = 100;

  explicit Core(ClientOptions options);
  ~Core();
  Core(const Core&) = delete;

  const ClientOptions& options() const { return options_; }

  // Hot path. The answer refers into the calling thread's view: use it before this thread evaluates again.
  Evaluated evaluate(std::string_view key, const Context& context);
  // What this thread evaluates from; until it evaluates again.
  const View& view();
  Context whole(const Context& context);      // laid over the client's own
  std::string label(const Context& context);  // the attribute `context` of that, for reports
  bool has_hooks() const { return has_hooks_.load(std::memory_order_relaxed); }

  // A document from the server or the disk. Refused: invalid, over a limit, or older than the one in use;
  // the last good one stays. kSame: exactly the revision in use.
  Offer offer(std::string_view document, bool from_disk = false);
  Offer refuse(std::string why);  // a snapshot that could not even be offered
  void set_overrides(const Overrides& overrides);
  void set_context(Context context);
  bool add_hook(Hook hook);  // false: kHooksMax are there
  void load_cache();         // options().cache_file, where there is one
  void save_cache() const;   // the snapshot in use

  flag::Revision applied() const;
  bool ready() const;
  bool wait_until_ready(std::chrono::milliseconds limit);

  Recorder& recorder() { return recorder_; }
  // Asked at each report; false: its owner is gone and it is forgotten. At most 1,000 whose owners live.
  using BreakerSource = std::function<bool(std::vector<flag::BreakerReport>&)>;
  void add_breakers(std::weak_ptr<const void> owner, BreakerSource source);
  std::size_t threads_held() const;  // threads that evaluated and may still run, and some that have ended
  flag::Report report();             // everything since the last delivered one; one thread only

  const std::shared_ptr<EventQueue>& events() const { return events_; }
  std::uint64_t subscribe(EventQueue::Handler handler);  // with what it has missed; 0 as there

  // Session's word on the connection.
  void set_connected(bool connected);
  void lost(std::string why);  // not connected, and an event: one for each outage
  void set_frozen(bool frozen);
  void note_trouble(std::string text) const;
  ClientStatus status() const;

 private:
  struct Published {
    std::shared_ptr<const View> before;
    std::shared_ptr<const View> after;  // null: nothing was published
    std::uint64_t version = 0;
  };
  Published publish(std::shared_ptr<const View> view);  // mutex_ held
  template <typename Change>
  void publish_with(Change change);  // a copy of the view in use, changed
  void announce(const Published& published);
  ThreadState& thread_state();
  const View& view(ThreadState& state);
  void prune_threads();  // mutex_ held
  struct Breakers {
    std::weak_ptr<const void> owner;
    BreakerSource source;
  };

  const ClientOptions options_;
  const std::uint64_t id_;  // tells clients apart in a thread's own list, never used twice
  mutable std::mutex mutex_;
  std::condition_variable became_ready_;
  std::shared_ptr<const View> view_;
  Overrides overrides_;
  std::string document_;                               // of the snapshot in use, for the disk
  std::vector<std::shared_ptr<ThreadState>> threads_;  // ours alone once the thread has ended
  std::size_t prune_threads_at_;                       // so many make it worth a look
  std::vector<Breakers> breakers_;
  mutable std::string last_error_;
  std::uint64_t refused_ = 0;
  bool connected_ = false;
  bool outage_told_ = false;
  std::atomic<bool> frozen_{false};
  std::atomic<bool> has_hooks_{false};
  std::atomic<std::uint64_t> version_{1};
  std::uint64_t sequence_ = 0;
  Recorder recorder_;
  const std::shared_ptr<EventQueue> events_ = std::make_shared<EventQueue>();
};

}  // namespace poundlock::client
