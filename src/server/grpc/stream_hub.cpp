#include "server/grpc/stream_hub.h"

#include <flagd/evaluation/v2/evaluation.pb.h>
#include <flagd/sync/v1/sync.pb.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/grpc/struct_json.h"

namespace poundlock::server {
namespace {

namespace bj = boost::json;

// The messages of flagd.evaluation.v1's stream are the same.
Payload event(const char* type, const bj::object& data = {}) {
  flagd::evaluation::v2::EventStreamResponse message;
  message.set_type(type);
  if (!data.empty()) to_struct(data, *message.mutable_data());
  return std::make_shared<const std::string>(message.SerializeAsString());
}

// Null where nothing changed.
Payload change_event(const std::vector<FlagChange>& changes) {
  bj::object flags;
  for (const FlagChange& change : changes) flags[change.key] = {{"type", change.type}};
  return flags.empty() ? nullptr : event("configuration_change", {{"flags", std::move(flags)}});
}

std::vector<FlagChange> every_flag(const FlagView& view) {
  std::vector<FlagChange> out;
  for (const flag::CompiledFlag* flag : view.snapshot->flags()) out.push_back({flag->key, "update"});
  return out;
}

std::string name_of(const Selector& selector) {
  return fmt::format("{}={}", static_cast<int>(selector.by), selector.value);
}

bool is_empty(const FlagView& view) {
  return view.snapshot->flags().empty();
}

GrpcReply refusal(const Error& error) {
  return grpc_failure(
      error.disposition == Disposition::kUser ? GrpcCode::kInvalidArgument : GrpcCode::kResourceExhausted,
      error.to_string());
}

}  // namespace

StreamHub::StreamHub(FlagFeed& feed, const Clock& clock, const GrpcOptions& options)
    : feed_(feed),
      clock_(clock),
      options_(options),
      ready_(event("provider_ready")),
      keep_alive_(event("keep_alive")),
      shutdown_(event("provider_shutdown")) {
  listening_ = feed_.listen([this](const ViewPtr&, const ViewPtr&) {
    std::lock_guard lock(signal_mutex_);
    changed_ = true;
    signal_.notify_one();
  });
  thread_ = std::thread([this] { run(); });
}

StreamHub::~StreamHub() {
  listening_.reset();
  {
    std::lock_guard lock(signal_mutex_);
    stop_ = true;
    signal_.notify_one();
  }
  thread_.join();
}

void StreamHub::run() {
  std::unique_lock lock(signal_mutex_);
  for (;;) {
    signal_.wait_for(lock, options_.limits.tick, [this] { return changed_ || stop_; });
    if (stop_) return;
    const bool changed = std::exchange(changed_, false);
    lock.unlock();
    if (changed) refresh();
    look_after(clock_.steady());
    lock.lock();
  }
}

Status StreamHub::add_topic(const std::string& name, const Selector& selector) {
  if (topics_.contains(name)) return {};
  Topic topic;
  topic.selector = selector;
  PL_TRY(topic.view, feed_.view(selector));
  const auto full = std::count_if(topics_.begin(), topics_.end(),
                                  [](const auto& one) { return !is_empty(*one.second.view); });
  if (!is_empty(*topic.view) && static_cast<std::size_t>(full) > options_.limits.selectors_max)
    return fail(make_error(Disposition::kRetry, "flag.selectors_many",
                           fmt::format("over {} different selectors", options_.limits.selectors_max)));
  encode(topic);
  topics_.emplace(name, std::move(topic));
  return {};
}

void StreamHub::encode(Topic& topic) {
  topic.names.reset();
  topic.changed_from.reset();
  topic.change.reset();
  if (topic.view == nothing_) {
    topic.state = nothing_state_;
    return;
  }
  flagd::sync::v1::SyncFlagsResponse message;
  message.set_flag_configuration(topic.view->flagd);
  to_struct(options_.static_context, *message.mutable_sync_context());
  topic.state = std::make_shared<const std::string>(message.SerializeAsString());
  if (!is_empty(*topic.view)) return;
  nothing_ = topic.view;
  nothing_state_ = topic.state;
}

GrpcReply StreamHub::open(StreamKind kind, const Selector& selector, StreamInfo info,
                          std::shared_ptr<StreamSink> sink) {
  std::lock_guard lock(mutex_);
  if (stopping_) return grpc_failure(GrpcCode::kUnavailable, "the server stops");
  if (streams_.size() >= options_.limits.streams_max)
    return grpc_failure(GrpcCode::kResourceExhausted, "the server has as many streams as it takes");
  const std::string name = name_of(selector);
  if (const auto added = add_topic(name, selector); !added) return refusal(added.error());
  Stream stream;
  stream.kind = kind;
  stream.info = std::move(info);
  stream.sink = std::move(sink);
  stream.topic = name;
  stream.since = clock_.steady();
  ++topics_.at(name).streams;
  Stream& kept = streams_.emplace(stream.info.id, std::move(stream)).first->second;
  if (options_.on_open) options_.on_open(kept.info);
  advance(kept);
  return {};
}

void StreamHub::write(Stream& stream, const Payload& message, flag::Revision revision) {
  stream.writing = true;
  stream.since = clock_.steady();
  stream.handing = revision;
  stream.sink->write(message);
}

void StreamHub::deliver(Stream& stream, flag::Revision revision) {
  if (stream.delivered == revision) return;
  stream.delivered = revision;
  if (options_.on_delivered) options_.on_delivered(stream.info, revision);
}

bool StreamHub::advance(Stream& stream) {
  if (stream.writing || stream.cancelled) return true;
  if (stopping_) return say_goodbye(stream);
  Topic& topic = topics_.at(stream.topic);
  if (stream.names) {
    write(stream, std::exchange(stream.names, nullptr), stream.told_view->revision);
  } else if (stream.told == topic.sequence) {
    if (stream.told_view) stream.told_view = topic.view;  // or it would keep an old snapshot in memory
    deliver(stream, topic.view->revision);
  } else if (stream.kind == StreamKind::kSync) {
    stream.told = topic.sequence;
    write(stream, topic.state, topic.view->revision);
  } else {
    advance_events(stream, topic);
  }
  return true;
}

void StreamHub::advance_events(Stream& stream, Topic& topic) {
  if (stream.told == 0) return greet(stream, topic);
  if (topic.changed_from != stream.told_view) {
    topic.changed_from = stream.told_view;
    topic.change = change_event(changed_flags(*stream.told_view, *topic.view));
  }
  stream.told = topic.sequence;
  stream.told_view = topic.view;
  if (topic.change) {
    write(stream, topic.change, topic.view->revision);
  } else {
    deliver(stream, topic.view->revision);  // changed back before the reader was ready for it
  }
}

void StreamHub::greet(Stream& stream, Topic& topic) {
  if (!topic.names) topic.names = change_event(every_flag(*topic.view));
  stream.told = topic.sequence;
  stream.told_view = topic.view;
  stream.names = topic.names;
  write(stream, ready_, stream.names ? flag::Revision{} : topic.view->revision);
}

bool StreamHub::say_goodbye(Stream& stream) {
  if (stream.kind == StreamKind::kEvents && !std::exchange(stream.goodbye, true)) {
    write(stream, shutdown_, stream.delivered);
    return true;
  }
  stream.sink->finish(GrpcCode::kUnavailable, "the server stops");
  return false;
}

void StreamHub::forget(Streams::iterator at, StreamEnd why) {
  if (options_.on_close) options_.on_close(at->second.info, why);
  const auto topic = topics_.find(at->second.topic);
  if (--topic->second.streams == 0) topics_.erase(topic);
  streams_.erase(at);
}

void StreamHub::written(std::uint64_t id, bool ok) {
  std::lock_guard lock(mutex_);
  const auto at = streams_.find(id);
  if (at == streams_.end()) return;
  Stream& stream = at->second;
  stream.writing = false;
  stream.since = clock_.steady();
  if (!ok) {
    stream.cancelled = true;  // the sink says gone() next
    return;
  }
  deliver(stream, stream.handing);
  if (!advance(stream)) forget(at, StreamEnd::kShutdown);
}

bool StreamHub::gone(std::uint64_t id) {
  std::lock_guard lock(mutex_);
  const auto at = streams_.find(id);
  if (at == streams_.end()) return false;
  forget(at, at->second.slow ? StreamEnd::kTooSlow : stopping_ ? StreamEnd::kShutdown : StreamEnd::kClosed);
  return true;
}

void StreamHub::refresh() {
  std::lock_guard lock(mutex_);
  for (auto& [name, topic] : topics_) {
    const auto view = feed_.view(topic.selector);
    if (!view) continue;  // its readers keep what they have
    const bool same = (*view)->flagd == topic.view->flagd;
    topic.view = *view;
    if (same) continue;
    ++topic.sequence;
    encode(topic);
  }
  for (auto& [id, stream] : streams_)
    if (!stopping_) advance(stream);
}

void StreamHub::look_after(TimePoint now) {
  std::lock_guard lock(mutex_);
  for (auto& [id, stream] : streams_) {
    if (stream.cancelled) continue;
    const Millis quiet = now - stream.since;
    if (stream.writing && quiet >= options_.limits.stall_max) {
      stream.cancelled = stream.slow = true;
      stream.sink->cancel();
    } else if (!stream.writing && stream.kind == StreamKind::kEvents && quiet >= options_.limits.keep_alive) {
      write(stream, keep_alive_, stream.delivered);
    }
  }
}

void StreamHub::shutdown() {
  std::lock_guard lock(mutex_);
  stopping_ = true;
  for (auto at = streams_.begin(); at != streams_.end();) {
    const auto next = std::next(at);
    if (!advance(at->second)) forget(at, StreamEnd::kShutdown);
    at = next;
  }
}

std::size_t StreamHub::count() const {
  std::lock_guard lock(mutex_);
  return streams_.size();
}

}  // namespace poundlock::server
