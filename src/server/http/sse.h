// Server-sent events (WHATWG HTML, section 9.2): one hub is one stream of states. Each event carries
// the whole state, so a reader that comes late or comes back gets the newest event only, and none when
// its Last-Event-ID says that it has it already.
//
// A slow reader is dropped, never waited for: it comes back and gets the newest state. Every reader
// gets `event: heartbeat` with the newest id each 2 s, so that it can tell silence from calm.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "server/http/event_loop.h"
#include "server/http/message.h"

namespace poundlock::server {

// The text of one event, rendered once and shared by all readers.
using Frame = std::shared_ptr<const std::string>;

enum class Departure {
  kClosed,    // the reader went away
  kTooSlow,   // its queue was full, or it took nothing for the stall limit
  kShutdown,  // the server stops
};
const char* to_string(Departure departure);

// What the hub sees of a connection. All calls come on the loop's thread, and none calls the hub back.
class SseSink {
 public:
  virtual ~SseSink() = default;
  virtual bool offer(const Frame& frame) = 0;  // false: the queue is full
  // For how long no byte was taken although some wait; nullopt: everything is with the kernel.
  virtual std::optional<Millis> waiting() const = 0;
  virtual void close() = 0;
};

struct SseOptions {
  std::size_t subscribers_max = 12'000;
  std::size_t queue_max = 16;  // frames that wait for one reader
  std::size_t queue_bytes_max = 8 << 20;
  Millis stall_max{10'000};  // with something waiting, no byte taken for this long
  Millis heartbeat{2'000};
  bool heartbeat_comment = false;  // as a comment, which a browser's EventSource does not show
  std::function<void(const SubscriberInfo&)> on_connect;                // on the loop's thread
  std::function<void(const SubscriberInfo&, Departure)> on_disconnect;  // on the loop's thread
};

class SseHub : public std::enable_shared_from_this<SseHub> {
 public:
  static std::shared_ptr<SseHub> create(EventLoop& loop, SseOptions options);

  // Any thread; does not wait for any reader. Keeps the event as the newest state. `id` and `event`
  // hold no line breaks (they are cut there); `data` may.
  void publish(std::string_view event, std::string_view id, std::string_view data);

  std::size_t count() const { return count_.load(std::memory_order_relaxed); }  // any thread
  std::uint64_t dropped_slow() const { return dropped_slow_.load(std::memory_order_relaxed); }
  struct Delivery {
    SubscriberInfo info;
    // The newest event was handed to the kernel (or the reader said that it has it). That the reader
    // applied it is known only from its report.
    bool newest = false;
  };
  std::vector<Delivery> subscribers() const;  // any thread
  const SseOptions& options() const { return options_; }

  // Any thread. Closes every reader; later subscriptions are refused.
  void shutdown();

  // For the connection, on the loop's thread. kRetry where the hub is full or shut down.
  Status subscribe(const SubscriberInfo& info, std::shared_ptr<SseSink> sink);
  void unsubscribe(std::uint64_t id, Departure why);  // unknown ids are ignored

 private:
  struct Member {
    SubscriberInfo info;
    std::shared_ptr<SseSink> sink;
    std::uint64_t offered = 0;                // sequence of the newest event in its queue
    std::atomic<std::uint64_t> delivered{0};  // and of the newest that left it
  };
  struct Event {
    std::uint64_t sequence = 0;  // 0: nothing published yet
    std::string id;
    Frame frame;
  };
  SseHub(EventLoop& loop, SseOptions options);
  Event newest() const;
  Frame heartbeat(const std::string& newest_id) const;
  static bool hand_over(Member& member, const Frame& frame, std::uint64_t sequence);
  void deliver(const Event& event);
  void beat();
  void drop(const std::vector<std::uint64_t>& ids);
  std::unique_ptr<Member> take(std::uint64_t id);
  void close_all();

  static constexpr std::uint64_t kSlices = 16;  // of the readers, by their ids
  EventLoop& loop_;
  const SseOptions options_;
  std::uint64_t next_slice_ = 0;
  EventLoop::Timer timer_;
  std::atomic<std::size_t> count_{0};
  std::atomic<std::uint64_t> dropped_slow_{0};
  mutable std::mutex newest_mutex_;  // never held while a reader is written to
  Event newest_;
  mutable std::mutex members_mutex_;  // members_ changes on the loop's thread only, under this
  std::unordered_map<std::uint64_t, std::unique_ptr<Member>> members_;
  std::atomic<bool> closed_{false};
};

// "event: E\nid: I\ndata: line\n...\n\n"; an empty event or id is left out.
std::string render_event(std::string_view event, std::string_view id, std::string_view data);

}  // namespace poundlock::server
