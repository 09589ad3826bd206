#include "server/http/sse.h"

#include <boost/json/object.hpp>
#include <utility>

#include "base/json.h"

namespace poundlock::server {
namespace {

std::string_view first_line(std::string_view text) {
  return text.substr(0, text.find_first_of("\r\n"));
}

}  // namespace

const char* to_string(Departure departure) {
  switch (departure) {
    case Departure::kClosed: return "closed";
    case Departure::kTooSlow: return "too slow";
    case Departure::kShutdown: return "shutdown";
  }
  return "closed";
}

std::string render_event(std::string_view event, std::string_view id, std::string_view data) {
  std::string text;
  text.reserve(event.size() + id.size() + data.size() + 32);
  if (!event.empty()) text.append("event: ").append(first_line(event)).append("\n");
  if (!id.empty()) text.append("id: ").append(first_line(id)).append("\n");
  for (;;) {
    const auto end = data.find_first_of("\r\n");
    text.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == std::string_view::npos) break;
    data.remove_prefix(end + (data.substr(end, 2) == "\r\n" ? 2 : 1));
  }
  text += '\n';
  return text;
}

SseHub::SseHub(EventLoop& loop, SseOptions options) : loop_(loop), options_(std::move(options)) {}

std::shared_ptr<SseHub> SseHub::create(EventLoop& loop, SseOptions options) {
  std::shared_ptr<SseHub> hub(new SseHub(loop, std::move(options)));
  hub->timer_ =
      loop.every(hub->options_.heartbeat / static_cast<int>(kSlices), [weak = std::weak_ptr<SseHub>(hub)] {
        if (const auto self = weak.lock()) self->beat();
      });
  return hub;
}

void SseHub::publish(std::string_view event, std::string_view id, std::string_view data) {
  Event made;
  {
    const std::lock_guard guard(newest_mutex_);
    made = {newest_.sequence + 1, std::string(first_line(id)),
            std::make_shared<const std::string>(render_event(event, id, data))};
    newest_ = made;
    // Posted under the lock, so that events reach readers in the order of their sequences.
    loop_.post([weak = weak_from_this(), made] {
      if (const auto self = weak.lock()) self->deliver(made);
    });
  }
}

// Without an id line, so that it does not become the reader's Last-Event-ID.
Frame SseHub::heartbeat(const std::string& newest_id) const {
  if (options_.heartbeat_comment) return std::make_shared<const std::string>(":\n\n");
  return std::make_shared<const std::string>(
      render_event("heartbeat", "", json::dump(json::Object{{"id", newest_id}})));
}

SseHub::Event SseHub::newest() const {
  const std::lock_guard guard(newest_mutex_);
  return newest_;
}

std::vector<SseHub::Delivery> SseHub::subscribers() const {
  const std::uint64_t wanted = newest().sequence;
  const std::lock_guard guard(members_mutex_);
  std::vector<Delivery> all;
  all.reserve(members_.size());
  for (const auto& [id, member] : members_) all.push_back({member->info, member->delivered >= wanted});
  return all;
}

Status SseHub::subscribe(const SubscriberInfo& info, std::shared_ptr<SseSink> sink) {
  if (closed_ || members_.size() >= options_.subscribers_max) {
    return fail(make_error(Disposition::kRetry, "stream.full",
                           closed_ ? "the server is stopping" : "no place for another stream")
                    .with_hint("try again in a few seconds"));
  }
  auto member = std::make_unique<Member>();
  member->info = info;
  member->sink = std::move(sink);
  const Event event = newest();
  const bool has_it = event.sequence == 0 || (!event.id.empty() && event.id == info.last_event_id);
  if (has_it) {
    member->offered = event.sequence;
    member->delivered = event.sequence;
    (void)member->sink->offer(heartbeat(event.id));  // the first frame of an empty queue
  } else {
    (void)hand_over(*member, event.frame, event.sequence);
  }
  {
    const std::lock_guard guard(members_mutex_);
    members_[info.id] = std::move(member);
  }
  count_ = members_.size();
  if (options_.on_connect) options_.on_connect(info);
  return {};
}

bool SseHub::hand_over(Member& member, const Frame& frame, std::uint64_t sequence) {
  if (!member.sink->offer(frame)) return false;
  member.offered = sequence;
  if (!member.sink->waiting()) member.delivered = sequence;
  return true;
}

void SseHub::deliver(const Event& event) {
  std::vector<std::uint64_t> slow;
  for (const auto& [id, member] : members_) {
    // Who subscribed after the event was published has it already.
    if (member->offered < event.sequence && !hand_over(*member, event.frame, event.sequence))
      slow.push_back(id);
  }
  drop(slow);
}

// A part of the readers at a time: to write to ten thousand at once would keep a change waiting behind it.
void SseHub::beat() {
  const Frame frame = heartbeat(newest().id);
  const std::uint64_t slice = next_slice_++ % kSlices;
  std::vector<std::uint64_t> slow;
  for (const auto& [id, member] : members_) {
    if (id % kSlices != slice) continue;
    const auto waiting = member->sink->waiting();
    if (waiting) {  // a heartbeat behind unsent bytes would tell the reader nothing
      if (*waiting >= options_.stall_max) slow.push_back(id);
      continue;
    }
    member->delivered = member->offered;
    if (!member->sink->offer(frame)) slow.push_back(id);
  }
  drop(slow);
}

std::unique_ptr<SseHub::Member> SseHub::take(std::uint64_t id) {
  const std::lock_guard guard(members_mutex_);
  auto node = members_.extract(id);
  count_ = members_.size();
  return node.empty() ? nullptr : std::move(node.mapped());
}

void SseHub::drop(const std::vector<std::uint64_t>& ids) {
  for (const std::uint64_t id : ids) {
    const auto member = take(id);
    if (!member) continue;
    ++dropped_slow_;
    member->sink->close();
    if (options_.on_disconnect) options_.on_disconnect(member->info, Departure::kTooSlow);
  }
}

void SseHub::unsubscribe(std::uint64_t id, Departure why) {
  const auto member = take(id);
  if (member && options_.on_disconnect) options_.on_disconnect(member->info, why);
}

void SseHub::shutdown() {
  closed_ = true;
  if (loop_.on_thread()) return close_all();
  loop_.post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->close_all();
  });
}

void SseHub::close_all() {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, member] : members_) ids.push_back(id);
  for (const std::uint64_t id : ids) {
    const auto member = take(id);
    member->sink->close();
    if (options_.on_disconnect) options_.on_disconnect(member->info, Departure::kShutdown);
  }
}

}  // namespace poundlock::server
