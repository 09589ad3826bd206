#include "client/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/json.h"
#include "client/backoff.h"
#include "client/override_file.h"

namespace poundlock::client {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kCallLimit{2'000};
constexpr milliseconds kAckRetry{100};
constexpr milliseconds kDelayMin{100};
constexpr milliseconds kDelayMax{2'000};

std::int64_t steady_ms() {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

bool accepted(const Result<HttpReply>& reply) {
  return reply && reply->status >= 200 && reply->status < 300;
}

std::string trouble(const char* what, const Result<HttpReply>& reply) {
  return reply ? fmt::format("{}: status {} {}", what, reply->status, reply->body.substr(0, 200))
               : fmt::format("{}: {}", what, reply.error().to_string());
}

}  // namespace

Session::Session(std::shared_ptr<Core> core)
    : core_(std::move(core)),
      listener_(core_->options().server, core_->options().token),
      speaker_(core_->options().server, core_->options().token),
      instance_path_("/v1/instances/" + url_escape(core_->options().instance)),
      service_query_("?service=" + url_escape(core_->options().service)),
      last_heard_ms_(steady_ms()) {
  const bool has_server = !core_->options().server.empty();
  try {
    if (has_server) follower_ = std::thread([this] { follow(); });
    if (has_server || !core_->options().override_file.empty()) reporter_ = std::thread([this] { speak(); });
  } catch (...) {
    close();  // a thread that is left running would outlive its members
    throw;
  }
}

Session::~Session() {
  close();
}

void Session::close() {
  // Of two that close at once the second waits here: a thread that both join is joined by neither.
  std::lock_guard one(close_mutex_);
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  listener_.cancel();
  if (follower_.joinable()) follower_.join();
  {
    std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  wake_.notify_all();
  if (reporter_.joinable()) reporter_.join();
}

bool Session::pause(milliseconds duration) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, duration, [this] { return closing_; });
  return !closing_;
}

void Session::follow() {
  Backoff backoff(kDelayMin, kDelayMax, std::random_device{}());
  while (true) {
    snapshot_came_ = false;
    const std::int64_t began_ms = steady_ms();
    const Status ended = connect_and_read();
    core_->set_connected(false);
    if (!ended && ended.error().code != "client.cancelled") core_->lost(ended.error().to_string());
    backoff.ended(snapshot_came_, milliseconds(steady_ms() - began_ms));
    if (!pause(backoff.next())) return;
  }
}

Status Session::connect_and_read() {
  const ClientOptions& options = core_->options();
  const json::Object me{{"service", options.service},
                        {"instance", options.instance},
                        {"build", options.build},
                        {"legacy_path", options.legacy_path}};
  const Result<HttpReply> registered = listener_.post("/v1/instances", json::dump(me), kCallLimit);
  if (!accepted(registered)) {
    return fail(make_error(Disposition::kRetry, "client.register", trouble("registering", registered)));
  }
  // Room for the event's own lines: the document inside has its own limit.
  SseParser parser(flag::Limits{}.bytes_max + 4096, [this](const SseEvent& event) { on_event(event); });
  return listener_.stream(
      fmt::format("/v1/flags/stream?instance={}&service={}&build={}", url_escape(options.instance),
                  url_escape(options.service), url_escape(options.build)),
      options.silence_max, [&](std::string_view bytes) {
        if (parser.feed(bytes)) return true;
        core_->refuse(fmt::format("larger than {} bytes", flag::Limits{}.bytes_max));
        return false;
      });
}

void Session::on_event(const SseEvent& event) {
  last_heard_ms_ = steady_ms();
  core_->set_frozen(false);
  if (event.name != "snapshot") return;
  const Offer offer = core_->offer(event.data);
  if (offer == Offer::kRefused) return;  // not acknowledged: the server sees that this reader is behind
  snapshot_came_ = true;
  core_->set_connected(true);
  {
    std::lock_guard lock(mutex_);
    to_acknowledge_ = core_->applied();
  }
  wake_.notify_all();
  if (offer == Offer::kApplied) core_->save_cache();
}

void Session::acknowledge(flag::Revision revision) {
  const json::Object body{{"epoch", revision.epoch}, {"revision", revision.number}};
  const Result<HttpReply> reply =
      speaker_.post(instance_path_ + "/ack" + service_query_, json::dump(body), kCallLimit);
  if (accepted(reply)) return;
  core_->note_trouble(trouble("acknowledging", reply));
  std::lock_guard lock(mutex_);
  if (!to_acknowledge_) to_acknowledge_ = revision;  // again, unless a newer one waits
}

void Session::send_report() {
  const Result<HttpReply> reply = speaker_.post("/v1/telemetry", flag::to_json(core_->report()), kCallLimit);
  // Refused or never sent: it goes into the next report. In doubt: to count twice would trip a gate on
  // errors that did not happen, so what may have arrived is let go.
  // What the server calls malformed would be refused for ever, and every later figure with it.
  const bool malformed = reply && (reply->status == 400 || reply->status == 413 || reply->status == 422);
  const bool surely_not_counted =
      reply ? !accepted(reply) && !malformed : reply.error().code == "client.connect";
  if (!surely_not_counted) core_->recorder().delivered();
  if (!accepted(reply)) core_->note_trouble(trouble("reporting", reply));
}

void Session::watch_silence() {
  const bool silent = steady_ms() - last_heard_ms_.load() > core_->options().silence_max.count();
  if (silent) core_->set_frozen(true);
}

void Session::speak() {
  const bool has_server = !core_->options().server.empty();
  OverrideFile overrides(core_->options().override_file);
  auto next = std::chrono::steady_clock::now();
  SteadyTime retry_ack{};
  while (true) {
    if (auto changed = overrides.poll(); !changed) {
      core_->note_trouble(changed.error().to_string());
    } else if (*changed) {
      core_->set_overrides(overrides.overrides());
    }
    std::optional<flag::Revision> revision;
    bool leaving = false;
    {
      std::unique_lock lock(mutex_);
      const auto until = std::min(next, std::chrono::steady_clock::now() + milliseconds(250));
      wake_.wait_until(lock, until, [&] {
        return leaving_ || (to_acknowledge_ && std::chrono::steady_clock::now() >= retry_ack);
      });
      leaving = leaving_;
      if (std::chrono::steady_clock::now() >= retry_ack || leaving) revision.swap(to_acknowledge_);
    }
    if (revision && has_server) {
      acknowledge(*revision);
      retry_ack = std::chrono::steady_clock::now() + kAckRetry;
      std::lock_guard lock(mutex_);
      if (!to_acknowledge_ || *to_acknowledge_ != *revision) retry_ack = {};  // it arrived, or a newer waits
    }
    if (has_server && (leaving || std::chrono::steady_clock::now() >= next)) {
      watch_silence();
      send_report();
      next = std::chrono::steady_clock::now() + core_->options().report_interval;
    } else if (!has_server && std::chrono::steady_clock::now() >= next) {
      next = std::chrono::steady_clock::now() + core_->options().report_interval;
    }
    if (leaving) break;
  }
  // Leaves after the last figures, so that the server never waits for somebody who is gone.
  if (has_server) (void)speaker_.del(instance_path_ + service_query_, kCallLimit);
}

}  // namespace poundlock::client
