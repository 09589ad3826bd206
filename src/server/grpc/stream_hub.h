// The long-lived calls: SyncFlags, which sends the whole state at each change, and EventStream, which says
// what changed. One thread hears of a publication and hands each stream the newest state. A stream that is
// still busy with an older one gets the newest when it is done and nothing in between, so that a slow reader
// costs one message and is never waited for; one that takes nothing for a limit is dropped.
//
// A new event stream hears provider_ready, and then a configuration_change that names every flag. Its reader
// may have been cut off, from this server or from one before it, and providers that ask over gRPC keep what
// they were told until they hear that it changed. What was deleted meanwhile nobody can name.
//
// Streams of one selector share each message. The hub knows nothing of gRPC: a sink writes for it.
#pragma once

#include <atomic>
#include <boost/json/object.hpp>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>

#include "base/time.h"
#include "server/flag_feed.h"
#include "server/grpc/grpc_server.h"
#include "server/grpc/reply.h"

namespace poundlock::server {

using Payload = std::shared_ptr<const std::string>;  // a serialised message; never null

// The hub's way to a reader. All calls come under the hub's lock, and none calls the hub back.
class StreamSink {
 public:
  virtual ~StreamSink() = default;
  // One at a time: the sink answers each with StreamHub::written(), from another stack.
  virtual void write(const Payload& message) = 0;
  // Nothing comes after it.
  virtual void finish(GrpcCode code, const std::string& text) = 0;
  // Ends the call whatever is under way; the sink then says StreamHub::gone().
  virtual void cancel() = 0;
};

enum class StreamKind { kSync, kEvents };

// Thread-safe.
class StreamHub {
 public:
  StreamHub(FlagFeed& feed, const Clock& clock, const GrpcOptions& options);
  ~StreamHub();
  StreamHub(const StreamHub&) = delete;
  StreamHub& operator=(const StreamHub&) = delete;

  std::uint64_t next_id() { return next_id_.fetch_add(1); }
  // `info.id` comes from next_id(). The first message is on its way when this returns. kUnavailable and
  // kResourceExhausted are answered, never thrown: too many streams, too many selectors, or stopping.
  GrpcReply open(StreamKind kind, const Selector& selector, StreamInfo info,
                 std::shared_ptr<StreamSink> sink);
  void written(std::uint64_t id, bool ok);  // the write is over; not ok: the reader is gone
  // False: the hub has finished that stream itself.
  bool gone(std::uint64_t id);

  // The flags of one selector, for a call that answers once.
  Result<ViewPtr> select(const Selector& selector) const { return feed_.view(selector); }

  // Says goodbye to every stream; those that are busy, when they are done. Later ones are refused.
  void shutdown();
  std::size_t count() const;

 private:
  struct Topic {
    Selector selector;
    ViewPtr view;
    std::uint64_t sequence = 1;  // of its content: moves when a flag of it changed
    Payload state;               // SyncFlagsResponse of `view`
    Payload names;               // every flag of `view`, for new event streams; null: none was asked for yet
    ViewPtr changed_from;        // the difference to `view` that was asked for last, for event streams
    Payload change;              // null: there is none
    std::size_t streams = 0;
  };
  struct Stream {
    StreamKind kind = StreamKind::kSync;
    StreamInfo info;
    std::shared_ptr<StreamSink> sink;
    std::string topic;
    bool writing = false;
    bool cancelled = false;  // nothing more is written; gone() comes
    bool slow = false;
    TimePoint since;         // of the write under way, or of the last one
    std::uint64_t told = 0;  // sequence of the newest content that was handed over
    ViewPtr told_view;       // kEvents: what the next difference is taken to
    Payload names;           // kEvents: of `told_view`, to be written before anything else; null: it was
    flag::Revision handing;  // the revision of what is being written
    flag::Revision delivered;
    bool goodbye = false;  // provider_shutdown was handed over
  };
  using Streams = std::unordered_map<std::uint64_t, Stream>;

  void run();
  void refresh();
  void look_after(TimePoint now);
  Status add_topic(const std::string& name, const Selector& selector);
  void encode(Topic& topic);
  void write(Stream& stream, const Payload& message, flag::Revision revision);
  bool advance(Stream& stream);  // false: it was finished, and is to be forgotten
  void advance_events(Stream& stream, Topic& topic);
  void greet(Stream& stream, Topic& topic);
  bool say_goodbye(Stream& stream);
  void deliver(Stream& stream, flag::Revision revision);
  void forget(Streams::iterator at, StreamEnd why);

  FlagFeed& feed_;
  const Clock& clock_;
  const GrpcOptions& options_;
  const Payload ready_, keep_alive_, shutdown_;
  std::atomic<std::uint64_t> next_id_{1};

  mutable std::mutex mutex_;  // never taken by the publishing thread: it holds the feed's own lock
  Streams streams_;
  std::map<std::string, Topic> topics_;
  ViewPtr nothing_;  // an empty view, and its message: of all topics that choose nothing
  Payload nothing_state_;
  bool stopping_ = false;

  std::mutex signal_mutex_;
  std::condition_variable signal_;
  bool changed_ = false;
  bool stop_ = false;
  std::shared_ptr<void> listening_;
  std::thread thread_;
};

}  // namespace poundlock::server
